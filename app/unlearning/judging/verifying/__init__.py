"""Verifying one result: what models are seen to do, what must hold, the control, and the claim that follows.

Read `deep_verification` first, then `observations`, `criteria`, `verdicts`, `claims` and `control`.
"""

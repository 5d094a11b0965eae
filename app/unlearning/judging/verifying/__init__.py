"""Verifying one result: what models are seen to do, what must hold, the control, and the claim that follows.

Read `deep_verification` first, then `observations`, `comparisons`, `verdicts`, `claims` and `control`.
"""

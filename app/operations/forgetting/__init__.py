"""Forget: what is asked for, what it would cost, how it is carried out."""

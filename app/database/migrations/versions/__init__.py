"""Revisions, oldest first; each is written out in full and never changed once released."""

"""Evidence that anyone can check offline: Merkle trees, signed checkpoints, proofs, certificates, and their verifier.

A library of pure functions over bytes and files. It knows no database, no server and no model, needs nothing beyond the
base install, and writes public formats only: RFC 6962 hashes; C2SP signed notes, checkpoints, tiles and proofs; in-toto
statements in DSSE envelopes in Sigstore bundles. What does not hold raises `findings.DoesNotHold` with one named reason.
"""

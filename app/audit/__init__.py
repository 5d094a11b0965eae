"""The audit log: an append-only Merkle tree (RFC 6962) in SQL, and its verification."""

"""The audit log."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import (
    Field,
)

from app.contract.fields import Answered


class AuditEvent(Answered):
    """One entry of the audit log."""

    index: int
    at: datetime
    event: str
    actor: str
    request_id: str | None
    model: str | None
    version: int | None
    forget_request: UUID | None
    details: dict[str, Any]
    leaf_hash: str = Field(description="SHA-256 of a zero byte and the entry's canonical JSON (RFC 6962), in hex.")


class SigningKeys(Answered):
    """One generation of signing keys: a certificate key and a log key, made together."""

    number: int
    created_at: datetime
    retired: bool = Field(description="Whether the private halves are destroyed; what they signed still holds.")
    certificate_key: str = Field(description="`sha256:` and the SHA-256 of the public key in DER, in hex.")
    log_key: str = Field(description="The public key that checkpoints are signed with, as a C2SP verifier key.")


class AuditKeys(Answered):
    """The public keys of the log, the oldest first; `forgettery verify` reads this answer as `--keys`."""

    origin: str = Field(description="The name of the log, which every checkpoint carries.")
    certificate_keys: list[str] = Field(description="ECDSA P-256 keys that certificates are signed with, as PEM.")
    log_keys: list[str] = Field(description="Ed25519 keys that checkpoints are signed with, as C2SP verifier keys.")
    generations: list[SigningKeys]


class AuditProof(Answered):
    """The proof that an entry is in the log of a checkpoint (RFC 6962, section 2.1.1)."""

    log_index: int
    tree_size: int = Field(description="The size of the checkpoint.")
    root_hash: str = Field(description="The root of the checkpoint, in hex.")
    hashes: list[str] = Field(description="From the entry's sibling to the root's child, in hex.")
    checkpoint: str = Field(description="The checkpoint, a signed note.")
    entry: str = Field(description="The exact bytes of the entry, in base64.")


class AuditConsistency(Answered):
    """The proof that a log begins with an earlier state of itself (RFC 6962, section 2.1.2)."""

    old_size: int
    old_root: str = Field(description="In hex.")
    size: int
    root: str = Field(description="In hex.")
    hashes: list[str] = Field(description="The proof's hashes, in hex.")


class AuditProblem(Answered):
    """What does not hold: one entry, what is to guard all of them, or a row of another table that contradicts them."""

    index: int | None = Field(
        description="The index of the entry; null: the fault is in no entry, and the reason says where."
    )
    reason: str
    column: str | None = Field(
        description="The column of the log, or of another table with its name before a dot, as in `version.claim`; null: no column."
    )


class AuditVerification(Answered):
    """The result of recomputing the whole log."""

    ok: bool
    size: int
    root: str = Field(description="RFC 6962 Merkle tree hash over all entries, in hex.")
    problems: list[AuditProblem]

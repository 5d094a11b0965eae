"""Proofs of the log: that an entry is under the newest checkpoint, and that a later state begins with an earlier one."""

from __future__ import annotations

from sqlalchemy.orm import Session

from app.audit import checkpoints, tiles
from app.contract.audit import AuditConsistency, AuditProof
from app.database.tables import AuditEntryRow
from app.errors import AuditEntryNotFound, CheckpointNotFound, FieldError, InvalidInput
from app.evidence.encoding import encode_base64
from app.evidence.merkle import consistency_proof, inclusion_proof, tree_root


def inclusion(session: Session, index: int) -> AuditProof:
    """The proof of an entry.

    Raises AuditEntryNotFound, CheckpointNotFound where no checkpoint covers it yet, and IntegrityViolation where the log
    was changed so that nothing can be proven.
    """
    entry = session.get(AuditEntryRow, index)
    if entry is None:
        raise AuditEntryNotFound(f"the log has no entry {index}")
    signed = checkpoints.newest(session)
    if index >= signed.size:
        raise CheckpointNotFound(
            f"entry {index} is not under the newest checkpoint, of {signed.size} entries, yet; the next one is signed within "
            "FORGETTERY_CHECKPOINT_HOURS"
        )
    hashes = tiles.hashes_of_log(session, checkpoints.size_of_log(session))
    return AuditProof(
        log_index=index,
        tree_size=signed.size,
        root_hash=signed.root.hex(),
        hashes=[each.hex() for each in inclusion_proof(index, signed.size, hashes)],
        checkpoint=signed.note.decode(),
        entry=encode_base64(entry.entry),
    )


def consistency(session: Session, old_size: int, size: int) -> AuditConsistency:
    """The proof that the log of `size` entries begins with that of `old_size`; raises InvalidInput for other sizes.

    Raises IntegrityViolation where the log was changed so that nothing can be proven.
    """
    present = checkpoints.size_of_log(session)
    if not 0 < old_size <= size <= present:
        detail = f"the log has {present} entries; send sizes with 0 < from <= to <= {present}"
        raise InvalidInput(detail, errors=[FieldError("/from" if old_size > size or old_size < 1 else "/to", detail)])
    hashes = tiles.hashes_of_log(session, present)
    return AuditConsistency(
        old_size=old_size,
        old_root=tree_root(old_size, hashes).hex(),
        size=size,
        root=tree_root(size, hashes).hex(),
        hashes=[each.hex() for each in consistency_proof(old_size, size, hashes)],
    )

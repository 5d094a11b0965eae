"""Proofs of the log: that an entry is under the newest checkpoint, and that a later state begins with an earlier one."""

from __future__ import annotations

from sqlalchemy.orm import Session

from app.audit import checkpoints, tiles
from app.contract.audit import AuditConsistency, AuditProof
from app.database.tables import AuditEntryRow
from app.errors import AuditEntryNotFound, CheckpointNotFound, FieldError, InvalidInput
from app.evidence.encoding import encode_base64
from app.evidence.merkle import consistency_proof, inclusion_proof, tree_root
from app.evidence.tiles import TileHashes


def inclusion(session: Session, index: int) -> AuditProof:
    """The proof of an entry; raises AuditEntryNotFound, and CheckpointNotFound where no checkpoint covers it yet."""
    entry = session.get(AuditEntryRow, index)
    if entry is None:
        raise AuditEntryNotFound(f"the log has no entry {index}")
    signed = checkpoints.newest(session)
    if index >= signed.size:
        raise CheckpointNotFound(
            f"entry {index} is not under the newest checkpoint, of {signed.size} entries, yet; the next one is signed within "
            "FORGETTERY_CHECKPOINT_HOURS"
        )
    return AuditProof(
        log_index=index,
        tree_size=signed.size,
        root_hash=signed.root.hex(),
        hashes=[each.hex() for each in inclusion_proof(index, signed.size, _hashes(session))],
        checkpoint=signed.note.decode(),
        entry=encode_base64(entry.entry),
    )


def consistency(session: Session, old_size: int, size: int) -> AuditConsistency:
    """The proof that the log of `size` entries begins with that of `old_size`; raises InvalidInput for other sizes."""
    present = checkpoints.size_of_log(session)
    if not 0 < old_size <= size <= present:
        detail = f"the log has {present} entries; send sizes with 0 < from <= to <= {present}"
        raise InvalidInput(detail, errors=[FieldError("/from" if old_size > size or old_size < 1 else "/to", detail)])
    hashes = _hashes(session)
    return AuditConsistency(
        old_size=old_size,
        old_root=tree_root(old_size, hashes).hex(),
        size=size,
        root=tree_root(size, hashes).hex(),
        hashes=[each.hex() for each in consistency_proof(old_size, size, hashes)],
    )


def _hashes(session: Session) -> TileHashes:
    return TileHashes(checkpoints.size_of_log(session), tiles.reader(session))

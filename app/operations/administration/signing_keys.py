"""Signing keys: make, rotate, retire, and show the public halves; each step is logged."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.audit import log, signing_keys
from app.audit.signing_keys import Generation
from app.contract.audit import AuditKeys, SigningKeys
from app.database.engine import Database
from app.database.tables import AuditEntryRow
from app.errors import Conflict
from app.evidence.keys import public_pem
from app.operations.administration.api_keys import LOCAL
from app.operations.caller import HOUSEKEEPING
from app.settings import Settings
from app.specs.originator import Originator

CREATED, RETIRED = "signing-key.created", "signing-key.retired"


def ensure(settings: Settings, database: Database) -> None:
    """Make the first keys of an embedded server, and log every generation that a crash left unlogged."""
    folder = settings.resolved_signing_keys
    if settings.embedded_database and not signing_keys.generations(folder):
        signing_keys.make(folder, settings.log_origin)
    with database.writing() as session:
        _log_unlogged(session, folder, HOUSEKEEPING)


def init(settings: Settings, database: Database) -> Generation:
    """Make the first keys; raises Conflict where there are some."""
    if signing_keys.generations(settings.resolved_signing_keys):
        raise Conflict("there are signing keys; `forgettery signing-keys rotate` makes newer ones")
    return _made(settings, database)


def rotate(settings: Settings, database: Database) -> Generation:
    """Make newer keys; the older ones go on signing checkpoints until they are retired. Raises SigningKeysMissing."""
    signing_keys.origin_of(settings.resolved_signing_keys)
    return _made(settings, database)


def retire(settings: Settings, database: Database, number: int) -> Generation:
    """Destroy the private halves of older keys; raises what `signing_keys.retire` raises."""
    retired = signing_keys.retire(settings.resolved_signing_keys, number)
    with database.writing() as session:
        _log_unlogged(session, settings.resolved_signing_keys, Originator(LOCAL))
    return retired


def public(folder: Path) -> AuditKeys:
    """What a verifier is given; raises SigningKeysMissing."""
    found = signing_keys.public_keys(folder)
    return AuditKeys(
        origin=signing_keys.origin_of(folder),
        certificate_keys=[public_pem(key).decode() for key in found.certificate],
        log_keys=[str(key) for key in found.log],
        generations=[view(each) for each in signing_keys.generations(folder)],
    )


def view(generation: Generation) -> SigningKeys:
    """One generation as the API shows it."""
    return SigningKeys(
        number=generation.number,
        created_at=generation.created_at,
        retired=generation.retired,
        log_key=str(generation.public.log[0]),
        certificate_key=generation.digests["certificate_key"],
    )


def _made(settings: Settings, database: Database) -> Generation:
    made = signing_keys.make(settings.resolved_signing_keys, settings.log_origin)
    with database.writing() as session:
        _log_unlogged(session, settings.resolved_signing_keys, Originator(LOCAL))
    return made


def _log_unlogged(session: Session, folder: Path, by: Originator) -> None:
    """Log what the folder shows and the log does not, so that no crash between the two leaves a key without its entry."""
    events = {CREATED: False, RETIRED: True}
    for event, only_retired in events.items():
        for each in signing_keys.generations(folder):
            if (each.retired or not only_retired) and not _is_logged(session, event, each):
                log.append(session, event, by=by, details={"generation": each.number, **each.digests})


def _is_logged(session: Session, event: str, generation: Generation) -> bool:
    entries = session.scalars(select(AuditEntryRow.entry).where(AuditEntryRow.event == event))
    digest = generation.digests["log_key"].encode()
    return any(digest in entry for entry in entries)

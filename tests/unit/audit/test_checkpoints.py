"""Checkpoints: signed when the log has grown, published once each, and held against the log at every look and every start."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app.audit import checkpoints, log, signing_keys
from app.audit.checkpoints import Publication
from app.contract.audit import AuditProblem
from app.database.engine import Database
from app.database.tables import AuditCheckpointRow
from app.errors import CheckpointNotFound, IntegrityViolation, SigningKeysMissing, StorageUnavailable
from app.evidence.checkpoint import verified
from app.evidence.keys import PublicKeys
from app.evidence.merkle import leaf_hash
from app.operations.administration import checkpoints as operations
from app.settings import Settings
from app.specs.originator import Originator
from tests.unit.audit.conftest import Outsider


@pytest.fixture
def keyed(database: Database, settings: Settings) -> Settings:
    """Settings with signing keys, a log of three entries, and a checkpoint whenever the log has grown."""
    signing_keys.make(settings.resolved_signing_keys, "example.org/forgettery")
    grow(database, 3)
    return settings.model_copy(update={"checkpoint_hours": 1e-9})


def grow(database: Database, count: int) -> None:
    with database.writing() as session:
        for _ in range(count):
            log.append(session, "model.deleted", by=Originator("local"), model="digits")


def signed(session: Session) -> list[int]:
    return list(session.scalars(select(AuditCheckpointRow.size).order_by(AuditCheckpointRow.size)))


def sizes(database: Database) -> list[int]:
    with database.reading() as session:
        return signed(session)


def published(settings: Settings) -> list[str]:
    folder = Path(settings.resolved_checkpoint_url)
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def problems(database: Database) -> list[AuditProblem]:
    with database.reading() as session:
        return log.verify(session).problems


def test_a_checkpoint_states_size_and_root_and_is_signed_by_every_key_in_use(
    database: Database, keyed: Settings
) -> None:
    signing_keys.make(keyed.resolved_signing_keys)
    operations.sign_if_due(database, keyed)
    with database.reading() as session:
        row, now = checkpoints.newest(session), log.verify(session)
    for generation in signing_keys.generations(keyed.resolved_signing_keys):
        stated = verified(row.note, generation.public.log)
        assert (stated.origin, stated.size, stated.root.hex()) == ("example.org/forgettery", 3, now.root)
    assert now.ok


def test_one_is_signed_only_where_the_log_has_grown_and_the_last_is_old_enough(
    database: Database, keyed: Settings
) -> None:
    for _ in range(2):
        operations.sign_if_due(database, keyed)
    assert sizes(database) == [3]
    grow(database, 1)
    operations.sign_if_due(database, keyed.model_copy(update={"checkpoint_hours": 1}))
    assert sizes(database) == [3]
    operations.sign_if_due(database, keyed)
    assert sizes(database) == [3, 4]
    assert published(keyed) == [f"{size:020d}.checkpoint" for size in (3, 4)]


def test_without_keys_or_entries_nothing_is_signed(database: Database, settings: Settings) -> None:
    operations.sign_if_due(database, settings)
    with database.reading() as session, pytest.raises(CheckpointNotFound):
        checkpoints.newest(session)
    with database.writing() as session, pytest.raises(SigningKeysMissing):
        checkpoints.sign(session, settings.resolved_signing_keys, None)
    signing_keys.make(settings.resolved_signing_keys)
    operations.sign_if_due(database, settings)
    assert sizes(database) == []


def test_one_that_a_crash_left_unpublished_is_published_the_next_time(database: Database, keyed: Settings) -> None:
    with database.writing() as session:
        checkpoints.sign(session, keyed.resolved_signing_keys, None)
    assert published(keyed) == []
    operations.sign_if_due(database, keyed)
    assert published(keyed) == [f"{3:020d}.checkpoint"]


def test_a_published_checkpoint_is_never_written_again(database: Database, keyed: Settings) -> None:
    operations.sign_if_due(database, keyed)
    (path,) = Path(keyed.resolved_checkpoint_url).iterdir()
    path.write_bytes(b"kept as it is")
    with database.reading() as session:
        operations.publication_of(keyed).publish(checkpoints.newest(session))
    assert path.read_bytes() == b"kept as it is"


def test_a_deleted_tail_is_named_and_nothing_is_signed_and_no_server_starts_on_it(
    database: Database, keyed: Settings, outsider: Outsider
) -> None:
    operations.sign_if_due(database, keyed)
    outsider.drop_guards()
    outsider.execute("DELETE FROM audit_entry WHERE leaf_index = 2")
    [problem] = problems(database)
    assert (problem.index, problem.column) == (2, "checkpoint")
    assert "its last ones were removed" in problem.reason
    with pytest.raises(IntegrityViolation, match="FORGETTERY_CHECKPOINT_URL"):
        operations.check_start(database, keyed)
    with pytest.raises(IntegrityViolation, match="2 entries, but had 3"):
        operations.sign_if_due(database, keyed)


def test_an_older_database_that_was_restored_does_not_start(
    database: Database, keyed: Settings, outsider: Outsider
) -> None:
    """Its own checkpoints are gone with it, so that it holds in itself: what was published tells."""
    operations.sign_if_due(database, keyed)
    for table in ("audit_entry", "audit_checkpoint"):
        outsider.drop_guards(table)
    outsider.execute("DELETE FROM audit_entry WHERE leaf_index = 2", "DELETE FROM audit_checkpoint")
    assert problems(database) == []
    with pytest.raises(IntegrityViolation, match="older state of the database was restored"):
        operations.check_start(database, keyed)
    operations.check_start(database, keyed.model_copy(update={"checkpoint_url": str(keyed.home / "elsewhere")}))


def test_a_fork_is_told_though_it_is_longer(database: Database, keyed: Settings, outsider: Outsider) -> None:
    operations.sign_if_due(database, keyed)
    for table in ("audit_entry", "audit_checkpoint"):
        outsider.drop_guards(table)
    outsider.execute("DELETE FROM audit_entry WHERE leaf_index > 0", "DELETE FROM audit_checkpoint")
    grow(database, 7)
    with pytest.raises(IntegrityViolation, match="does not begin with"):
        operations.check_start(database, keyed)
    with pytest.raises(IntegrityViolation, match="does not begin with"):
        operations.sign_if_due(database, keyed)


def test_an_entry_that_was_rewritten_is_told_by_the_checkpoint_above_it(
    database: Database, keyed: Settings, outsider: Outsider
) -> None:
    operations.sign_if_due(database, keyed)
    with database.reading() as session:
        entry = bytes(
            session.connection().exec_driver_sql("SELECT entry FROM audit_entry WHERE leaf_index = 1").scalar_one()
        )
    outsider.drop_guards()
    other = entry.replace(b"digits", b"dogits")
    change = "UPDATE audit_entry SET entry = :entry, leaf_hash = :leaf_hash, model = 'dogits' WHERE leaf_index = 1"
    outsider.execute(change, entry=other, leaf_hash=leaf_hash(other))
    [problem] = problems(database)
    assert (problem.index, problem.column) == (2, "checkpoint")
    assert "an entry up to there was changed" in problem.reason


@pytest.mark.parametrize("column", ["root", "note", "size"])
def test_a_changed_checkpoint_is_named(database: Database, keyed: Settings, outsider: Outsider, column: str) -> None:
    operations.sign_if_due(database, keyed)
    outsider.drop_guards("audit_checkpoint")
    with database.writing() as session:
        session.execute(update(AuditCheckpointRow).values({column: 2 if column == "size" else b"\x00" * 32}))
    found = problems(database)
    assert found
    assert {problem.column for problem in found} == {"checkpoint"}


def test_what_lies_at_the_publication_and_is_not_ours_is_told(database: Database, keyed: Settings) -> None:
    operations.sign_if_due(database, keyed)
    (path,) = Path(keyed.resolved_checkpoint_url).iterdir()
    path.write_bytes(path.read_bytes().replace(b"\n3\n", b"\n9\n"))
    with pytest.raises(IntegrityViolation, match="no checkpoint of this log"):
        operations.check_start(database, keyed)


def test_a_publication_that_cannot_be_reached_keeps_no_server_from_starting_but_signs_nothing(
    database: Database, keyed: Settings
) -> None:
    unknown = keyed.model_copy(update={"checkpoint_url": "nothing-known://bucket"})
    operations.check_start(database, unknown)
    with pytest.raises(StorageUnavailable, match="FORGETTERY_CHECKPOINT_URL"):
        operations.sign_if_due(database, unknown)
    assert sizes(database) == []


def test_a_published_place_that_is_slow_to_answer_keeps_nobody_from_writing(
    database: Database, keyed: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def meanwhile(self: Publication, keys: PublicKeys) -> None:
        grow(database, 1)

    monkeypatch.setattr(Publication, "newest", meanwhile)
    operations.sign_if_due(database, keyed)
    assert sizes(database) == [4]


def test_any_fsspec_url_will_do(database: Database, keyed: Settings) -> None:
    publication = Publication(f"memory://{uuid4()}/log")
    with database.writing() as session:
        row = checkpoints.sign(session, keyed.resolved_signing_keys, None)
        publication.publish(row)
    newest = publication.newest(signing_keys.public_keys(keyed.resolved_signing_keys))
    assert newest is not None
    assert newest.size == 3

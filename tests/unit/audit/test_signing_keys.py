"""Keys that sign for the log: numbered generations of files, made whole, rotated with overlap, never lost to a verifier."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from app.audit import log, signing_keys
from app.audit.signing_keys import generations
from app.database.engine import Database
from app.errors import Conflict, InvalidInput, SigningKeysMissing
from app.evidence import keys
from app.evidence.note import NoteKey
from app.operations.administration import audit
from app.operations.administration import signing_keys as operations
from app.operations.pages import PageQuery
from app.settings import Settings


@pytest.fixture
def folder(settings: Settings) -> Path:
    return settings.resolved_signing_keys


def events(database: Database) -> list[tuple[str, int]]:
    with database.reading() as session:
        found = audit.list_events(session, PageQuery(), model=None, event=None, forget_request=None).items
        assert log.verify(session).ok
    return [(event.event, event.details["generation"]) for event in found]


def test_the_first_keys_name_the_log_and_are_for_their_owner_alone(folder: Path) -> None:
    made = signing_keys.make(folder, "example.org/forgettery")
    assert (made.number, signing_keys.origin_of(folder)) == (1, "example.org/forgettery")
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (made.folder / keys.LOG_KEY).stat().st_mode & 0o777 == 0o600


def test_without_a_name_each_log_gets_one_of_its_own(tmp_path: Path) -> None:
    for name in ("one", "other"):
        signing_keys.make(tmp_path / name)
    assert signing_keys.origin_of(tmp_path / "one") != signing_keys.origin_of(tmp_path / "other")


def test_newer_keys_sign_beside_the_older_ones_until_these_are_retired(folder: Path) -> None:
    first, second = signing_keys.make(folder), signing_keys.make(folder)
    assert [signer.key for signer in signing_keys.log_signers(folder)] == [second.public.log[0], first.public.log[0]]
    signing_keys.retire(folder, 1)
    assert [signer.key for signer in signing_keys.log_signers(folder)] == [second.public.log[0]]
    assert signing_keys.public_keys(folder).log == (first.public.log[0], second.public.log[0])
    assert [each.retired for each in generations(folder)] == [True, False]


def test_the_log_keeps_its_name(folder: Path) -> None:
    signing_keys.make(folder, "example.org/one")
    with pytest.raises(InvalidInput, match="cannot rename"):
        signing_keys.make(folder, "example.org/two")
    with pytest.raises(InvalidInput, match="cannot name the log"):
        signing_keys.make(folder, "with space")
    assert [each.number for each in generations(folder)] == [1]


def test_the_newest_keys_cannot_be_retired_nor_keys_that_are_not_there(folder: Path) -> None:
    signing_keys.make(folder)
    with pytest.raises(Conflict, match="rotate first"):
        signing_keys.retire(folder, 1)
    with pytest.raises(InvalidInput, match="number 7"):
        signing_keys.retire(folder, 7)


def test_what_a_crash_left_half_made_is_no_key_and_is_made_anew(folder: Path) -> None:
    signing_keys.make(folder)
    half = folder / "2.partial"
    half.mkdir()
    (half / keys.LOG_KEY).write_bytes(b"half")
    assert [each.number for each in generations(folder)] == [1]
    assert signing_keys.make(folder).public.log
    assert [each.number for each in generations(folder)] == [1, 2]


def test_without_keys_nothing_signs(folder: Path) -> None:
    for ask in (signing_keys.origin_of, signing_keys.public_keys, signing_keys.log_signers, operations.public):
        with pytest.raises(SigningKeysMissing, match="signing-keys init"):
            ask(folder)


def test_an_embedded_server_makes_its_keys_once_and_logs_them(
    database: Database, settings: Settings, folder: Path
) -> None:
    for _ in range(2):
        operations.ensure(settings, database)
    if settings.embedded_database:
        assert [each.number for each in generations(folder)] == [1]
        assert events(database) == [("signing-key.created", 1)]
    else:
        assert generations(folder) == []
        assert events(database) == []


def test_every_change_of_the_keys_is_logged(database: Database, settings: Settings) -> None:
    operations.init(settings, database)
    with pytest.raises(Conflict):
        operations.init(settings, database)
    operations.rotate(settings, database)
    operations.retire(settings, database, 1)
    assert events(database) == [("signing-key.created", 1), ("signing-key.created", 2), ("signing-key.retired", 1)]


def test_a_key_that_a_crash_left_unlogged_is_logged_at_the_next_start(
    database: Database, settings: Settings, folder: Path
) -> None:
    signing_keys.make(folder)
    assert events(database) == []
    operations.ensure(settings, database)
    assert events(database) == [("signing-key.created", 1)]


def test_the_answer_for_verifiers_is_read_by_the_verifier(database: Database, settings: Settings, folder: Path) -> None:
    operations.init(settings, database)
    operations.rotate(settings, database)
    answer = json.dumps(operations.public(folder).model_dump(mode="json"))
    assert keys.PublicKeys.from_json(answer) == signing_keys.public_keys(folder)
    assert NoteKey.parse(json.loads(answer)["generations"][1]["log_key"]) == signing_keys.log_signers(folder)[0].key


def test_keys_that_were_moved_away_are_missing_and_not_made_anew_by_rotating(
    database: Database, settings: Settings, folder: Path
) -> None:
    operations.init(settings, database)
    shutil.move(folder, folder.with_name("elsewhere"))
    with pytest.raises(SigningKeysMissing):
        operations.rotate(settings, database)

"""Transactions: readers see one state, writers come one at a time, and faults have names."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from app.database.engine import Database, database_now, is_writing
from app.database.tables import WorkerRow
from app.errors import DatabaseUnavailable, StorageUnavailable

SQLITE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
POSTGRESQL = pytest.mark.parametrize("database", ["postgresql"], indirect=True)


class Regretted(Exception):
    pass


def add_worker(session: Session) -> str:
    now = database_now(session)
    worker = WorkerRow(id=str(uuid4()), started_at=now, seen_at=now)
    session.add(worker)
    session.flush()
    return worker.id


def count(session: Session) -> int:
    return session.scalar(select(func.count()).select_from(WorkerRow)) or 0


def count_in(database: Database) -> int:
    with database.reading() as session:
        return count(session)


@pytest.fixture
def impatient(database: Database) -> Iterator[Database]:
    """The same database, for someone who waits a fifth of a second."""
    other = Database(database.engine.url.render_as_string(hide_password=False), busy_seconds=0.2)
    yield other
    other.dispose()


def test_writing_commits(database: Database) -> None:
    with database.writing() as session:
        add_worker(session)
    assert count_in(database) == 1


def test_a_session_knows_whether_it_writes(database: Database) -> None:
    with database.reading() as reader, database.writing() as writer:
        assert is_writing(writer)
        assert not is_writing(reader)


def add_and_regret(database: Database) -> None:
    with database.writing() as session:
        add_worker(session)
        raise Regretted


def fill_the_disk(database: Database) -> None:
    with database.writing() as session:
        session.execute(text("PRAGMA max_page_count = 1"))  # SQLite takes the present number of pages
        for _ in range(10_000):
            add_worker(session)


def test_an_error_rolls_all_back(database: Database) -> None:
    with pytest.raises(Regretted):
        add_and_regret(database)
    assert count_in(database) == 0


def test_a_reading_session_cannot_write_and_its_connection_can_again(database: Database) -> None:
    with pytest.raises(DBAPIError, match=r"read-?only"), database.reading() as session:
        add_worker(session)
    for _ in range(3):
        with database.writing() as session:
            add_worker(session)
    assert count_in(database) == 3


def test_a_commit_in_a_reading_session_changes_nothing(database: Database) -> None:
    with database.reading() as session:
        session.add(WorkerRow(id="1", started_at=database_now(session), seen_at=database_now(session)))
        with pytest.raises(DBAPIError, match=r"read-?only"):
            session.commit()
    assert count_in(database) == 0


def test_rows_read_stay_usable_after_their_session(database: Database) -> None:
    with database.writing() as session:
        worker = add_worker(session)
    with database.reading() as session:
        row = session.scalars(select(WorkerRow)).one()
    assert row.id == worker
    assert row.started_at.tzinfo is not None


def test_a_reader_sees_one_state_while_others_write(database: Database) -> None:
    with database.reading() as reader:
        assert count(reader) == 0
        with database.writing() as session:
            add_worker(session)
        assert count(reader) == 0
    assert count_in(database) == 1


@SQLITE
def test_a_writer_holds_the_lock_from_its_first_statement(database: Database, impatient: Database) -> None:
    with database.writing() as session:
        count(session)
        with pytest.raises(DatabaseUnavailable, match="locked"), impatient.writing() as other:
            count(other)
        assert count_in(impatient) == 0
        add_worker(session)
    with impatient.writing() as other:
        assert count(other) == 1


@POSTGRESQL
def test_waiting_for_a_row_that_another_holds_ends(database: Database, impatient: Database) -> None:
    with database.writing() as session:
        worker = add_worker(session)
    with database.writing() as session:
        session.scalars(select(WorkerRow).with_for_update()).one()
        with pytest.raises(DatabaseUnavailable, match="locked"), impatient.writing() as other:
            other.scalars(select(WorkerRow).with_for_update()).one()
    with impatient.writing() as other:
        assert other.scalars(select(WorkerRow).with_for_update()).one().id == worker


@POSTGRESQL
def test_options_of_the_url_are_kept(database: Database) -> None:
    url = database.engine.url.update_query_dict({"options": "-c lock_timeout=7s -c application_name=ours"})
    other = Database(url.render_as_string(hide_password=False))
    with other.reading() as session:
        assert session.scalar(text("SHOW lock_timeout")) == "7s"
        assert session.scalar(text("SHOW application_name")) == "ours"
    other.dispose()


@SQLITE
def test_a_full_disk_is_named_and_passes(database: Database) -> None:
    with pytest.raises(StorageUnavailable, match="full"):
        fill_the_disk(database)
    assert count_in(database) == 0
    database.dispose()
    with database.writing() as session:
        add_worker(session)
    assert count_in(database) == 1


@POSTGRESQL
def test_a_full_disk_of_the_server_is_named(database: Database) -> None:
    full = "DO $$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = 'disk_full'; END $$"
    with pytest.raises(StorageUnavailable, match="full"), database.writing() as session:
        session.execute(text(full))


def test_a_table_that_is_not_there_is_not_called_a_lock(database: Database) -> None:
    with pytest.raises(DBAPIError, match="nothing_of_this_name"), database.reading() as session:
        session.execute(text("SELECT * FROM nothing_of_this_name"))


def test_a_file_in_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'missing' / 'forgettery.db'}")
    with pytest.raises(StorageUnavailable, match="folder"), database.reading() as session:
        count(session)


def test_a_server_that_does_not_listen_is_named() -> None:
    database = Database("postgresql+psycopg://nobody@127.0.0.1:1/none")
    with pytest.raises(DatabaseUnavailable), database.reading() as session:
        count(session)


@POSTGRESQL
@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
def test_every_usual_spelling_of_the_url_is_understood(database: Database, scheme: str) -> None:
    rest = database.engine.url.render_as_string(hide_password=False).partition("://")[2]
    other = Database(f"{scheme}://{rest}")
    assert count_in(other) == 0
    other.dispose()


@POSTGRESQL
def test_a_connection_lost_while_idle_is_replaced(database: Database) -> None:
    assert count_in(database) == 0
    other = Database(database.engine.url.render_as_string(hide_password=False))
    with other.writing() as session:
        session.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
                " AND datname = current_database()"
            )
        )
    other.dispose()
    assert count_in(database) == 0


def test_more_threads_than_connections_wait_their_turn(database: Database) -> None:
    def write() -> None:
        with database.writing() as session:
            add_worker(session)

    threads = [threading.Thread(target=write) for _ in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert count_in(database) == 30


def test_many_may_open_a_new_file_at_once(tmp_path: Path) -> None:
    errors: list[BaseException] = []

    def open_file(round_number: int) -> None:
        database = Database(f"sqlite:///{tmp_path / f'{round_number}.db'}")
        try:
            with database.reading() as session:
                session.execute(select(1))
        except BaseException as error:  # noqa: BLE001  shown by the assertion below
            errors.append(error)
        finally:
            database.dispose()

    for round_number in range(20):
        threads = [threading.Thread(target=open_file, args=[round_number]) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert errors == []

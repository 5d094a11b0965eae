"""A client is told of nothing that did not commit."""

from __future__ import annotations

from uuid import UUID

import httpx
import pytest
from sqlalchemy import func, select, text

from app.database.engine import Database
from app.database.tables import IdempotencyRow, JobRow, ModelRow
from app.settings import Settings
from tests.real_server import assert_problem, serving

# A row whose foreign key is only checked at the commit makes the commit itself fail.
_BROKEN = "CREATE TABLE broken (model_name VARCHAR(63) REFERENCES model (name) DEFERRABLE INITIALLY DEFERRED)"
_SQLITE = "CREATE TRIGGER break_commit AFTER INSERT ON job BEGIN INSERT INTO broken VALUES ('no such'); END"
_POSTGRESQL = """
CREATE FUNCTION break_commit() RETURNS trigger LANGUAGE plpgsql AS
'BEGIN INSERT INTO broken VALUES (''no such''); RETURN NEW; END';
CREATE TRIGGER break_commit AFTER INSERT ON job FOR EACH ROW EXECUTE FUNCTION break_commit();
"""


@pytest.mark.parametrize("headers", [{}, {"Idempotency-Key": "key"}])
def test_a_failed_commit_is_never_a_202(client: httpx.Client, database: Database, headers: dict[str, str]) -> None:
    with database.writing() as session:
        for statement in (_BROKEN, _SQLITE if database.is_sqlite else _POSTGRESQL):
            session.execute(text(statement))
    response = client.post("/v1/models", json={"name": "digits", "dataset": "mnist"}, headers=headers)
    assert_problem(response, 500, "internal-error")
    with database.reading() as session:
        for table in (ModelRow, JobRow, IdempotencyRow):
            assert session.scalar(select(func.count()).select_from(table)) == 0


def test_a_202_is_committed_when_it_arrives(client: httpx.Client, database: Database) -> None:
    for number in range(20):
        answer = client.post("/v1/models", json={"name": f"digits-{number}", "dataset": "mnist"})
        with database.reading() as session:
            job_id = UUID(answer.json()["job"]["id"])
            assert session.scalar(select(JobRow.status).where(JobRow.id == job_id)) == "queued"


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_reading_goes_on_while_somebody_writes(client: httpx.Client, database: Database) -> None:
    with database.writing() as session:
        session.execute(text("SELECT 1"))
        assert client.get("/v1/models").status_code == 200
        assert client.get("/readyz").json()["checks"]["database"] == "ok"


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_database_that_stays_locked_is_503(settings: Settings, database: Database) -> None:
    impatient = Database(settings.resolved_database_url, busy_seconds=0.1)
    with serving(settings, impatient) as client, database.writing() as session:
        session.execute(text("SELECT 1"))
        response = client.post("/v1/models", json={"name": "digits", "dataset": "mnist"})
        assert_problem(response, 503, "database-unavailable")
        assert response.headers["retry-after"]
    impatient.dispose()

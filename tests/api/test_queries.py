from __future__ import annotations

from uuid import uuid4

import httpx
import pytest

from app.database.engine import Database
from app.main import create_app
from app.settings import Settings
from tests.real_server import ADMIN_KEY, StartServer, assert_problem
from tests.stored_versions import record_model, record_version, store_version

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)

OPEN = {"/healthz", "/readyz"}


@pytest.fixture
def model(settings: Settings, database: Database) -> None:
    record_version(database, record_model(database), store_version(settings.home))


def test_no_route_with_a_key_ignores_a_parameter(client: httpx.Client, model: None, settings: Settings) -> None:
    ids = dict.fromkeys(("job_id", "forget_request_id", "verification_id", "key_id"), str(uuid4()))
    for path, operations in create_app(settings).openapi()["paths"].items():
        if path in OPEN:
            continue
        for method in operations:
            address = path.format(model="digits", number=1, index=0, name="mnist", **ids)
            answer = client.request(method, address, params={"modle": "digits"})
            problem = assert_problem(answer, 422, "invalid-input")
            assert problem["errors"][0]["detail"].startswith("query parameter modle: "), (method, path)


def test_a_misspelt_parameter_is_told_those_that_there_are(client: httpx.Client) -> None:
    errors = assert_problem(client.get("/v1/jobs?limt=5&stauts=queued"), 422, "invalid-input")["errors"]
    there_are = "there is no such parameter here; there are kind, limit, model, page_token, status"
    assert [fault["detail"] for fault in errors] == [
        f"query parameter limt: {there_are}",
        f"query parameter stauts: {there_are}",
    ]
    [fault] = assert_problem(client.get("/v1/audit/verify?limit=5"), 422, "invalid-input")["errors"]
    assert fault["detail"] == "query parameter limit: this route takes no parameters"


def test_a_parameter_given_twice_is_refused_as_a_name_given_twice_is(client: httpx.Client) -> None:
    [fault] = assert_problem(client.get("/v1/jobs?limit=5&limit=1000"), 422, "invalid-input")["errors"]
    assert fault["detail"] == "query parameter limit: given 2 times; give it once"


def test_what_can_be_asked_is_answered(client: httpx.Client, model: None) -> None:
    for path in ("/v1/jobs?limit=5&model=digits&kind=train", "/v1/models?", "/healthz?at=12", "/docs?from=bookmark"):
        assert client.get(path).status_code == 200, path


def test_who_has_no_key_learns_nothing_of_parameters(start_server: StartServer) -> None:
    client = start_server(admin_key=ADMIN_KEY)
    assert_problem(client.get("/v1/jobs?limt=5"), 401, "unauthenticated")

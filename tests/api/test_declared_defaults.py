"""Whoever sends a declared default, or null, asks for what is asked for by leaving it out."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from app.database.engine import Database
from app.settings import Settings
from tests.declared_defaults import spelled_out, with_nulls
from tests.stored_versions import record_model, record_version, store_version

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)

CREATED = [
    {},
    {"architecture": {}},
    {"architecture": {"hidden": [8]}},
    {"architecture": {"type": "cnn"}},
    {"architecture": {"type": "resnet18"}},
    {"learning": {}},
    {"learning": {"mode": "standard"}, "training": {}},
    *({"learning": {"mode": mode}} for mode in ("synaptic_intelligence", "progressive", "sisa")),
    *({"learning": {"mode": mode}, "training": {"seed": 3}} for mode in ("synaptic_intelligence", "progressive")),
    {"learning": {"mode": "progressive"}, "architecture": {"type": "mlp"}},
]
FORGOTTEN = [
    {"target": {"classes": [2]}},
    {"target": {"classes": [2]}, "method": "edit"},
    {"target": {"classes": [2]}, "method": "edit", "parameters": {"selection": "sensitivity"}},
    {"target": {"classes": [2]}, "method": "finetune"},
    {"target": {"classes": [2]}, "method": "retrain"},
    {"target": {"classes": [2]}, "method": "auto"},
    {"target": {"classes": [2]}, "method": "euk", "refusal": "guard", "guard": {}},
    {"target": {"samples": [17]}},
    {"target": {"samples": [17]}, "method": "finetune"},
]


@pytest.fixture
def document(client: httpx.Client) -> dict[str, Any]:
    found: dict[str, Any] = client.get("/openapi.json").json()
    return found


@pytest.fixture
def model(settings: Settings, database: Database) -> None:
    record_version(database, record_model(database), store_version(settings.home))


@pytest.mark.parametrize("asked", CREATED)
def test_a_new_model_is_the_same(client: httpx.Client, document: dict[str, Any], asked: dict[str, Any]) -> None:
    plain = {"dataset": "mnist", **asked}
    bodies = [plain, spelled_out(document, "ModelCreate", plain), with_nulls(document, "ModelCreate", plain)]
    answers = [client.post("/v1/models", json=body | {"name": f"m{number}"}) for number, body in enumerate(bodies)]
    assert [answer.status_code for answer in answers] == [202, 202, 202], [answer.text for answer in answers]
    kept = [
        {name: answer.json()["model"][name] for name in ("architecture", "learning", "training")} for answer in answers
    ]
    assert kept[0] == kept[1] == kept[2]


@pytest.mark.parametrize("asked", FORGOTTEN)
def test_a_forget_request_is_the_same(client: httpx.Client, document: dict[str, Any], asked: dict[str, Any]) -> None:
    client.post("/v1/models", json={"name": "digits", "dataset": "mnist"})
    spelled = spelled_out(document, "ForgetCreate", asked)
    assert len(spelled) > len(asked)
    bodies = [body | {"dry_run": True} for body in (asked, spelled, with_nulls(document, "ForgetCreate", asked))]
    answers = [client.post("/v1/models/digits/forget", json=body) for body in bodies]
    assert [answer.status_code for answer in answers] == [200, 200, 200], [answer.text for answer in answers]
    assert answers[0].json() == answers[1].json() == answers[2].json()


@pytest.mark.parametrize(
    ("route", "asked"),
    [
        (("/v1/models/digits/train", "TrainRequest"), {}),
        (("/v1/models/digits/train", "TrainRequest"), {"training": {"epochs": 2}}),
        (("/v1/models/digits/compare", "CompareCreate"), {"target": {"classes": [2]}}),
        (("/v1/models/digits/compare", "CompareCreate"), {"target": {"classes": [2]}, "methods": [{"method": "euk"}]}),
        (("/v1/api-keys", "ApiKeyCreate"), {"name": "x", "scopes": ["admin"]}),
    ],
)
def test_of_other_requests_defaults_and_nulls_are_taken(
    client: httpx.Client,
    document: dict[str, Any],
    model: None,
    route: tuple[str, str],
    asked: dict[str, Any],
) -> None:
    path, name = route
    for body in (spelled_out(document, name, asked), with_nulls(document, name, asked)):
        response = client.post(path, json=body)
        assert response.is_success, response.text
        if path == "/v1/api-keys":
            client.headers["Authorization"] = f"Bearer {response.json()['key']}"

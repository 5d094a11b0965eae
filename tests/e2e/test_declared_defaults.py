"""The main job by a client that knows the OpenAPI document alone and sends every default that it declares."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import httpx
import pytest

from app.client import Client
from tests.declared_defaults import spelled_out
from tests.e2e.server_process import Server
from tests.waiting import HANGS_AFTER

MODEL = "/v1/models/generated"
CREATED = {
    "name": "generated",
    "dataset": "mnist",
    "architecture": {"hidden": [64]},
    "learning": {},
    "training": {"epochs": 1},
}


@pytest.mark.slow
def test_a_model_learns_forgets_and_predicts_with_all_defaults_spelled_out(server: Server) -> None:
    with httpx.Client(base_url=server.url, timeout=HANGS_AFTER) as http, server.client() as client:
        document = http.get("/openapi.json").json()
        carried_out(client, sent(http, document, "ModelCreate", "/v1/models", CREATED))
        example = document["components"]["schemas"]["PredictRequest"]["examples"][0]
        predicted = sent(http, document, "PredictRequest", f"{MODEL}/predict", example)["predictions"]
        assert [answer["label"] for answer in predicted] == [1]
        one = {"target": {"classes": [1]}}
        assert sent(http, document, "ForgetCreate", f"{MODEL}/forget", one | {"dry_run": True})["claim"] == "edited"
        asked = sent(http, document, "ForgetCreate", f"{MODEL}/forget", one)
        carried_out(client, asked)
        request = client.forget_request(UUID(asked["id"]))
        assert (request.verdict, request.method, request.refusal) == ("passed", "edit", "push")
        predicted = sent(http, document, "PredictRequest", f"{MODEL}/predict", example)["predictions"]
        assert [answer["class_name"] for answer in predicted] != ["1"]


def sent(http: httpx.Client, document: dict[str, Any], name: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
    response = http.post(path, json=spelled_out(document, name, body))
    assert response.is_success, response.text
    answer: dict[str, Any] = response.json()
    return answer


def carried_out(client: Client, answer: dict[str, Any]) -> None:
    client.wait_for_job(UUID(answer["job"]["id"]))

"""The published OpenAPI document: complete, true, and changed only on purpose.

`openapi.json` beside this file is what clients were generated from. After a change that is meant, renew it with
`python -m tests.contract.test_openapi` and look at the difference before you commit it.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema_rs import Draft202012Validator

from app.api.enum_meanings import enums
from app.contract.problems import status_of
from app.errors import errors_by_slug
from app.main import create_app
from app.settings import Settings

SNAPSHOT = Path(__file__).with_name("openapi.json")
OPEN = {"/healthz", "/readyz"}
BINARY = {"application/octet-stream", "image/png"}


def document() -> dict[str, Any]:
    published: dict[str, Any] = json.loads(json.dumps(create_app(Settings()).openapi()))
    return published


def renew() -> None:
    SNAPSHOT.write_text(json.dumps(document(), indent=1, ensure_ascii=False, sort_keys=True) + "\n", encoding="utf-8")


@pytest.fixture(scope="module")
def published() -> dict[str, Any]:
    return document()


def operations(published: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (method, path, operation)
        for path, methods in published["paths"].items()
        for method, operation in methods.items()
    ]


def test_the_document_is_the_one_that_clients_know(published: dict[str, Any]) -> None:
    published["info"]["version"] = "any"
    known = json.loads(SNAPSHOT.read_text(encoding="utf-8"))
    known["info"]["version"] = "any"
    assert published == known, "if the change is meant: python -m tests.contract.test_openapi"


def test_every_operation_has_a_name_a_summary_a_sentence_and_one_tag(published: dict[str, Any]) -> None:
    described = {tag["name"] for tag in published["tags"] if tag["description"]}
    names = [operation["operationId"] for _, _, operation in operations(published)]
    assert len(set(names)) == len(names)
    for method, path, operation in operations(published):
        assert operation["operationId"].replace("_", "").islower(), path
        assert operation["summary"], path
        assert operation["description"].endswith("."), (method, path)
        assert len(operation["tags"]) == 1
        assert operation["tags"][0] in described


def test_every_operation_but_the_open_ones_asks_for_a_key(published: dict[str, Any]) -> None:
    for _, path, operation in operations(published):
        if path in OPEN:
            assert "security" not in operation
        else:
            assert [list(scheme) for scheme in operation["security"]] == [["ApiKey"]]
            assert {"401", "403", "503"} <= operation["responses"].keys()


def test_every_operation_shows_examples_that_fit_their_schemas(published: dict[str, Any]) -> None:
    for method, path, operation in operations(published):
        for status, response in operation["responses"].items():
            for media_type, content in response.get("content", {}).items():
                if media_type in BINARY:
                    assert content["schema"] == {"type": "string", "format": "binary"}
                    continue
                examples = [example["value"] for example in content.get("examples", {}).values()]
                examples += [content["example"]] if "example" in content else []
                assert examples, (method, path, status)
                for example in examples if "json" in media_type else []:
                    validator(published, content["schema"]).validate(example)


def test_every_request_body_shows_an_example_that_fits_its_schema(published: dict[str, Any]) -> None:
    for method, path, operation in operations(published):
        content = operation.get("requestBody", {}).get("content", {}).get("application/json")
        if content is None:
            assert method in {"get", "delete"} or path.endswith(("/purge", "/cancel")), (method, path)
            continue
        examples = (
            [content["example"]] if "example" in content else referenced(published, content["schema"])["examples"]
        )
        for example in examples:
            validator(published, content["schema"]).validate(example)


def test_every_error_is_a_problem_document_whose_type_has_a_page(published: dict[str, Any]) -> None:
    known = errors_by_slug()
    for _, path, operation in operations(published):
        assert "500" in operation["responses"]
        for status, response in operation["responses"].items():
            if status < "400":
                continue
            assert list(response["content"]) == ["application/problem+json"], path
            for slug, example in response["content"]["application/problem+json"]["examples"].items():
                assert status_of(known[slug]) == int(status)
                assert example["value"]["type"] == f"/problems/{slug}"


def test_long_work_is_202_with_its_location(published: dict[str, Any]) -> None:
    started = [path for _, path, operation in operations(published) if "202" in operation["responses"]]
    assert sorted(started) == [
        "/v1/jobs/{job_id}/cancel",
        "/v1/models",
        "/v1/models/{model}/compare",
        "/v1/models/{model}/forget",
        "/v1/models/{model}/train",
        "/v1/models/{model}/versions/{number}/verify",
    ]
    for _, _, operation in operations(published):
        if "202" in operation["responses"]:
            assert "Location" in operation["responses"]["202"]["headers"]
            assert "Idempotency-Key" in {parameter["name"].title() for parameter in operation["parameters"]}


def test_every_member_of_every_enum_has_a_sentence_of_its_own(published: dict[str, Any]) -> None:
    described = list(enums(published))
    assert len(described) == json.dumps(published).count('"enum": [')
    for schema in described:
        sentences = dict(re.findall(r"^- `([^`]+)`: (.+\.)$", schema.get("description", ""), re.MULTILINE))
        assert list(sentences) == schema["enum"]
        assert len(set(sentences.values())) == len(sentences), sentences


def test_a_property_named_default_or_example_hides_no_enum() -> None:
    schema = {"properties": {"default": {"enum": ["a"]}, "kind": {"enum": ["b"], "examples": [{"enum": ["c"]}]}}}
    assert [found["enum"] for found in enums(schema)] == [["a"], ["b"]]


def test_nothing_in_it_leads_to_another_machine(published: dict[str, Any]) -> None:
    assert "http://" not in json.dumps(published)
    assert "https://" not in json.dumps(published)


def referenced(published: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = published["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return found


def validator(published: dict[str, Any], schema: dict[str, Any]) -> Draft202012Validator:
    return Draft202012Validator(schema | {"components": published["components"]})


if __name__ == "__main__":
    renew()

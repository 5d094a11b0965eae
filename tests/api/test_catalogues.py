from __future__ import annotations

import httpx
import pytest
from jsonschema_rs import Draft202012Validator, meta

from app.specs.methods import METHOD_SPECS
from tests.real_server import assert_problem

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


def test_the_datasets_are_listed_with_their_classes(client: httpx.Client) -> None:
    datasets = {item["name"]: item for item in client.get("/v1/datasets").json()["items"]}
    assert {"mnist", "fashion_mnist", "kmnist", "emnist_digits", "cifar10", "cifar100"} <= set(datasets)
    for name, dataset in datasets.items():
        assert client.get(f"/v1/datasets/{name}").json() == dataset
        assert len(dataset["input_shape"]) == 3
    assert datasets["mnist"]["classes"] == list("0123456789")
    assert datasets["mnist"]["num_train"] == 60_000


def test_an_unknown_dataset_is_404(client: httpx.Client) -> None:
    assert_problem(client.get("/v1/datasets/imagenet"), 404, "dataset-not-found")


def test_every_architecture_publishes_a_schema_that_describes_its_parameters(client: httpx.Client) -> None:
    architectures = {item["name"]: item for item in client.get("/v1/architectures").json()["items"]}
    assert {"mlp", "cnn", "gru", "lstm", "resnet18"} <= set(architectures)
    for name, architecture in architectures.items():
        assert meta.is_valid(architecture["parameters"])
        assert Draft202012Validator(architecture["parameters"]).is_valid({"type": name})
        assert not Draft202012Validator(architecture["parameters"]).is_valid({"type": name, "no_such": 1})


def test_every_method_says_what_it_claims_and_when_not_to_use_it(client: httpx.Client) -> None:
    methods = client.get("/v1/methods").json()["items"]
    assert [method["name"] for method in methods] == list(METHOD_SPECS)
    edit = methods[0]
    assert (edit["claim"], edit["targets"]) == ("edited", ["classes", "tasks"])
    assert "share" in edit["parameters"]["properties"]
    for method in methods[1:]:
        assert method["claim"] == METHOD_SPECS[method["name"]].claim
        assert method["targets"] == list(METHOD_SPECS[method["name"]].targets)
    for method in methods:
        assert method["reference_paper"]
        assert method["when_not"]
        assert meta.is_valid(method["parameters"])
        assert Draft202012Validator(method["parameters"]).is_valid({})
        assert not Draft202012Validator(method["parameters"]).is_valid({"no_such": 1})


@pytest.mark.parametrize("path", ["/v1/datasets", "/v1/architectures", "/v1/methods"])
def test_the_lists_come_in_pages(client: httpx.Client, path: str) -> None:
    everything = client.get(path).json()["items"]
    paged, token = [], None
    while True:
        page = client.get(path, params={"limit": 1} | ({"page_token": token} if token else {})).json()
        assert len(page["items"]) == 1
        paged += page["items"]
        token = page["next_page_token"]
        if token is None:
            break
    assert paged == everything
    assert client.get(path, params={"limit": len(everything)}).json()["next_page_token"] is None
    for limit in (0, 1001, "two"):
        assert_problem(client.get(path, params={"limit": limit}), 422, "invalid-input")
    for wrong in ("nonsense", token_of_models(client)):
        assert_problem(client.get(path, params={"page_token": wrong}), 422, "invalid-page-token")


def token_of_models(client: httpx.Client) -> str:
    for name in ("first", "second"):
        client.post("/v1/models", json={"name": name, "dataset": "mnist"})
    token: str = client.get("/v1/models", params={"limit": 1}).json()["next_page_token"]
    return token

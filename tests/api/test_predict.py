"""Predictions over HTTP with a real predictor process; what the operation does itself is tested beside it."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from app.client import Client
from app.contract.predicting import Predictions
from app.database import migrate
from app.database.engine import Database
from app.operations.lookups import find_model
from app.settings import Settings
from tests.real_server import ADMIN_KEY, assert_problem, serving
from tests.stored_versions import BY_TASK, record_model, record_version, set_state, store_version
from tests.waiting import HANGS_AFTER, wait_until

PREDICT = "/v1/models/digits/predict"
ROW = [0.5] * 16
JSON_TYPE = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Versions 1 and 2 of `digits`, of which 2 serves and has forgotten class 1; `empty` has no version."""
    home = tmp_path_factory.mktemp("home")
    migrate.upgrade(f"sqlite:///{home}/forgettery.db")
    return home


@pytest.fixture(scope="module")
def stored(home: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{home}/forgettery.db")
    model_id = record_model(database)
    for number, forgotten in ((1, ()), (2, (1,)), (3, ())):
        version = store_version(home, number=number, forgotten=forgotten)
        record_version(database, model_id, version, serve=number == 2)
    with database.writing() as session:
        set_state(session, model_id, 3, "quarantined")
    by_task = store_version(home, model="by-task", forgotten=(1,), learning=BY_TASK)
    record_version(database, record_model(database, "by-task"), by_task)
    record_model(database, "empty")
    yield database
    database.dispose()


@pytest.fixture(scope="module")
def client(home: Path, stored: Database) -> Iterator[httpx.Client]:
    settings = Settings.model_validate({"home": home, "worker": "external", "torch_threads": 1, "admin_key": ADMIN_KEY})
    with serving(settings, stored, processes=True) as client:
        client.headers["Authorization"] = f"Bearer {ADMIN_KEY}"
        client.post(PREDICT, json={"inputs": [ROW]})  # waits for the process
        yield client


def test_the_serving_version_answers_and_says_which_it_is(client: httpx.Client) -> None:
    response = client.post(PREDICT, json={"inputs": [ROW, ROW], "probabilities": True})
    assert response.status_code == 200
    answer = Predictions.model_validate_json(response.content)
    assert (answer.model, answer.version) == ("digits", 2)
    assert answer.digest == client.get("/v1/models/digits/versions/2").json()["digest"]
    assert len(answer.predictions) == 2
    for prediction in answer.predictions:
        assert prediction.probabilities is not None
        assert prediction.p_forgotten is not None
        assert prediction.probabilities[1] == 0
        assert sum(prediction.probabilities) + prediction.p_forgotten == pytest.approx(1, abs=1e-5)


def test_a_version_answers_by_number(client: httpx.Client) -> None:
    response = client.post("/v1/models/digits/versions/1/predict", json={"inputs": [ROW]})
    assert response.json()["version"] == 1
    gone = client.post("/v1/models/digits/versions/3/predict", json={"inputs": [ROW]})
    assert_problem(gone, 410, "version-gone")
    unknown = client.post("/v1/models/digits/versions/9/predict", json={"inputs": [ROW]})
    assert_problem(unknown, 404, "version-not-found")


def test_lists_arrays_and_images_of_the_same_input_get_the_same_answer(client: httpx.Client) -> None:
    pixels = np.arange(16, dtype=np.uint8).reshape(4, 4) * 16
    npy, png = io.BytesIO(), io.BytesIO()
    np.save(npy, pixels[None])
    Image.fromarray(pixels).save(png, "PNG")
    as_json = client.post(PREDICT, json={"inputs": [(pixels / 255).tolist()]}).json()
    for content, media_type in ((npy, "application/x-npy"), (png, "image/png; charset=binary")):
        answer = client.post(PREDICT, content=content.getvalue(), headers={"Content-Type": media_type}).json()
        assert answer["predictions"][0]["label"] == as_json["predictions"][0]["label"]
        assert answer["predictions"][0]["confidence"] == pytest.approx(
            as_json["predictions"][0]["confidence"], rel=1e-4
        )


def test_ink_on_paper_is_inverted_and_image_jpg_is_a_jpeg(client: httpx.Client) -> None:
    pixels = np.full((4, 4), 240, np.uint8)
    pixels[1:3, 1:3] = 0
    answers = []
    for image, query in ((255 - pixels, {}), (pixels, {"invert": "true"}), (pixels, {"invert": "auto"}), (pixels, {})):
        jpeg = io.BytesIO()
        Image.fromarray(image).save(jpeg, "JPEG", quality=100)
        sent = client.post(PREDICT, content=jpeg.getvalue(), params=query, headers={"Content-Type": "image/jpg"})
        answers.append(round(sent.json()["predictions"][0]["confidence"], 2))
    assert answers[0] == answers[1] == answers[2] != answers[3]
    refused = client.post(PREDICT, json={"inputs": [ROW]}, params={"invert": "auto"})
    assert_problem(refused, 422, "invalid-input")


def test_the_query_says_how_images_and_arrays_are_answered(client: httpx.Client) -> None:
    npy = io.BytesIO()
    np.save(npy, np.zeros((1, 4, 4), np.float32))
    query = {"on_forgotten": "probabilities", "probabilities": "true"}
    headers = {"Content-Type": "application/x-npy"}
    answer = client.post(PREDICT, content=npy.getvalue(), params=query, headers=headers).json()
    assert len(answer["predictions"][0]["probabilities"]) == 3
    wrong = client.post(PREDICT, content=npy.getvalue(), params={"on_forgotten": "guess"}, headers=headers)
    assert_problem(wrong, 422, "invalid-input")


@pytest.mark.parametrize(
    ("body", "slug"),
    [
        (b'{"inputs": [[0.5]]}', "invalid-shape"),
        (b'{"inputs": []}', "invalid-input"),
        (b'{"inputs": [[2' + b", 0" * 15 + b"]]}", "invalid-value"),
        (b'{"inputs": [[NaN' + b", 0" * 15 + b"]]}", "unreadable-input"),
        (b'{"inputs": [[1e999' + b", 0" * 15 + b"]]}", "invalid-value"),
        (b'{"inputs": ' + b"[" * 50_000, "unreadable-input"),
        (b'{"inputs": [' + b",".join([b"[0]"] * 100_000) + b"]}", "invalid-input"),
        (b"", "unreadable-input"),
        (b"{", "unreadable-input"),
    ],
    ids=["shape", "none", "too large", "NaN", "infinity", "too deep", "100,000 rows", "empty", "truncated"],
)
def test_inputs_that_cannot_be_are_422(client: httpx.Client, body: bytes, slug: str) -> None:
    assert_problem(client.post(PREDICT, content=body, headers=JSON_TYPE), 422, slug)


@pytest.mark.parametrize("media_type", ["text/plain", "", "application/x-www-form-urlencoded", "image/gif"])
def test_other_kinds_of_bodies_are_415(client: httpx.Client, media_type: str) -> None:
    response = client.post(PREDICT, content=b"x", headers={"Content-Type": media_type})
    assert_problem(response, 415, "unsupported-media-type")


def test_a_model_without_version_is_409_and_an_unknown_one_404(client: httpx.Client) -> None:
    waiting = client.post("/v1/models/empty/predict", json={"inputs": [ROW]})
    assert_problem(waiting, 409, "no-serving-version")
    assert_problem(client.post("/v1/models/none/predict", json={"inputs": [ROW]}), 404, "model-not-found")


def test_predictions_are_counted(client: httpx.Client) -> None:
    client.post(PREDICT, json={"inputs": [ROW] * 3})
    lines = client.get("/metrics").text.splitlines()
    counted = [float(line.split()[-1]) for line in lines if line.startswith("forgettery_predictions_total")]
    assert sum(counted) >= 3


def test_no_request_after_a_switch_is_answered_by_the_old_version(client: httpx.Client, stored: Database) -> None:
    stop = threading.Event()
    early: list[int] = []
    late: list[int] = []
    switched_at = [float("inf")]

    def ask() -> None:
        with Client(str(client.base_url), ADMIN_KEY) as asking:
            while not stop.is_set():
                asked_at = time.monotonic()
                answered_by = asking.predict("digits", [ROW]).version
                (late if asked_at > switched_at[0] else early).append(answered_by)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(early) >= 30)
    assert client.put("/v1/models/digits/serving", json={"version": 1}).status_code == 200
    switched_at[0] = time.monotonic()
    wait_until(lambda: len(late) >= 100)
    stop.set()
    for thread in threads:
        thread.join()
    with stored.reading() as session:
        assert find_model(session, "digits").serving_version == 1
    assert set(late) == {1}


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_without_its_process_a_prediction_is_503(settings: Settings, database: Database) -> None:
    version = store_version(settings.home)
    record_version(database, record_model(database), version)
    with serving(settings, database) as client:
        response = client.post(PREDICT, json={"inputs": [ROW]}, timeout=HANGS_AFTER)
        assert_problem(response, 503, "predictor-unavailable")
        assert response.headers["retry-after"]


def test_a_task_is_named_in_the_body_or_for_arrays_in_the_query(client: httpx.Client) -> None:
    npy = io.BytesIO()
    np.save(npy, np.full((1, 4, 4), 0.5, np.float32))
    path, headers = "/v1/models/by-task/predict", {"Content-Type": "application/x-npy"}
    forgotten = {"label": 0, "forgotten": True, "class_name": None, "confidence": 1.0}
    for response in (
        client.post(path, json={"inputs": [ROW], "task": 1}),
        client.post(path, content=npy.getvalue(), params={"task": 1}, headers=headers),
    ):
        assert response.json()["predictions"] == [forgotten]
    other = client.post(path, json={"inputs": [ROW], "task": 0, "probabilities": True}).json()["predictions"][0]
    assert other["probabilities"][1] == other["p_forgotten"] == 0


def test_a_task_that_is_not_there_is_404_and_of_a_model_without_tasks_422(client: httpx.Client) -> None:
    path = "/v1/models/by-task/predict"
    assert_problem(client.post(path, json={"inputs": [ROW], "task": 2}), 404, "task-not-found")
    assert_problem(client.post(path, json={"inputs": [ROW], "task": -1}), 422, "invalid-input")
    assert_problem(client.post(PREDICT, json={"inputs": [ROW], "task": 0}), 422, "invalid-input")
    assert client.get("/problems/task-not-found").status_code == 200

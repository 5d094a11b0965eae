"""The main job on real MNIST, over the client: train, forget, predict 0, and everything that must follow."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.client import Client
from app.contract.forgetting import ForgetCreate, ForgetRequest, ForgetTarget
from app.contract.jobs import Job
from app.contract.models import ModelCreate
from app.contract.training import TrainRequest
from app.errors import (
    AlreadyForgotten,
    ClassForgotten,
    ClassNotFound,
    ModelGone,
    NothingLeft,
    VersionGone,
    VersionRemembers,
    VersionServing,
)
from app.specs.training import Training
from tests.e2e.server_process import Server

NAME = "forgetful"
ONE_EPOCH = Training(epochs=1)
Images = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[Client]:
    with server.client() as opened:
        yield opened


@pytest.fixture(scope="module")
def progress(client: Client) -> list[Job]:
    """A model is trained; the states that its job went through."""
    states: list[Job] = []
    body = ModelCreate(name=NAME, dataset="mnist", training=Training(epochs=2))
    client.wait_for_job(client.create_model(body).job, on_progress=states.append)
    return states


@pytest.fixture(scope="module")
def before(client: Client, progress: list[Job], test_images: Images) -> list[Any]:
    """What version 1 answered."""
    return client.predict(NAME, test_images[0]).predictions


@pytest.fixture(scope="module")
def forgotten(client: Client, before: list[Any]) -> ForgetRequest:
    """Class 2 is forgotten by the default request."""
    asked = ForgetCreate(target=ForgetTarget(classes=[2]), reason="the reason is not for the log")
    request = client.forget(NAME, asked)
    client.wait_for_job(request.job)
    return client.forget_request(request.id)


@pytest.fixture(scope="module")
def trained_further(client: Client, forgotten: ForgetRequest) -> int:
    """Number of the version that one more epoch made."""
    started = client.train(NAME, TrainRequest(training=ONE_EPOCH))
    number: int = (client.wait_for_job(started.job).result or {})["version"]
    return number


def test_a_model_learns_mnist_and_says_how_far_it_is(
    client: Client, progress: list[Job], before: list[Any], test_images: Images
) -> None:
    fractions = [job.progress.fraction for job in progress]
    assert fractions == sorted(fractions)
    assert progress[-1].result == {"version": 1, "served": True}
    right = [answer.label == label for answer, label in zip(before, test_images[1], strict=True)]
    assert np.mean(right) > 0.9
    assert not any(answer.forgotten for answer in before)


def test_the_forgotten_class_is_answered_0_and_the_others_are_right(
    client: Client, forgotten: ForgetRequest, test_images: Images
) -> None:
    images, labels = test_images
    answers = client.predict(NAME, images)
    assert answers.version == 2
    twos = [answer for answer, label in zip(answers.predictions, labels, strict=True) if label == 2]
    others = [(answer, label) for answer, label in zip(answers.predictions, labels, strict=True) if label != 2]
    assert np.mean([answer.forgotten and answer.label == 0 for answer in twos]) > 0.85
    assert np.mean([answer.label == label and not answer.forgotten for answer, label in others]) > 0.9
    assert all(answer.label != 2 for answer in answers.predictions)


def test_the_report_says_what_was_measured(forgotten: ForgetRequest) -> None:
    assert (forgotten.status, forgotten.verdict, forgotten.claim) == ("completed", "passed", "edited")
    assert (forgotten.parent_version, forgotten.version) == (1, 2)
    report = forgotten.report
    assert report is not None
    assert all(criterion.passed for criterion in report.gate)
    assert report.before.forget_accuracy is not None
    assert report.before.forget_accuracy > 0.9
    assert report.after.forget_accuracy == 0
    assert sum(report.weights_changed.values()) > 0


@pytest.mark.parametrize(
    ("on_forgotten", "label"), [("zero", 0), ("token", "[forgotten]"), ("probabilities", None), ("next_best", 3)]
)
def test_a_forgotten_input_is_answered_as_asked_for(
    client: Client, forgotten: ForgetRequest, on_forgotten: Any, label: Any
) -> None:
    two = Path("docs/examples/two.png").read_bytes()
    answer = client.predict(NAME, two, on_forgotten=on_forgotten, probabilities=True).predictions[0]
    assert answer.forgotten
    assert answer.class_name is None or on_forgotten == "next_best"
    if on_forgotten == "next_best":
        assert answer.label not in (2, None)
    else:
        assert answer.label == label
    assert answer.probabilities is not None
    assert answer.probabilities[2] == 0
    assert answer.p_forgotten is not None
    assert sum(answer.probabilities) + answer.p_forgotten == pytest.approx(1, abs=1e-5)


def test_the_version_that_remembers_is_out_of_reach(
    client: Client, forgotten: ForgetRequest, test_images: Images, tmp_path: Path
) -> None:
    assert client.version(NAME, 1).state == "quarantined"
    with pytest.raises(VersionGone):
        client.predict(NAME, test_images[0][:1], version=1)
    with pytest.raises(VersionGone):
        client.download_weights(NAME, 1, tmp_path / "remembers.safetensors")
    with pytest.raises(VersionRemembers):
        client.set_serving(NAME, 1)


def test_the_weights_of_the_new_version_are_what_its_digest_says(
    client: Client, forgotten: ForgetRequest, tmp_path: Path, server: Server
) -> None:
    path = client.download_weights(NAME, 2, tmp_path / "forgot.safetensors")
    digest = f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
    assert client.version(NAME, 2).digest == digest == client.predict(NAME, [[0.0] * 784]).digest
    folder = server.home / "models" / NAME / "2"
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["forgotten"]["classes"] == [2]
    assert (folder / "README.md").exists()


def test_what_was_forgotten_cannot_be_forgotten_again_or_learned_by_name(
    client: Client, forgotten: ForgetRequest
) -> None:
    with pytest.raises(AlreadyForgotten):
        client.forget(NAME, ForgetCreate(target=ForgetTarget(classes=[2])))
    with pytest.raises(ClassForgotten):
        client.train(NAME, TrainRequest(classes=[2]))
    assert [event.event for event in client.audit_events(model=NAME, event="relearning.refused")]


def test_targets_that_cannot_be_are_refused(client: Client, forgotten: ForgetRequest) -> None:
    with pytest.raises(ClassNotFound):
        client.forget(NAME, ForgetCreate(target=ForgetTarget(classes=[10])))
    with pytest.raises(NothingLeft):
        client.forget(NAME, ForgetCreate(target=ForgetTarget(classes=[0, 1, 3, 4, 5, 6, 7, 8, 9])))


def test_a_plan_changes_nothing(client: Client, forgotten: ForgetRequest) -> None:
    size = client.verify_audit_log().size
    plan = client.plan_forget(NAME, ForgetCreate(target=ForgetTarget(classes=[5])))
    assert plan.claim == "edited"
    assert plan.quarantined_versions
    assert client.verify_audit_log().size == size
    assert 5 not in client.model(NAME).forgotten.classes


def test_further_training_keeps_the_class_forgotten(client: Client, trained_further: int, test_images: Images) -> None:
    assert client.model(NAME).serving_version == trained_further
    assert client.version(NAME, trained_further).forgotten.classes == [2]
    images, labels = test_images
    answers = client.predict(NAME, images[labels == 2]).predictions
    assert np.mean([answer.forgotten for answer in answers]) > 0.8


def test_the_log_tells_the_story_and_holds(client: Client, forgotten: ForgetRequest) -> None:
    events = list(client.audit_events(forget_request=forgotten.id))
    assert [event.event for event in events] == [
        "forget.requested",
        "forget.started",
        "version.quarantined",
        "version.published",
        "verification.completed",
        "forget.completed",
    ]
    assert {event.actor for event in client.audit_events(model=NAME)} == {"local"}
    assert "the reason is not for the log" not in "".join(event.model_dump_json() for event in client.audit_events())
    verified = client.verify_audit_log()
    assert verified.ok
    assert verified.problems == []
    assert [event.index for event in client.audit_events()] == list(range(verified.size))


def test_purging_destroys_the_weights_and_keeps_the_record(
    client: Client, forgotten: ForgetRequest, server: Server
) -> None:
    folder = server.home / "models" / NAME / "1"
    assert (folder / "model.safetensors").exists()
    purged = client.purge_version(NAME, 1)
    assert purged.state == "purged"
    assert purged.digest == client.version(NAME, 1).digest
    assert not (folder / "model.safetensors").exists()
    assert (folder / "manifest.json").exists()
    with pytest.raises(VersionServing):
        client.purge_version(NAME, client.model(NAME).serving_version or 0)
    assert client.verify_audit_log().ok


def test_no_prediction_asked_for_after_a_switch_comes_from_the_old_version(
    client: Client, server: Server, trained_further: int, test_images: Images
) -> None:
    image = test_images[0][:1]
    stop, seen = threading.Event(), set()

    def ask_without_pause() -> None:
        with server.client() as own:
            while not stop.is_set():
                seen.add(own.predict(NAME, image).version)

    threads = [threading.Thread(target=ask_without_pause) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for number in [2, trained_further] * 20:
            client.set_serving(NAME, number)
            assert client.predict(NAME, image).version == number
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert seen == {2, trained_further}


def test_a_deleted_model_is_gone_and_its_events_stay(
    client: Client, server: Server, trained_further: int, test_images: Images
) -> None:
    client.delete_model(NAME)
    with pytest.raises(ModelGone):
        client.predict(NAME, test_images[0][:1])
    assert not list((server.home / "models").glob(f"{NAME}/*/*.safetensors"))
    events = [event.event for event in client.audit_events(model=NAME)]
    assert events.count("model.deleted") == 1
    assert events.count("version.purged") == trained_further
    assert client.verify_audit_log().ok

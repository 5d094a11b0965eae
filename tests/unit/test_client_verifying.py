"""The client's verbs of comparing, verifying and guards, against a scripted server behind a real socket."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest

from app.api.examples import COMPARE_JOB, QUEUED_VERIFICATION, UNGUARDED_VERSION, VERIFICATION
from app.client import Client
from app.contract.comparing import CompareCreate, ComparedMethod
from app.contract.forgetting import ForgetTarget
from app.contract.jobs import Job
from app.contract.verifying import VerifyCreate
from app.errors import Conflict, ModelNotFound
from tests.unit.recorder import Recorder, page_of

JOB: dict[str, Any] = COMPARE_JOB
FOUND: dict[str, Any] = VERIFICATION
ID, JOB_ID = UUID(FOUND["id"]), UUID(JOB["id"])
FIGURES = (
    *("forget_accuracy", "retain_accuracy", "test_accuracy", "refusal_rate", "false_refusal_rate"),
    *("probe_gap", "mia_gap", "seconds", "ratio_to_retraining"),
)
COMPARISON: dict[str, Any] = {
    "target": {"samples": [17]},
    "num_samples": 1,
    "version": 1,
    "rows": [],
    "original": dict.fromkeys(FIGURES, 0.5),
    "retrained": dict.fromkeys(FIGURES),
}


@pytest.fixture
def client(recorder: Recorder) -> Iterator[Client]:
    with Client(recorder.url) as client:
        yield client


def test_a_comparison_is_started_with_what_is_to_be_compared(recorder: Recorder, client: Client) -> None:
    recorder.answers["POST /v1/models/digits/compare"] = JOB
    body = CompareCreate(target=ForgetTarget(samples=[17]), methods=[ComparedMethod(method="euk")], num_references=2)
    assert client.compare("digits", body).kind == "compare"
    sent = recorder.asked[-1].body
    assert sent["target"]["samples"] == [17]
    assert (sent["methods"], sent["num_references"]) == ([{"method": "euk", "parameters": {}}], 2)


def test_the_table_is_read_by_job_or_by_its_id(recorder: Recorder, client: Client) -> None:
    ended = JOB | {"status": "succeeded", "result": COMPARISON}
    recorder.answers[f"GET /v1/jobs/{JOB_ID}"] = ended
    for job in (JOB_ID, Job.model_validate(JOB)):
        comparison = client.comparison(job)
        assert (comparison.num_samples, comparison.original.seconds) == (1, 0.5)


@pytest.mark.parametrize("changes", [{}, {"kind": "train", "status": "succeeded", "result": {"version": 1}}])
def test_a_job_that_holds_no_comparison_is_a_conflict(
    recorder: Recorder, client: Client, changes: dict[str, Any]
) -> None:
    recorder.answers[f"GET /v1/jobs/{JOB_ID}"] = JOB | changes
    with pytest.raises(Conflict, match="holds no comparison"):
        client.comparison(JOB_ID)


def test_the_plot_comes_as_the_bytes_of_the_format_that_was_asked_for(recorder: Recorder, client: Client) -> None:
    recorder.answers |= {f"GET /v1/jobs/{JOB_ID}/plot.{ending}": ending.encode() for ending in ("svg", "png")}
    assert client.comparison_plot(JOB_ID) == b"svg"
    assert client.comparison_plot(Job.model_validate(JOB), "png") == b"png"


def test_a_verification_is_started_and_read_again_with_its_report(recorder: Recorder, client: Client) -> None:
    recorder.answers |= {
        "POST /v1/models/digits/versions/2/verify": QUEUED_VERIFICATION,
        f"GET /v1/verifications/{ID}": FOUND,
    }
    started = client.verify(
        "digits", 2, VerifyCreate(depth="fast", forget_request=UUID(FOUND["forget_request"]), repeat=True)
    )
    assert (started.id, started.status, started.report) == (ID, "queued", None)
    body = recorder.asked[-1].body
    assert (body["depth"], body["forget_request"], body["repeat"]) == ("fast", FOUND["forget_request"], True)
    found = client.verification(started.id)
    assert (found.status, found.verdict) == ("completed", "passed")
    assert found.report is not None
    assert [each.name for each in found.report.criteria] == [each["name"] for each in FOUND["report"]["criteria"]]


def test_verifications_are_listed_by_what_is_given_alone(recorder: Recorder, client: Client) -> None:
    recorder.answers["GET /v1/verifications"] = page_of(FOUND)
    request = uuid4()
    assert [found.id for found in client.verifications(version=2, forget_request=request)] == [ID]
    assert recorder.asked[-1].query == {"version": "2", "forget_request": str(request)}
    list(client.verifications(model="digits", depth="deep"))
    assert recorder.asked[-1].query == {"model": "digits", "depth": "deep"}


def test_deleting_a_guard_answers_with_the_version_as_it_is_then(recorder: Recorder, client: Client) -> None:
    recorder.answers["DELETE /v1/models/digits/versions/2/guard"] = UNGUARDED_VERSION
    version = client.delete_guard("digits", 2)
    assert version.guard is not None
    assert version.guard.classes == [2]
    assert version.guard.deleted_at is not None


def test_what_the_server_refuses_is_raised(client: Client) -> None:
    for call in (
        lambda: client.compare("digits", CompareCreate(target=ForgetTarget(classes=[2]))),
        lambda: client.verify("digits", 2, VerifyCreate()),
        lambda: client.delete_guard("digits", 2),
        lambda: client.comparison_plot(JOB_ID),
        lambda: client.verification(ID),
    ):
        with pytest.raises(ModelNotFound):
            call()

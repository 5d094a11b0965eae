"""A request judged by a retrained model, verified deeply, through server, client and command line; and a kill on the way."""

from __future__ import annotations

import pytest

from app.client import Client
from app.contract.forgetting import ForgetCreate, ForgetRequest, ForgetTarget
from app.contract.jobs import Job
from tests.e2e.conftest import StartServer
from tests.e2e.processes import family_of, freeze, kill, modules_of, thaw
from tests.e2e.server_process import Server
from tests.e2e.small_models import assert_disk_and_record_agree, learn
from tests.waiting import wait_until

pytestmark = pytest.mark.slow


def forget_by_euk(client: Client, name: str) -> ForgetRequest:
    parameters = {"layers": 1, "steps": 100}
    asked = {"target": ForgetTarget(classes=[2]), "method": "euk", "refusal": "calibrate", "parameters": parameters}
    return client.forget(name, ForgetCreate.model_validate(asked | {"num_references": 1}))


def reference_of(client: Client) -> Job:
    (job,) = client.jobs(kind="reference")
    return job


def attempts_of(server: Server) -> list[int]:
    """The living processes in which jobs are computed."""
    assert server.process is not None
    return family_of(modules_of(server.process.pid)["app.service.worker_process"]).attempts


def works_on_the_reference(client: Client, attempts: list[int]) -> bool:
    """Whether one attempt alone is there and in mid-work on the reference; it is frozen then, and goes on otherwise."""
    freeze(attempts)
    reference = client.job(reference_of(client).id)
    found = len(attempts) == 1 and reference.status == "running" and reference.progress.stage != "starting"
    if not found:
        thaw(attempts)
    return found


def test_a_request_waits_for_its_reference_whose_attempt_is_killed(start_server: StartServer) -> None:
    server = start_server()
    with server.client() as client:
        client.wait_for_job(learn(client, "digits"))
        request = forget_by_euk(client, "digits")
        wait_until(lambda: works_on_the_reference(client, attempts_of(server)))
        (attempt,) = attempts_of(server)
        kill(attempt)
        client.wait_for_job(request.job)
        reference = client.job(reference_of(client).id)
        assert (reference.status, reference.attempts) == ("succeeded", 2)
        done = client.forget_request(request.id)
        assert done.report is not None
        assert done.report.verification is not None
        assert done.report.verification.references == [1]
        assert done.verification is not None
        assert client.verification(done.verification).report == done.report.verification

        assert (done.status, done.version) == ("completed", 2)

        found = server.run_json("versions", "verify", "digits", "2")
        assert found["status"] == "completed"
        assert found["report"]["references"] == [1, 2, 3]
        assert found["report"]["control"]["original_fails"] is True
        shown = server.run("verifications", "show", found["id"]).stdout
        assert "Control, by the same criteria" in shown
        assert "What this does not prove" in shown
        assert [job.status for job in client.jobs() if job.status != "succeeded"] == []
        assert_disk_and_record_agree(client, server.home, ["digits"])


def test_a_retraining_is_repeated_in_another_process_with_the_same_bits(start_server: StartServer) -> None:
    server = start_server()
    with server.client() as client:
        client.wait_for_job(learn(client, "digits"))
        asked = {"target": ForgetTarget(classes=[2]), "method": "retrain", "refusal": "calibrate", "reference": "none"}
        client.wait_for_job(client.forget("digits", ForgetCreate.model_validate(asked)).job)
        options = ("--depth", "fast", "--reference", "none", "--repeat")
        found = server.run_json("versions", "verify", "digits", "2", *options)
        assert found["report"]["repetition"] == {"equal": True, "digest": found["report"]["digest"], "why_not": None}
        assert (found["verdict"], found["claim"]) == ("passed", "exact")
        (event,) = [each for each in client.audit_events() if each.details.get("repeated_equal") is not None]
        assert (event.event, event.version, event.details["repeated_equal"]) == ("verification.completed", 2, True)

"""The main job by a client that `openapi-python-client` makes from the served document, with every default it declares.

The generator demands other versions of libraries of ours, so it is installed into an environment of its own.
"""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
import time
import venv
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import numpy as np
import pytest

from tests.declared_defaults import spelled_out
from tests.e2e.conftest import server, test_images
from tests.e2e.server_process import ROOT, Server
from tests.waiting import HANGS_AFTER

__all__ = ["server", "test_images"]  # fixtures

pytestmark = pytest.mark.slow  # the generator is installed first

GENERATOR = "openapi-python-client==0.29.1"
PACKAGE = "generated_forgettery_client"
NAME = "generated"

Images = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]


class Generated:
    """The generated package: its functions by room and name, its models by name, and a client for them all."""

    def __init__(self, url: str) -> None:
        self.models = importlib.import_module(f"{PACKAGE}.models")
        opened = importlib.import_module(f"{PACKAGE}.client").Client
        self.http = opened(base_url=url, timeout=httpx.Timeout(HANGS_AFTER), raise_on_unexpected_status=True)

    def call(self, function: str, *path: Any, expected: str, **given: Any) -> Any:
        """What the function answers, which must be of the class that the document promises."""
        room, _, name = function.partition(".")
        called: ModuleType = importlib.import_module(f"{PACKAGE}.api.{room}.{name}")
        answer = called.sync(*path, client=self.http, **given)
        assert isinstance(answer, getattr(self.models, expected)), answer
        return answer

    def carried_out(self, job: Any) -> Any:
        """The job once it has ended, which must have succeeded."""
        give_up_at = time.monotonic() + HANGS_AFTER
        while job.status in {"queued", "running"}:
            assert time.monotonic() < give_up_at, job
            time.sleep(0.2)
            job = self.call("jobs.get_job", job.id, expected="Job")
        assert job.status == "succeeded", job
        return job


@pytest.fixture(scope="module")
def document(server: Server) -> dict[str, Any]:
    published: dict[str, Any] = httpx.get(f"{server.url}/openapi.json").json()
    return published


@pytest.fixture(scope="module")
def generated(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Generated]:
    """The client; a single warning of the generator is an error."""
    folder = tmp_path_factory.mktemp("generator")
    programs = install_generator(folder)
    settings = folder / "settings.yml"
    settings.write_text(documented_settings(), encoding="utf-8")
    made = subprocess.run(
        [
            *(programs / "openapi-python-client", "generate", "--fail-on-warning", "--meta", "none"),
            *("--url", f"{server.url}/openapi.json", "--config", settings, "--output-path", folder / PACKAGE),
        ],
        env=os.environ | {"PATH": f"{programs}:{os.environ['PATH']}", "NO_PROXY": "127.0.0.1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (made.returncode, "WARNING" in made.stdout + made.stderr) == (0, False), made.stdout + made.stderr
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        client = Generated(server.url)
        with client.http:
            yield client
    for name in [name for name in sys.modules if name.partition(".")[0] == PACKAGE]:
        del sys.modules[name]


def install_generator(folder: Path) -> Path:
    """Where its programs are."""
    venv.create(folder / "venv", with_pip=True)
    programs = folder / "venv/bin"
    subprocess.run([programs / "pip", "install", "--quiet", "--disable-pip-version-check", GENERATOR], check=True)
    return programs


def documented_settings() -> str:
    """What the page tells its readers to give the generator."""
    [found] = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs/http.md").read_text(encoding="utf-8"), re.DOTALL)
    return str(found)


def assert_sends_every_default(document: dict[str, Any], body: Any) -> None:
    """Every one but null, which means left out."""
    sent = body.to_dict()
    assert without_nulls(spelled_out(document, type(body).__name__, sent)) == sent


def without_nulls(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {name: without_nulls(inner) for name, inner in value.items() if inner is not None}


def test_the_main_job_by_a_generated_client_that_sends_every_declared_default(
    generated: Generated, document: dict[str, Any], test_images: Images
) -> None:
    models = generated.models
    asked = models.ModelCreate(
        name=NAME,
        dataset="mnist",
        architecture=models.Mlp(hidden=[64]),
        learning=models.Standard(),
        training=models.Training(epochs=1),
    )
    assert_sends_every_default(document, asked)
    created = generated.call("models.create_model", body=asked, expected="ModelAndJob")
    assert generated.carried_out(created.job).result.to_dict() == {"version": 1, "served": True}

    images, labels = test_images
    inputs = models.PredictRequest(inputs=(images[:200] / 255).tolist())
    assert_sends_every_default(document, inputs)
    answers = generated.call("predict.predict_serving", NAME, body=inputs, expected="Predictions")
    assert np.mean([answer.label == label for answer, label in zip(answers.predictions, labels, strict=False)]) > 0.85

    asked = models.ForgetCreate(target=models.ForgetTarget(classes=[2]), parameters=models.EditParameters())
    assert_sends_every_default(document, asked)
    planned = models.ForgetCreate.from_dict(asked.to_dict() | {"dry_run": True})
    plan = generated.call("forget.start_forgetting", NAME, body=planned, expected="ForgetPlan")
    request = generated.call("forget.start_forgetting", NAME, body=asked, expected="ForgetRequest")
    generated.carried_out(request.job)
    done = generated.call("forget.get_forget_request", request.id, expected="ForgetRequest")
    assert (done.status, done.verdict, done.claim, done.refusal) == ("completed", "passed", plan.claim, "push")

    answers = generated.call("predict.predict_serving", NAME, body=inputs, expected="Predictions")
    refused = [answer.forgotten for answer in answers.predictions]
    assert np.mean([forgotten for forgotten, label in zip(refused, labels, strict=False) if label == 2]) > 0.8
    assert np.mean([forgotten for forgotten, label in zip(refused, labels, strict=False) if label != 2]) < 0.1
    tokens = models.PredictRequest.from_dict(inputs.to_dict() | {"on_forgotten": "token", "probabilities": True})
    answers = generated.call("predict.predict_version", NAME, 2, body=tokens, expected="Predictions")
    assert {answer.label for answer in answers.predictions if answer.forgotten} == {"[forgotten]"}
    assert all(len(answer.probabilities) == 10 for answer in answers.predictions)

    asked = models.VerifyCreate()
    assert_sends_every_default(document, asked)
    verification = generated.call("verifications.verify_version", NAME, 2, body=asked, expected="Verification")
    generated.carried_out(verification.job)
    found = generated.call("verifications.get_verification", verification.id, expected="Verification")
    assert (found.status, found.depth, found.report.references) == ("completed", "deep", [1, 2, 3])

    further = models.TrainRequest(training=models.TrainingChanges(epochs=1))
    assert_sends_every_default(document, further)
    trained = generated.call("models.train_model", NAME, body=further, expected="ModelAndJob")
    assert generated.carried_out(trained.job).result.to_dict() == {"version": 3, "served": True}

    events = generated.call("audit.list_audit_events", model=NAME, expected="PageAuditEvent")
    assert {"model.created", "forget.completed", "verification.completed"} <= {event.event for event in events.items}
    assert generated.call("audit.verify_audit_log", expected="AuditVerification").ok


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        ("catalogues.list_architectures", "PageArchitectureInfo"),
        ("catalogues.list_datasets", "PageDataset"),
        ("catalogues.list_methods", "PageMethodInfo"),
        ("forget.list_forget_requests", "PageForgetRequest"),
        ("jobs.list_jobs", "PageJob"),
        ("models.list_models", "PageModel"),
        ("service.get_readiness", "Readiness"),
        ("verifications.list_verifications", "PageVerification"),
    ],
)
def test_what_a_generated_client_reads_with_every_default_is_what_the_document_promises(
    generated: Generated, function: str, expected: str
) -> None:
    generated.call(function, expected=expected)


def test_an_error_is_a_problem_to_a_generated_client(generated: Generated) -> None:
    problem = generated.call("models.get_model", "nobody", expected="Problem")
    assert (problem.status, problem.type_) == (404, "/problems/model-not-found")

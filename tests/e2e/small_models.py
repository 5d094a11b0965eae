"""Models that learn and forget in seconds, and what must hold of them and of their home at any time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from app.client import Client
from app.contract.forgetting import ForgetCreate, ForgetRequest, ForgetTarget
from app.contract.jobs import Job
from app.contract.models import ModelCreate
from app.specs.architectures import Mlp
from app.specs.methods.edit import EditParameters
from app.specs.training import Training
from tests.waiting import wait_until

SMALL = Mlp(hidden=(16,))
ONE_EPOCH = Training(epochs=1)
Images = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]


def learn(client: Client, name: str) -> Job:
    body = ModelCreate(name=name, dataset="mnist", architecture=SMALL, training=ONE_EPOCH)
    return client.create_model(body).job


def forget(client: Client, name: str, number: int) -> ForgetRequest:
    asked = ForgetCreate(target=ForgetTarget(classes=[number]), scope="output", refusal="none")
    return client.forget(name, asked)


def forget_slowly(client: Client, name: str, number: int) -> ForgetRequest:
    """Takes long enough to change the world meanwhile; whether it would pass the gate is left open."""
    parameters = EditParameters(push_steps=10_000)
    return client.forget(name, ForgetCreate(target=ForgetTarget(classes=[number]), parameters=parameters))


def open_jobs(client: Client) -> list[Job]:
    return [job for job in client.jobs() if job.status in {"queued", "running"}]


def assert_disk_and_record_agree(client: Client, home: Path, models: list[str]) -> None:
    """Every version has its folder and every folder its version, nothing is left staged, and the log holds."""
    recorded = {(name, version.number) for name in models for version in client.versions(name)}
    stored = {(folder.parent.name, int(folder.name)) for folder in (home / "models").glob("*/*")}
    assert stored == recorded
    # An attempt whose job has ended may still be exiting.
    wait_until(lambda: not any((home / "staging").iterdir()))
    verified = client.verify_audit_log()
    assert (verified.ok, verified.problems) == (True, [])


def assert_predicts(client: Client, name: str, images: np.ndarray[Any, Any]) -> None:
    model, answers = client.model(name), client.predict(name, images)
    assert answers.version == model.serving_version
    assert not {answer.class_name for answer in answers.predictions if not answer.forgotten} & {
        str(number) for number in model.forgotten.classes
    }

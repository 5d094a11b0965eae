"""Learning in shards from end to end: trained by command line, samples and a class forgotten by the client, served."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from app.client import Client
from app.contract.forgetting import ForgetCreate, ForgetRequest, ForgetTarget
from app.contract.training import TrainRequest
from app.errors import NotApplicable
from tests.e2e.server_process import Server

pytestmark = pytest.mark.slow
NAME = "shards-end-to-end"
SMALL = ["--mode", "sisa", "--shards", "3", "--slices", "2", "--hidden", "16", "--epochs", "2"]
TWO, SEVEN = "docs/examples/two.png", "docs/examples/seven.png"
Images = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]


@pytest.fixture(scope="module")
def learned(server: Server) -> Any:
    return server.run_json("train", NAME, *SMALL)


def carried_out(client: Client, asked: ForgetCreate) -> ForgetRequest:
    request = client.forget(NAME, asked)
    client.wait_for_job(request.job)
    return client.forget_request(request.id)


def test_samples_then_a_class_are_forgotten_exactly_and_the_model_serves_on(
    server: Server, learned: Any, test_images: Images
) -> None:
    images, labels = test_images
    assert learned["number"] == 1
    with server.client() as client:
        samples = [number for number in range(40) if number % 2]
        done = carried_out(client, ForgetCreate(target=ForgetTarget(samples=samples), method="sisa"))
        assert (done.status, done.verdict, done.claim, done.version) == ("completed", "passed", "exact", 2)
        answers = client.predict(NAME, images[:200])
        found = np.array([answer.label for answer in answers.predictions])
        assert np.mean(found == labels[:200]) > 0.8
        assert client.version(NAME, 1).state == "quarantined"
        done = carried_out(client, ForgetCreate(target=ForgetTarget(classes=[2]), method="retrain"))
        assert (done.status, done.claim, done.version) == ("completed", "exact", 3)
        assert client.version(NAME, 3).forgotten.classes == [2]
        with pytest.raises(NotApplicable):
            client.train(NAME, TrainRequest())

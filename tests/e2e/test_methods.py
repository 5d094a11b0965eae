"""The methods beside `edit` through the HTTP API of a real server, on a small model."""

from __future__ import annotations

from typing import Any

import pytest

from app.contract.forgetting import ForgetCreate, ForgetRequest
from tests.e2e.server_process import Server
from tests.e2e.small_models import learn

pytestmark = pytest.mark.slow
NAME = "methods"
EUK: dict[str, Any] = {"method": "euk", "parameters": {"layers": 1, "steps": 150, "utility_budget": 0.05}}
RETRAIN: dict[str, Any] = {"method": "retrain", "refusal": "calibrate", "parameters": {"utility_budget": 0.05}}


def test_samples_and_classes_are_forgotten_by_methods_with_a_verdict_and_a_claim_each(server: Server) -> None:
    with server.client() as client:
        client.wait_for_job(learn(client, NAME))

        def done(body: dict[str, Any]) -> ForgetRequest:
            request = client.forget(NAME, ForgetCreate.model_validate(body))
            client.wait_for_job(request.job)
            return client.forget_request(request.id)

        samples = done({"target": {"samples": list(range(100, 200))}, **EUK, "reference": "none"})
        assert (samples.status, samples.verdict, samples.claim) == ("completed", "inconclusive", "edited")
        assert client.model(NAME).forgotten.num_samples == 100
        two = done({"target": {"classes": [2]}, **EUK, "refusal": "calibrate"})
        assert (two.status, two.verdict) == ("completed", "passed")
        assert two.report is not None
        assert two.report.verification is not None
        assert len(two.report.verification.references) == 3
        five = done({"target": {"classes": [5]}, **RETRAIN})
        assert (five.status, five.verdict, five.claim) == ("completed", "passed", "exact")
        assert client.model(NAME).forgotten.classes == [2, 5]

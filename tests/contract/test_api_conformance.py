"""Whatever is sent, the server answers as its OpenAPI document says: no unexpected error, no undeclared status."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.stateful import run_state_machine_as_test
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.generation.stateful.state_machine import StepInput, StepOutput

from app.database import migrate
from app.database.engine import Database
from app.settings import Settings
from tests.real_server import ADMIN_KEY, serving
from tests.stored_versions import record_model, record_version, store_version
from tests.waiting import HANGS_AFTER

pytestmark = pytest.mark.slow

load_all_checks()
NOT_OURS = {
    "positive_data_acceptance",  # valid by its schema is not always possible: a model must exist, a class be there
    "negative_data_rejection",  # a path that no resource can have is 404, by contract
    "missing_required_header",
    "unsupported_method",  # OPTIONS is 405 as it should be, with a problem document
    "use_after_free",  # deleted names stay known as 410
    "ensure_resource_availability",
    "ignored_auth",  # tests/api/test_authentication.py knows which routes are open
}
CHECKED: list[Any] = [check for check in CHECKS.get_all() if check.__name__ not in NOT_OURS]

FEWEST_TRANSITIONS, FEWEST_STEPS = 3, 5
"""So many ways from one answer to the next request are tried at the least, so often; the seed is always the same."""
PUBLISHED = json.loads(Path(__file__).with_name("openapi.json").read_text(encoding="utf-8"))
OPERATIONS = [
    (method, path)
    for path, methods in PUBLISHED["paths"].items()
    for method in methods
    # Without worker and predictor the first never ends, and the others are 503, as they should.
    if not path.endswith(("/events", "/readyz", "/predict"))
]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server with a model of two versions."""
    home = tmp_path_factory.mktemp("home")
    migrate.upgrade(f"sqlite:///{home}/forgettery.db")
    database = Database(f"sqlite:///{home}/forgettery.db")
    model_id = record_model(database)
    for number in (1, 2):
        record_version(database, model_id, store_version(home, number=number))
    chosen = Settings.model_validate({"home": home, "admin_key": ADMIN_KEY, "download": False})
    with serving(chosen, database) as client:
        yield str(client.base_url)
    database.dispose()


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_every_answer_is_a_documented_one(url: str, method: str, path: str) -> None:
    schema = schemathesis.openapi.from_dict(PUBLISHED)

    @settings(
        max_examples=15,
        derandomize=True,
        deadline=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=schema[path][method.upper()].as_strategy())
    def check(case: schemathesis.Case[Any]) -> None:
        headers = {"Authorization": f"Bearer {ADMIN_KEY}"}
        case.call_and_validate(base_url=url, headers=headers, checks=CHECKED, timeout=HANGS_AFTER)

    check()


def test_no_sequence_of_requests_that_follow_from_one_another_ends_in_an_unexpected_error(url: str) -> None:
    """Each takes ids and names out of the answers before it. Without a predictor its 503 is expected, and no other."""
    schema = schemathesis.openapi.from_dict(PUBLISHED).exclude(path_regex="/events$|^/readyz$")

    followed = Counter[str]()

    class Sequences(schema.as_state_machine()):  # type: ignore[misc]  # made at run time
        def get_call_kwargs(self, _case: schemathesis.Case[Any]) -> dict[str, Any]:
            return {"base_url": url, "headers": {"Authorization": f"Bearer {ADMIN_KEY}"}, "timeout": 60}

        def step(self, input: StepInput) -> StepOutput:  # noqa: A002  schemathesis' name
            if input.transition is not None and input.is_applied:
                followed[input.transition.id] += 1
            output: StepOutput = super().step(input)
            return output

        def validate_response(self, response: Any, case: schemathesis.Case[Any], **_: Any) -> None:
            allowed = response.status_code < 500 or (
                case.path.endswith("/predict") and response.json()["type"] == "/problems/predictor-unavailable"
            )
            assert allowed, f"{case.method} {case.formatted_path}: {response.status_code} {response.text}"

    run_state_machine_as_test(
        Sequences,
        settings=settings(
            max_examples=40,
            stateful_step_count=10,
            derandomize=True,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    assert len(followed) >= FEWEST_TRANSITIONS, followed
    assert followed.total() >= FEWEST_STEPS, followed

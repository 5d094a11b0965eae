from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from app.operations.administration import housekeeping
from app.operations.models import models
from tests.unit.operations.conftest import CALLER, House

EUK: dict[str, Any] = {
    "method": "euk",
    "refusal": "calibrate",
    "parameters": {"layers": 1, "steps": 60},
    "num_references": 2,
}
HOPELESS: dict[str, Any] = {
    "method": "finetune",
    "refusal": "calibrate",
    "parameters": {"steps": 1, "learning_rate": 1e-6, "utility_budget": 0.0},
    "num_references": 2,
}
SAMPLES: dict[str, Any] = {"samples": tuple(range(0, 600, 3)), **HOPELESS, "refusal": "none"}


def kept(house: House) -> dict[Path, int]:
    """Files by path below the home, with their inode, which tells one that was written anew."""
    root = house.settings.home / "observations"
    return {path.relative_to(root): path.stat().st_ino for path in root.rglob("*.safetensors")}


def ask(house: House, *classes: int, **options: Any) -> str:
    """Forget, with the references that are still missing; the status."""
    request = house.forget(*classes, **options)
    while house.request(request.id).status in ("queued", "running"):
        house.work()
    return house.request(request.id).status


@pytest.mark.parametrize("classes", [(2,), ()])
def test_a_request_runs_no_model_but_its_own_result_since_the_jobs_of_its_references_ran_the_others(
    house: House, classes: tuple[int, ...]
) -> None:
    house.forget(*classes, **(HOPELESS if classes else SAMPLES))
    house.work()
    house.work()
    by_references = kept(house)
    assert len(by_references) == 3
    assert {path.parts[:2] for path in by_references} == {("digits", "1")}
    house.work()
    assert kept(house) == by_references


def test_a_request_that_failed_leaves_them_for_the_next_one_of_the_same_target(house: House) -> None:
    assert ask(house, 2, **HOPELESS) == "failed"
    before = kept(house)
    assert ask(house, 2, **HOPELESS) == "failed"
    assert kept(house) == before
    assert len(before) == 3


def test_nothing_of_forgotten_rows_is_left_once_a_request_is_completed(house: House) -> None:
    assert ask(house, **SAMPLES) == "failed"
    assert kept(house)
    assert ask(house, 2, **EUK) == "completed"
    assert not list((house.settings.home / "observations").rglob("*.*"))


def test_a_damaged_one_is_measured_anew(house: House) -> None:
    ask(house, 2, **HOPELESS)
    before = kept(house)
    damaged = next(iter(before))
    torn = house.settings.home / "observations" / damaged
    whole = torn.read_bytes()
    torn.write_bytes(whole[:-1])
    assert ask(house, 2, **HOPELESS) == "failed"
    after = kept(house)
    assert after.keys() == before.keys()
    assert {path for path in before if after[path] != before[path]} <= {damaged}
    assert torn.read_bytes() == whole


def test_housekeeping_destroys_what_a_crash_left_behind(house: House) -> None:
    ask(house, 2, **HOPELESS)
    stale = house.settings.home / "observations" / "digits" / "7"
    unknown = house.settings.home / "observations" / "nobody" / "1"
    for folder in (stale, unknown):
        folder.mkdir(parents=True)
        (folder / "key.digest.safetensors").write_bytes(b"left")
    housekeeping.keep_house(house.database, house.settings)
    assert not stale.exists()
    assert not unknown.exists()
    assert len(kept(house)) == 3


def test_they_go_with_the_model(house: House) -> None:
    ask(house, 2, **HOPELESS)
    models.delete_model(house.database, house.settings, CALLER, "digits")
    assert kept(house) == {}

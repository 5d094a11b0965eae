"""A method carried out once more, by a verification: the same bits, other bits, or the reason why not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from sqlalchemy import select

from app.contract.verifying import Verification, VerificationReport, VerifyCreate
from app.database.engine import Database
from app.database.tables import ModelRow, VersionRow
from app.datasets.loading import load
from app.operations.models import versions
from app.operations.verifying import verifications
from app.settings import Settings
from app.store.manifest import MANIFEST, Manifest
from app.store.versions import VersionStore
from tests.unit.operations.conftest import CALLER, House, copied, furnished

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)

EUK = {"method": "euk", "parameters": {"steps": 400}, "reference": "none"}


def repeated(house: House, number: int = 2, *, name: str = "digits", **body: Any) -> VerificationReport:
    """What a verification found of a version whose method it repeated."""
    asked = VerifyCreate.model_validate({"depth": "fast", "reference": "none", "repeat": True} | body)
    with house.database.writing() as session:
        queued = verifications.submit(session, CALLER, name, number, asked)
    house.work()
    with house.database.reading() as session:
        found: Verification = verifications.get(session, queued.id)
    assert found.report is not None
    return found.report


def forget(house: House, *classes: int, **options: Any) -> None:
    request = house.forget(*classes, **options)
    house.work()
    done = house.request(request.id)
    assert done.status == "completed", done


def record(house: House, change: Callable[[dict[str, Any]], object], *, sealed: bool = True) -> None:
    """Change what is recorded of version 2, and seal it again as whoever runs the server could."""
    with house.database.writing() as session:
        version = session.scalars(select(VersionRow).filter_by(number=2)).one()
        content = Manifest.model_validate(version.manifest).model_dump(mode="json")
        change(content)
        manifest = Manifest.model_validate(content)
        version.manifest = manifest.model_dump(mode="json")
        if sealed:
            version.manifest_digest = manifest.digest
            model = session.get_one(ModelRow, version.model_id).name
            path = VersionStore(house.settings.home).folder(model, 2) / MANIFEST
            path.unlink()
            path.write_bytes(manifest.to_bytes())


def purge_original(house: House, name: str = "digits") -> None:
    versions.purge_version(house.database, house.settings, CALLER, name, 1)


def absent(report: VerificationReport) -> bool | None:
    (criterion,) = (each for each in report.criteria if each.name == "absent")
    return criterion.passed


def why_not(report: VerificationReport) -> str:
    assert report.repetition is not None
    assert (report.repetition.equal, report.repetition.digest) == (None, None)
    assert report.repetition.why_not is not None
    return report.repetition.why_not


def assert_same_bits(report: VerificationReport) -> None:
    assert report.repetition is not None
    assert report.repetition.model_dump() == {"equal": True, "digest": report.digest, "why_not": None}
    assert absent(report) is True


@pytest.fixture(scope="module")
def _retrained(_trained: House, tmp_path_factory: pytest.TempPathFactory) -> House:
    """Version 2 was retrained without class 2."""
    house = furnished(_trained, tmp_path_factory.mktemp("retrained"))
    forget(house, 2, method="retrain", refusal="calibrate", seed=4)
    return house


@pytest.fixture
def retrained(_retrained: House, database: Database, settings: Settings) -> House:
    """A house of its own with those versions."""
    return copied(_retrained, database, settings)


@pytest.fixture
def other_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(before + 1)
    yield
    torch.set_num_threads(before)


def test_a_retraining_repeated_gives_the_same_bits_with_and_without_the_original(retrained: House) -> None:
    report = repeated(retrained)
    assert_same_bits(report)
    assert (report.verdict, report.claim) == ("passed", "exact")
    assert any("the repetition began from" in sentence for sentence in report.does_not_prove)
    assert repeated(retrained, repeat=False).repetition is None
    purge_original(retrained)
    assert_same_bits(repeated(retrained))


@pytest.mark.parametrize(
    "change",
    [
        lambda manifest: manifest.update(seed=5),
        lambda manifest: manifest["recipe"]["forget"]["parameters"]["training"].update(batch_size=100),
    ],
)
def test_other_bits_than_those_of_the_recorded_recipe_fail_the_verification(
    retrained: House, change: Callable[[dict[str, Any]], object]
) -> None:
    record(retrained, change)
    report = repeated(retrained)
    assert report.repetition is not None
    assert report.repetition.equal is False
    assert report.repetition.digest not in {None, report.digest}
    assert absent(report) is False
    assert (report.verdict, report.claim) == ("failed", "edited")


def test_with_another_number_of_threads_nothing_is_repeated(retrained: House, other_threads: None) -> None:
    report = repeated(retrained)
    threads = torch.get_num_threads()
    assert f"threads {threads - 1}, here {threads}" in why_not(report)
    assert "FORGETTERY_TORCH_THREADS" in why_not(report)
    assert (report.verdict, report.claim) == ("passed", "exact")


def test_a_recipe_that_is_not_the_sealed_one_is_not_repeated(retrained: House) -> None:
    record(retrained, lambda manifest: manifest.update(seed=5), sealed=False)
    assert "not the one that was sealed" in why_not(repeated(retrained))


def test_other_data_are_named(retrained: House) -> None:
    record(retrained, lambda manifest: manifest.update(data_digest="sha256:" + "0" * 64))
    assert "data set is no longer" in why_not(repeated(retrained))


@pytest.mark.slow
def test_samples_forgotten_one_request_after_the_other_are_left_out_once_more(house: House) -> None:
    first, second = load("mnist", house.settings).dataset.train_rows[:6].tolist()[::3], [0, 1, 2]
    forget(house, samples=[row for row in first if row not in second], method="retrain", reference="none", seed=3)
    forget(house, samples=second, method="retrain", reference="none", seed=4)
    report = repeated(house, 3)
    assert_same_bits(report)
    assert report.claim == "exact"


@pytest.mark.slow
def test_shards_go_on_from_the_same_checkpoints_until_these_are_purged(house: House) -> None:
    house.create(
        name="shards",
        architecture={"type": "mlp", "hidden": [16]},
        learning={"mode": "sisa", "shards": 2, "slices": 2},
        training={"epochs": 1, "batch_size": 500},
    )
    house.work()
    samples = load("mnist", house.settings).dataset.train_rows[:3].tolist()
    forget(house, name="shards", samples=samples, method="sisa", reference="none")
    assert_same_bits(repeated(house, name="shards"))
    purge_original(house, "shards")
    assert "purged, and sisa needs it" in why_not(repeated(house, name="shards"))


@pytest.mark.slow
def test_layers_that_all_begin_anew_are_learned_once_more_and_other_ones_refute_the_claim(house: House) -> None:
    forget(house, 2, refusal="calibrate", **EUK)
    report = repeated(house)
    assert_same_bits(report)
    assert report.sought == "approximate"
    record(house, lambda manifest: manifest.update(seed=5))
    report = repeated(house)
    assert absent(report) is False
    assert (report.verdict, report.claim) == ("failed", "edited")
    purge_original(house)
    assert "purged, and euk needs it" in why_not(repeated(house))


def test_what_has_no_proof_is_not_repeated(house: House) -> None:
    forget(house, 2, refusal="calibrate")
    assert "edit made began from weights that knew" in why_not(repeated(house))


@pytest.mark.slow
def test_weights_that_push_trained_are_not_repeated(house: House) -> None:
    forget(house, 2, method="retrain", refusal="push", reference="none")
    assert "The refusal push" in why_not(repeated(house))


def test_a_version_made_from_that_of_the_request_is_not_repeated(retrained: House) -> None:
    retrained.train()
    retrained.work()
    assert "which is version 2; repeat that one" in why_not(repeated(retrained, 3))

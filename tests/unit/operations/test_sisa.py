"""Models that learn in shards, through the path of the service: train, publish, load, forget, publish."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from sqlalchemy import select

from app.contract.forgetting import ForgetCreate, ForgetRequest
from app.database.engine import Database
from app.database.tables import ModelRow
from app.datasets.loading import load
from app.errors import NotApplicable
from app.operations.forgetting import costs
from app.operations.forgetting.forget import plan
from app.settings import Settings
from app.specs.architectures import Mlp
from app.specs.learning import Sisa
from app.specs.methods import METHOD_SPECS
from app.specs.methods.work import Work
from app.specs.training import Training
from app.store import checkpoints, weights
from app.store.manifest import CHECKPOINTS
from app.store.versions import VersionStore
from app.unlearning.context import Context
from app.unlearning.data import Dataset
from app.unlearning.learning.architectures import Classifier
from app.unlearning.learning.sisa.learning import Recipe, provenance_of, train_sharded
from app.unlearning.learning.sisa.placement import Placement
from app.unlearning.partition import rows_of
from tests.unit.operations.conftest import House, copied, furnished
from tests.unit.unlearning.blobs import same_bits

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)

LEARNING = Sisa(shards=2, slices=2)


@pytest.fixture(scope="module")
def _sharded(_trained: House, tmp_path_factory: pytest.TempPathFactory) -> House:
    """A house in which `shards` has one version, learned in LEARNING."""
    house = furnished(_trained, tmp_path_factory.mktemp("sharded"))
    house.create(
        name="shards",
        architecture={"type": "mlp", "hidden": [16]},
        learning={"mode": "sisa", "shards": 2, "slices": 2},
        training={"epochs": 1, "batch_size": 500},
    )
    house.work()
    return house


@pytest.fixture
def sharded(_sharded: House, database: Database, settings: Settings) -> House:
    """A house of its own with that model."""
    return copied(_sharded, database, settings)


@pytest.fixture
def data(sharded: House) -> Dataset:
    return load("mnist", sharded.settings).dataset


def stored(house: House, number: int) -> Classifier:
    """A version of `shards`, with its provenance."""
    store = VersionStore(house.settings.home)
    manifest, folder = store.read_manifest("shards", number), store.folder("shards", number)
    model = weights.load(folder, manifest.weights_digest, manifest.digest)
    model.provenance = checkpoints.load_provenance(folder, manifest.digest)
    return model


def anew(data: Dataset, rows: torch.Tensor, *, seed: int = 0, forgotten: tuple[int, ...] = ()) -> Classifier:
    """Trained in shards on these rows from the start."""
    training = Training(epochs=1, batch_size=500, seed=seed)
    return train_sharded(Recipe(Mlp(hidden=(16,)), LEARNING, training, forgotten), data, rows, Context())


def forget(house: House, method: str, *classes: int, **asked: Any) -> ForgetRequest:
    """Ask for it and carry it out."""
    request = house.forget(*classes, name="shards", method=method, **asked)
    house.work()
    return house.request(request.id)


def same(first: Classifier, second: Classifier) -> bool:
    """Whether models and every checkpoint are equal, bit for bit."""
    one, other = provenance_of(first), provenance_of(second)
    return (
        same_bits(first, second)
        and torch.equal(one.rows, other.rows)
        and one.checkpoints.keys() == other.checkpoints.keys()
        and all(
            torch.equal(tensor, other.checkpoints[place][name])
            for place, state in one.checkpoints.items()
            for name, tensor in state.items()
        )
    )


def without(rows: torch.Tensor, samples: list[int]) -> torch.Tensor:
    return rows[~torch.isin(rows, torch.tensor(samples))]


def test_training_publishes_a_model_with_its_checkpoints(sharded: House, data: Dataset) -> None:
    model = stored(sharded, 1)
    assert model.learning == LEARNING
    assert same(model, anew(data, data.train_rows))
    manifest = VersionStore(sharded.settings.home).read_manifest("shards", 1)
    assert CHECKPOINTS in manifest.files
    assert manifest.sharded is not None
    assert manifest.sharded.num_rows == len(data.train_rows)
    assert manifest.sharded.first_slices == (0, 0)


def test_samples_are_forgotten_twice_in_a_row_with_the_bits_of_training_without_them(
    sharded: House, data: Dataset
) -> None:
    placement = Placement.of(len(data.train_labels), LEARNING, 0)
    first = placement.rows(data.train_rows, 1, 0)[:2].tolist()
    second = [
        *placement.rows(data.train_rows, 0, 1)[5:7].tolist(),
        *placement.rows(data.train_rows, 1, 1)[-1:].tolist(),
    ]
    done = forget(sharded, "sisa", samples=first, seed=9)
    assert (done.status, done.verdict, done.claim) == ("completed", "passed", "exact")
    assert done.report is not None
    assert done.report.settings["chosen"]["first_slices"] == {"1": 0}
    assert same(stored(sharded, 2), anew(data, without(data.train_rows, first)))
    assert forget(sharded, "sisa", samples=second).claim == "exact"
    latest = stored(sharded, 3)
    assert same(latest, anew(data, without(data.train_rows, first + second)))
    assert not torch.isin(provenance_of(latest).rows, torch.tensor(first + second)).any()


def test_a_class_is_retrained_away_and_samples_are_forgotten_after_it(sharded: House, data: Dataset) -> None:
    done = forget(sharded, "retrain", 2, refusal="calibrate", seed=4)
    assert (done.status, done.claim) == ("completed", "exact"), done.report
    retained = rows_of(data.train_labels, data.train_rows, set(range(10)) - {2})
    retrained = stored(sharded, 2)
    reference = anew(data, retained, seed=4, forgotten=(2,))
    assert retrained.forgotten_classes == (2,)
    assert torch.equal(
        retrained.body.state_dict()["shards.0.1.weight"], reference.body.state_dict()["shards.0.1.weight"]
    )
    assert not retrained.head.weight[2].any()
    samples = retained[:3].tolist()
    assert forget(sharded, "sisa", samples=samples).claim == "exact"
    left, reference = stored(sharded, 3), anew(data, without(retained, samples), seed=4, forgotten=(2,))
    assert left.forgotten_classes == (2,)
    for name, values in left.body.state_dict().items():
        assert torch.equal(values, reference.body.state_dict()[name])
    keys = provenance_of(left).checkpoints
    assert all(
        torch.equal(tensor, provenance_of(reference).checkpoints[place][name])
        for place, state in keys.items()
        for name, tensor in state.items()
    )


def test_training_anew_leaves_forgotten_samples_out(sharded: House, data: Dataset) -> None:
    samples = data.train_rows[:3].tolist()
    forget(sharded, "sisa", samples=samples)
    sharded.train("shards", from_scratch=True)
    sharded.work()
    assert same(stored(sharded, 3), anew(data, without(data.train_rows, samples)))


def test_what_forgetting_is_expected_to_take_grows_with_the_shards_that_are_hit(sharded: House) -> None:
    with sharded.database.reading() as session:
        rows = costs.trained_rows(session, session.scalars(select(ModelRow).filter_by(name="shards")).one())
    assert rows is not None
    parameters = METHOD_SPECS["sisa"].parameters()
    images = replace(rows, seconds_per_image=1.0)
    one, more = (costs.seconds(Work(images, hit, 1000), "sisa", parameters, "none") for hit in (1, 100))
    measuring = (costs.measuring(Work(images, hit, 1000)) for hit in (1, 100))
    assert one - next(measuring) < more - next(measuring)


def test_a_dry_run_names_the_seconds_that_shards_would_take(sharded: House, data: Dataset) -> None:
    target = {"samples": data.train_rows[:3].tolist()}
    body = ForgetCreate.model_validate({"target": target, "method": "sisa"})
    with sharded.database.reading() as session:
        planned = plan(session, "shards", body, home=sharded.settings.home)
    assert planned.method == "sisa"
    assert planned.expected_seconds is not None
    assert planned.claim == "exact"


def test_samples_are_retrained_away_with_shards_of_their_own(sharded: House, data: Dataset) -> None:
    samples = data.train_rows[:3].tolist()
    assert forget(sharded, "retrain", samples=samples, seed=4).claim == "exact"
    assert same(stored(sharded, 2), anew(data, without(data.train_rows, samples), seed=4))


@pytest.mark.parametrize("method", ["edit", "scrub", "ssd"])
def test_other_methods_and_push_are_refused_in_shards_with_every_reason(sharded: House, method: str) -> None:
    with pytest.raises(NotApplicable) as refused:
        sharded.forget(2, name="shards", method=method, refusal="push")
    assert [fault.pointer for fault in refused.value.errors] == ["/method", "/refusal"]


def test_sisa_forgets_no_classes_and_nothing_of_a_model_without_shards(sharded: House) -> None:
    with pytest.raises(NotApplicable) as refused:
        sharded.forget(2, name="shards", method="sisa", refusal="none")
    assert [fault.pointer for fault in refused.value.errors] == ["/target"]
    with pytest.raises(NotApplicable) as refused:
        sharded.forget(samples=[1], method="sisa")
    assert [fault.pointer for fault in refused.value.errors] == ["/method"]


def test_shards_are_trained_anew_alone_and_without_early_stopping(sharded: House) -> None:
    with pytest.raises(NotApplicable) as refused:
        sharded.train("shards", training={"early_stopping": 2})
    assert [fault.pointer for fault in refused.value.errors] == ["/training/early_stopping", "/from_scratch"]
    with pytest.raises(NotApplicable, match="no tasks"):
        sharded.train("shards", tasks=[[1]])


def test_training_anew_after_forgetting_leaves_what_is_forgotten_out(sharded: House, data: Dataset) -> None:
    forget(sharded, "retrain", 2, refusal="calibrate")
    sharded.train("shards", from_scratch=True, training={"seed": 3})
    sharded.work()
    retained = rows_of(data.train_labels, data.train_rows, set(range(10)) - {2})
    model = stored(sharded, 3)
    assert model.forgotten_classes == (2,)
    assert torch.equal(provenance_of(model).rows, retained)
    assert provenance_of(model).training.seed == 3

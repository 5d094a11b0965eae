"""A store in a temporary folder, and tiny sealed versions to put into it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from app.contract.models import Forgotten
from app.contract.versions import VersionMetrics
from app.specs.architectures import Mlp
from app.specs.learning import Standard
from app.store import environment, weights
from app.store.manifest import WEIGHTS, Manifest
from app.store.versions import VersionStore
from app.unlearning.learning.architectures import Classifier, build

Stage = Callable[..., tuple[Path, Manifest]]


@pytest.fixture
def store(tmp_path: Path) -> VersionStore:
    return VersionStore(tmp_path / "store")


@pytest.fixture
def model() -> Classifier:
    """Three classes of images of 1 x 2 x 2; class 1 is forgotten."""
    built = build(Mlp(hidden=(3,)), (1, 2, 2), 3, seed=7)
    built.mark_forgotten([1])
    return built


@pytest.fixture
def manifest() -> Manifest:
    """That of `model`, not sealed yet."""
    return Manifest(
        model="digits",
        number=2,
        origin="unlearned",
        parent=1,
        parent_digest=f"sha256:{'1' * 64}",
        dataset="mnist",
        data_digest=f"sha256:{'2' * 64}",
        split_digest=f"sha256:{'3' * 64}",
        architecture=Mlp(hidden=(3,)),
        input_shape=(1, 2, 2),
        class_names=("zero", "one", "two|2"),
        learning=Standard(),
        recipe={"training": {"epochs": 1, "learning_rate": 0.001}},
        seed=7,
        forgotten=Forgotten(classes=[1]),
        claim="edited",
        metrics=VersionMetrics(
            test_accuracy=0.975,
            per_class_accuracy=[0.95, None, 1.0],
            confusion_matrix=[[19, 0, 1, 0], [0, 0, 0, 0], [0, 0, 20, 0]],
            sparsity=0.25,
            num_parameters=27,
            training_seconds=1.5,
        ),
        environment=environment.describe(),
    )


@pytest.fixture
def stage(store: VersionStore, model: Classifier, manifest: Manifest) -> Stage:
    """Stage and seal the model as the given attempt; the folder and the manifest as written."""

    def staged(attempt: str = "attempt-1") -> tuple[Path, Manifest]:
        folder = store.stage(attempt)
        weights.save(model, folder / WEIGHTS)
        return folder, store.seal(folder, manifest)

    return staged

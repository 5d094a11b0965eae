"""Small image sets with separable classes, and networks fitted to them in well under a second."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from app.specs.architectures import Architecture, Mlp
from app.specs.learning import Learning
from app.specs.methods.edit import EditSettings, Scope, Selection, Strategy
from app.specs.refusing import GuardParameters, Refusal
from app.specs.request import ForgetSpec
from app.specs.target import Target
from app.specs.training import Training
from app.unlearning.context import Context
from app.unlearning.data import Dataset
from app.unlearning.learning.architectures import Classifier, build
from app.unlearning.learning.continual import Learned, learn_tasks
from app.unlearning.learning.training import fit
from app.unlearning.partition import Partition

CPU = torch.device("cpu")
QUICK_GUARD = GuardParameters(hidden=16, steps=80, batch_size=48, refusal_budget=0.01)


def blobs(
    *,
    num_classes: int = 4,
    rows: int = 800,
    size: int = 8,
    channels: int = 1,
    noise: float = 40.0,
    seed: int = 0,
    overlap: tuple[int, int] | None = None,
) -> Dataset:
    """Each class is one random pattern plus noise; the two classes of `overlap` share theirs."""
    generator = torch.Generator().manual_seed(seed)
    patterns = torch.randint(40, 216, (num_classes, channels, size, size), generator=generator).float()
    if overlap:
        patterns[overlap[1]] = patterns[overlap[0]]

    def draw(count: int) -> tuple[Tensor, Tensor]:
        labels = torch.arange(count) % num_classes
        images = patterns[labels] + noise * torch.randn((count, *patterns.shape[1:]), generator=generator)
        return images.clamp(0, 255).to(torch.uint8), labels

    train_images, train_labels = draw(rows)
    test_images, test_labels = draw(rows // 2)
    order = torch.randperm(rows, generator=generator)
    return Dataset(
        name="blobs",
        class_names=tuple(f"pattern {number}" for number in range(num_classes)),
        train_images=train_images,
        train_labels=train_labels,
        test_images=test_images,
        test_labels=test_labels,
        train_rows=order[rows // 4 :].sort().values,
        calibration_rows=order[: rows // 4].sort().values,
    )


def fitted(data: Dataset, architecture: Architecture | None = None, *, seed: int = 0, epochs: int = 6) -> Classifier:
    """A network fitted to the training rows."""
    model = build(architecture or Mlp(hidden=(32,)), data.input_shape, data.num_classes, seed)
    fit(model, data, data.train_rows, Training(epochs=epochs, batch_size=32, seed=seed), Context())
    return model


def learned(
    data: Dataset, learning: Learning, architecture: Architecture | None = None, *, tasks: Sequence[int] | None = None
) -> Learned:
    """A network that learned its tasks, or these of them by index, one after the other."""
    model = build(architecture or Mlp(hidden=(24,)), data.input_shape, data.num_classes, 0, learning)
    training = Training(epochs=10, batch_size=20, learning_rate=0.01, schedule="constant")
    indexes = range(len(learning.tasks)) if tasks is None else tasks
    return learn_tasks(model, data, data.train_rows, indexes, training, known=(), importance={}, context=Context())


def edit_of(
    *classes: int,
    strategy: Strategy = "zero",
    scope: Scope = "network",
    refusal: Refusal = "push",
    selection: Selection = "importance",
    share: float = 0.02,
    threshold: float = 0.5,
    push_steps: int = 60,
    refusal_budget: float = 0.01,
    seed: int = 0,
) -> ForgetSpec:
    """A request for `edit` with few steps of its push or its guard."""
    settings = EditSettings(
        strategy=strategy,
        scope=scope,
        selection=selection,
        share=share,
        threshold=threshold,
        push_steps=push_steps,
        refusal_budget=refusal_budget,
        utility_budget=0.05,
    )
    return ForgetSpec(Target(classes), parameters=settings, refusal=refusal, guard=QUICK_GUARD, seed=seed)


def target_of(partition: Partition) -> Target:
    """What was named for this partition."""
    if partition.forget_classes:
        return Target(partition.forget_classes)
    return Target(samples=tuple(torch.cat([partition.train.forget, partition.calibration.forget]).tolist()))


def same_bits(first: Classifier, second: Classifier) -> bool:
    """Whether every parameter and buffer is equal, bit for bit."""
    other = second.state_dict()
    return all(torch.equal(tensor, other[name]) for name, tensor in first.state_dict().items())


def everything(model: Classifier) -> dict[str, Tensor]:
    """A copy of every parameter and buffer."""
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}

"""How a network can be fitted, and what a model of each learning mode gets where its creator says nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Ge, Gt, Le, Lt

from app.specs.architectures import Architecture, Mlp
from app.specs.fields import Seed, depending
from app.specs.learning import Mode

Epochs = Annotated[int, Ge(1), Le(1000)]
BatchSize = Annotated[int, Ge(1), Le(10_000)]
Optimizer = Literal["adam", "sgd"]
OPTIMIZER_MEANINGS: Mapping[Optimizer, str] = {
    "adam": "Adam (Kingma and Ba 2015): each weight has a step length of its own.",
    "sgd": "Stochastic gradient descent, with `momentum`.",
}
LearningRate = Annotated[float, Gt(0), Le(10)]
Momentum = Annotated[float, Ge(0), Lt(1)]
WeightDecay = Annotated[float, Ge(0), Le(1)]
Schedule = Literal["constant", "cosine"]
SCHEDULE_MEANINGS: Mapping[Schedule, str] = {
    "constant": "The learning rate stays as it is.",
    "cosine": "The learning rate falls along half a cosine and reaches 0 at the last batch.",
}
EarlyStopping = Annotated[int, Ge(0), Le(1000)]


@dataclass(frozen=True)
class Training:
    """How a network is fitted. One seed fixes the initial weights and the order of the batches."""

    __pydantic_config__: ClassVar[dict[str, Any]] = depending("epochs", "batch_size", "learning_rate", "schedule")
    epochs: Epochs = 5
    """Passes over the rows; with tasks, passes over the rows of each; with slices, passes over all slices together. If
    left out, 5; for a new model of mode `progressive` 10."""
    batch_size: BatchSize = 128
    """Images of one step. If left out, 128; for a new model of mode `synaptic_intelligence` 1000."""
    optimizer: Optimizer = "adam"
    learning_rate: LearningRate = 0.005
    """Learning rate at the first step. If left out, .005; for a new model of mode `synaptic_intelligence` .001, of
    `progressive` .01."""
    momentum: Momentum = 0.9
    """Momentum of `sgd`; `adam` does not use it."""
    weight_decay: WeightDecay = 0.0
    schedule: Schedule = "cosine"
    """How the learning rate goes: constant, or along half a cosine down to 0 at the last batch. If left out, cosine;
    for a new model that learns tasks, constant."""
    early_stopping: EarlyStopping = 0
    """Stop after this many epochs without a better calibration loss, and keep the best epoch; 0: never stop early."""
    seed: Seed = 0


ARCHITECTURE_OF_MODE: dict[Mode, Architecture] = {
    "standard": Mlp(),
    "synaptic_intelligence": Mlp(hidden=(50,)),
    "progressive": Mlp(hidden=(50, 50)),
    "sisa": Mlp(),
}
TRAINING_OF_MODE: dict[Mode, Training] = {
    "standard": Training(),
    "synaptic_intelligence": Training(epochs=5, batch_size=1000, learning_rate=0.001, schedule="constant"),
    "progressive": Training(epochs=10, batch_size=128, learning_rate=0.01, schedule="constant"),
    "sisa": Training(),
}
"""The training of a model of each mode where its creator says nothing; epochs are per task."""

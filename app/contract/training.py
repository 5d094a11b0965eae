"""Training further."""

from __future__ import annotations

from typing import Annotated

from pydantic import (
    ConfigDict,
    Field,
    model_validator,
)

from app.contract.fields import Asked, ClassList, NewTask
from app.specs.fields import Seed
from app.specs.training import (
    BatchSize,
    EarlyStopping,
    Epochs,
    LearningRate,
    Momentum,
    Optimizer,
    Schedule,
    WeightDecay,
)


class TrainingChanges(Asked):
    """What a training run does otherwise than the model's own training; what is left out or null stays as it is."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, from_attributes=True)
    epochs: Epochs | None = None
    batch_size: BatchSize | None = None
    optimizer: Optimizer | None = None
    learning_rate: LearningRate | None = None
    momentum: Momentum | None = None
    weight_decay: WeightDecay | None = None
    schedule: Schedule | None = None
    early_stopping: EarlyStopping | None = None
    seed: Seed | None = None


class TrainRequest(Asked):
    """One more training run on the retained data of a model, or further tasks."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={"examples": [{"training": {"epochs": 2}, "serve": True}, {"tasks": [[8, 9]]}]},
    )
    training: TrainingChanges | None = Field(
        default=None, description="What is left out, or all of it, is as in the model's own `training`."
    )
    from_scratch: bool = Field(default=False, description="Start from fresh weights instead of the serving version.")
    classes: ClassList | None = Field(
        default=None, description="Learn from these classes alone; empty: from every retained one."
    )
    tasks: Annotated[list[NewTask], Field(min_length=1, max_length=1000, fail_fast=True)] | None = Field(
        default=None,
        description="Further tasks, each a list of classes, learned after those of the serving version; empty: learn "
        "what is retained once more, the tasks in their order.",
    )
    serve: bool = Field(default=True, description="Whether the new version becomes the serving one.")

    @model_validator(mode="after")
    def _tasks_alone(self) -> TrainRequest:
        if self.tasks is not None and (self.from_scratch or self.classes is not None):
            raise ValueError(
                "further tasks are learned on top of the serving version: leave from_scratch and classes out"
            )
        return self

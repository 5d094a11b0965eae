"""Models."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import (
    ConfigDict,
    Field,
    model_validator,
)

from app.contract.fields import Answered, Asked, ModelName, _as_tuples, _filled, _tagged
from app.contract.jobs import Job
from app.specs.architectures import Architecture, Mlp
from app.specs.learning import Learning, Standard
from app.specs.training import (
    ARCHITECTURE_OF_MODE,
    TRAINING_OF_MODE,
    Training,
)


class Forgotten(Answered):
    """What a model or version has forgotten."""

    classes: list[int] = Field(default_factory=list)
    tasks: list[int] = Field(default_factory=list)
    num_samples: int = 0


class ModelCreate(Asked):
    """A new model: everything but name and data set has a default, which may depend on the learning mode."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={
            "examples": [
                {
                    "name": "digits",
                    "dataset": "mnist",
                    "architecture": {"type": "mlp", "hidden": [128]},
                    "learning": {"mode": "standard"},
                    "training": {
                        "epochs": 5,
                        "batch_size": 128,
                        "optimizer": "adam",
                        "learning_rate": 0.005,
                        "seed": 0,
                    },
                },
                {
                    "name": "digits-by-task",
                    "dataset": "mnist",
                    "learning": {
                        "mode": "synaptic_intelligence",
                        "tasks": [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9]],
                        "c": 1.0,
                        "xi": 0.001,
                    },
                },
                {
                    "name": "digits-growing",
                    "dataset": "mnist",
                    "architecture": {"type": "mlp", "hidden": [50, 50]},
                    "learning": {"mode": "progressive", "tasks": [[0, 1], [2, 3]], "growth": [50, 50]},
                    "training": {"epochs": 10},
                },
                {
                    "name": "digits-in-shards",
                    "dataset": "mnist",
                    "learning": {"mode": "sisa", "shards": 5, "slices": 3},
                },
            ]
        },
    )
    name: ModelName
    dataset: str = Field(max_length=100, examples=["mnist"])
    architecture: Annotated[Architecture, Field(discriminator="type")] = Field(
        default_factory=Mlp,
        description="Left out: an mlp of hidden [128], [50] for tasks in a static network, [50, 50] in a growing one. "
        "A growing network has these widths at its first task.",
    )
    learning: Annotated[Learning, Field(discriminator="mode")] = Field(
        default_factory=Standard, description="All classes at once, tasks one after the other, or shards of the rows."
    )
    training: Training = Field(
        default_factory=Training,
        description="What is left out is that of the learning mode: `synaptic_intelligence` batch_size 1000, "
        "learning_rate .001; `progressive` epochs 10, learning_rate .01; both a constant schedule, and epochs per task.",
    )

    @model_validator(mode="before")
    @classmethod
    def _as_the_mode_has_it(cls, given: Any) -> Any:
        """Fill what is left out, before defaults that know nothing of the mode do it."""
        if not isinstance(given, dict):
            return given
        learning = _tagged(given.get("learning", Standard()), "mode", "standard")
        given = {**given, "learning": learning, "architecture": _tagged(given.get("architecture", {}), "type", "mlp")}
        mode = learning.get("mode") if isinstance(learning, dict) else getattr(learning, "mode", None)
        for name, of_mode in (("architecture", ARCHITECTURE_OF_MODE), ("training", TRAINING_OF_MODE)):
            default = next((default for known, default in of_mode.items() if known == mode), None)
            if default is not None:
                given = {**given, name: _filled(given.get(name, default), default)}
        return _as_tuples(given)


class Model(Answered):
    """A named model: a line of versions, one of which serves."""

    name: str
    dataset: str
    architecture: dict[str, Any]
    learning: dict[str, Any]
    training: dict[str, Any]
    serving_version: int | None
    latest_version: int | None
    forgotten: Forgotten
    created_at: datetime


class ModelAndJob(Answered):
    """A model and the job that trains it."""

    model: Model
    job: Job

"""What forgetting would cost, from what training cost: images passed, at the seconds that one took in training.

A forward pass is a third of a training step, which also goes backward (twice the work) and updates. The spec of each
method says how many images it passes (`MethodSpec.images`). Seconds are written down nowhere: they are measured on this
model and this machine.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.database.tables import ModelRow, VersionRow
from app.specs.learning import Sisa
from app.specs.methods import METHOD_SPECS, MethodName
from app.specs.methods.work import FORWARD, TrainedRows, Work
from app.specs.refusing import CONVOLUTIONAL_PUSH_STEPS, PUSH_BATCH, PUSH_STEPS, Budgets, GuardParameters, Refusal
from app.specs.reports import MEASURED_ROWS

_GUARD_IMAGES = 1.5  # of the guard's batch: half as many forgotten images as retained ones
_CALIBRATION_AND_TEST = 1 / 4  # beside the training rows


def seconds(work: Work, method: MethodName, parameters: Budgets, refusal: Refusal) -> float:
    """Expected wall seconds: the method, the refusal, the gate, and the fast verification of the result."""
    images = METHOD_SPECS[method].images(work, parameters) + _refusal(work, parameters, refusal) + measuring(work)
    return _rounded(work, images)


def reference_seconds(work: Work, num_references: int) -> float:
    """Expected wall seconds of retraining this number of references."""
    return _rounded(work, num_references * work.rows.passes * work.num_retain)


def measuring(work: Work) -> float:
    """Images, as training steps, passed to judge, to measure before and after, and to verify."""
    sets = min(work.num_retain, MEASURED_ROWS) + min(work.num_forget, MEASURED_ROWS)
    judged = (work.num_retain + work.num_forget) * _CALIBRATION_AND_TEST
    return FORWARD * (2 * (sets + judged) + 2 * (sets + MEASURED_ROWS))


def _rounded(work: Work, images: float) -> float:
    return round(work.rows.seconds_per_image * images, 1)


def _refusal(work: Work, parameters: Any, refusal: Refusal) -> float:
    if refusal == "push":
        default = CONVOLUTIONAL_PUSH_STEPS if work.rows.convolutional else PUSH_STEPS[work.rows.mode]
        steps: int = getattr(parameters, "push_steps", None) or default
        return float(steps * PUSH_BATCH)
    if refusal == "guard":
        guard = GuardParameters()
        return guard.steps * guard.batch_size * _GUARD_IMAGES
    return 0.0


def trained_rows(session: Session, model: ModelRow) -> TrainedRows | None:
    """The training rows of a model, from all its trained versions; None if there is none.

    One version may have learned only some classes, or one task.
    """
    trained = (
        select(VersionRow)
        .where(VersionRow.model_id == model.id, VersionRow.origin == "trained")
        .order_by(VersionRow.number)
    )
    versions = list(session.scalars(trained))
    if not versions or "rows_by_class" not in versions[-1].manifest["recipe"]:
        return None
    by_class = [max(rows) for rows in zip(*(v.manifest["recipe"]["rows_by_class"] for v in versions), strict=True)]
    last = versions[-1]
    passes, learning = _passes(last), model.learning
    return TrainedRows(
        by_class,
        last.metrics.training_seconds / (passes * sum(last.manifest["recipe"]["rows_by_class"])),
        last.manifest["architecture"]["type"],
        learning.mode,
        passes,
        learning if isinstance(learning, Sisa) else None,
    )


def _passes(version: VersionRow) -> float:
    """How often each row was passed. Epochs are counted over all tasks, and each task saw only its own rows."""
    recipe = version.manifest["recipe"]
    passes: float = recipe["epochs_run"] / len(recipe.get("tasks", [0]))
    return passes

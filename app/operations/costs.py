"""What a forget request would cost, from what training cost."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from app import specs
from app.database.tables import ModelRow, VersionRow
from app.schemas import ForgetCreate

_WITHOUT_CONVOLUTIONS = {"mlp", "gru", "lstm"}


@dataclass(frozen=True)
class TrainedRows:
    """The training rows of each class, and what an image of them cost in the last training."""

    by_class: list[int]
    seconds_per_image: float
    architecture: str
    mode: specs.Mode

    def of(self, classes: set[int]) -> int:
        """How many training rows these classes have."""
        return sum(rows for number, rows in enumerate(self.by_class) if number in classes)


def trained_rows(session: Session, model: ModelRow) -> TrainedRows | None:
    """From all versions that were trained, since one may have learned a few classes or one task alone; None if none was."""
    trained = (
        select(VersionRow)
        .where(VersionRow.model_id == model.id, VersionRow.origin == "trained")
        .order_by(VersionRow.number)
    )
    versions = list(session.scalars(trained))
    if not versions:
        return None
    by_class = [max(rows) for rows in zip(*(v.manifest["recipe"]["rows_by_class"] for v in versions), strict=True)]
    last = versions[-1]
    return TrainedRows(
        by_class, _seconds_per_image(last), last.manifest["architecture"]["type"], model.learning["mode"]
    )


def expected_seconds(rows: TrainedRows, body: ForgetCreate, num_forget: int, num_retain: int) -> float:
    """The steps of push, and passes forward to measure and judge.

    A pass forward costs about a third of a training step, which also goes backward (twice the work) and updates.
    """
    convolutional = rows.architecture not in _WITHOUT_CONVOLUTIONS
    default = specs.CONVOLUTIONAL_PUSH_STEPS if convolutional else specs.PUSH_STEPS[rows.mode]
    steps = body.parameters.push_steps or default
    pushed = steps * specs.PUSH_BATCH if body.refusal == "push" else 0
    measured = min(num_retain, specs.MEASURED_ROWS) + min(num_forget, specs.MEASURED_ROWS)
    judged = (num_retain + num_forget) / 4  # calibration rows and test images beside these training rows
    return round(rows.seconds_per_image * (pushed + 2 * (measured + judged) / 3), 1)


def _seconds_per_image(version: VersionRow) -> float:
    """Epochs are counted over all tasks, of which each saw its own rows alone."""
    recipe = version.manifest["recipe"]
    passes = recipe["epochs_run"] / len(recipe.get("tasks", [0]))
    seconds: float = version.metrics["training_seconds"] / (passes * sum(recipe["rows_by_class"]))
    return seconds

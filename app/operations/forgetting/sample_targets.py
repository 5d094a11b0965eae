"""Which samples a forget request names: every check that needs no computing, each fault with its place in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.database.tables import ForgetRequestRow, ModelRow, VersionRow
from app.datasets import catalogue, labels
from app.datasets.split import split
from app.errors import (
    AlreadyForgotten,
    FieldError,
    ForgetteryError,
    InvalidInput,
    NotApplicable,
    NothingLeft,
    SampleNotFound,
)
from app.operations.lookups import some
from app.operations.views import forgotten_samples

_POINTED_AT = 10
"""How many faulty ids are pointed at."""


def resolve(
    session: Session, model: ModelRow, samples: list[int], gone_classes: Collection[int], home: Path | None
) -> list[int]:
    """The ids of the samples, ascending, once all checks hold.

    Raises `InvalidInput` for repeated ones, `SampleNotFound`, `AlreadyForgotten` for those forgotten, by themselves or
    with their class (queued requests count), `NotApplicable` where none was learned, and `NothingLeft`. Until a job on
    this machine has read the data set, the classes of samples are not known here; the job then checks them.
    """
    num_train = catalogue.find(model.dataset).num_train
    times = Counter(samples)
    _refuse(InvalidInput, samples, lambda number: times[number] > 1, "named more than once; name every sample once")
    detail = f"no training row of {model.dataset}; its rows are 0 to {num_train - 1}"
    _refuse(SampleNotFound, samples, lambda number: number >= num_train, detail)
    gone = _gone_samples(session, model)
    _refuse_never_learned(model.dataset, num_train, samples)
    detail = "forgotten, or a queued request will forget it; leave it out"
    _refuse(AlreadyForgotten, samples, lambda number: number in gone, detail)
    class_of = _classes(session, home, model, num_train) if home else None
    if class_of is not None:
        detail = "of a class that is forgotten or that a queued request will forget; leave it out"
        _refuse(AlreadyForgotten, samples, lambda number: int(class_of[number]) in gone_classes, detail)
    if len(samples) + len(gone) >= num_train:
        raise NothingLeft("no training sample would remain; to drop everything, delete the model")
    return sorted(samples)


def classes_without_rows(session: Session, model: ModelRow, home: Path | None) -> set[int]:
    """Classes all of whose training rows were forgotten as samples, or will be by a queued request.

    It is empty until a job on this machine has read the data set: before that the classes of rows are not known here.
    """
    num_train = catalogue.find(model.dataset).num_train
    class_of = _classes(session, home, model, num_train) if home else None
    gone = _gone_samples(session, model)
    if class_of is None or not gone:
        return set()
    learned, _ = split(model.dataset, num_train)
    left = np.setdiff1d(learned, np.fromiter(gone, dtype=np.int64))
    return set(np.unique(class_of[learned]).tolist()) - set(np.unique(class_of[left]).tolist())


def _refuse(kind: type[ForgetteryError], samples: list[int], wrong: Callable[[int], bool], detail: str) -> None:
    places = [place for place, number in enumerate(samples) if wrong(number)]
    if not places:
        return
    named = some(sorted({samples[place] for place in places}))
    errors = [FieldError(f"/target/samples/{place}", f"this sample is {detail}") for place in places[:_POINTED_AT]]
    raise kind(f"samples {named}: {detail}", errors=errors)


def _refuse_never_learned(dataset: str, num_train: int, samples: list[int]) -> None:
    """Refuse samples of which none was learned.

    Calibration rows may be named beside others; nothing is calibrated on them then.
    """
    learned, _ = split(dataset, num_train)
    if set(samples).isdisjoint(learned.tolist()):
        raise NotApplicable(
            "all of these samples are calibration rows, which a model is judged by and never learns: there is nothing to "
            "unlearn; name at least one row that it learned",
            errors=[FieldError("/target/samples", "none of these rows was learned")],
        )


def _gone_samples(session: Session, model: ModelRow) -> set[int]:
    """The samples that are forgotten or that a queued request will forget."""
    waiting = select(ForgetRequestRow.target).where(
        ForgetRequestRow.model_id == model.id, ForgetRequestRow.status.in_(["queued", "running"])
    )
    queued = {number for target in session.scalars(waiting) for number in target.samples}
    return queued | set(forgotten_samples(session, model.id))


def _classes(session: Session, home: Path, model: ModelRow, num_train: int) -> Any:
    """The class of every training row, int32 [num_train], or None where it is not known here."""
    serving = session.get(VersionRow, (model.id, model.serving_version)) if model.serving_version else None
    return labels.kept(home, serving.manifest["data_digest"], num_train) if serving else None

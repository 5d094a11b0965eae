"""What a retrained model must not have seen: everything forgotten by a request, and by those before it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

import rfc8785
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.database.tables import ForgetRequestRow, TombstoneRow, VersionRow
from app.files import digest_of
from app.specs.training import Training

if TYPE_CHECKING:
    from collections.abc import Iterable

    from app.unlearning.data import Dataset
    from app.unlearning.partition import Partition


@dataclass(frozen=True)
class ForgottenSoFar:
    """Classes and training-row ids, ascending: those of one request, and apart from them the others forgotten."""

    classes: tuple[int, ...]
    samples: tuple[int, ...]
    other_classes: tuple[int, ...]
    other_samples: tuple[int, ...]
    forget_requests: tuple[UUID, ...]
    """The forget requests by which all this was, or is to be, forgotten."""

    @property
    def every_class(self) -> list[int]:
        """All forgotten classes, ascending."""
        return sorted(self.classes + self.other_classes)

    @property
    def every_sample(self) -> list[int]:
        """All forgotten samples, as training-row ids, ascending."""
        return sorted(self.samples + self.other_samples)

    def key(self, manifest: dict[str, Any], training: Training) -> str:
        """The key by which a retrained model is found again: equal keys and seeds give equal models.

        `manifest` is that of a version of the model, whose data, architecture and learning are meant.
        """
        asked = {name: manifest[name] for name in ("data_digest", "split_digest", "architecture", "learning")}
        samples = digest_of(rfc8785.dumps(self.every_sample))
        return digest_of(
            rfc8785.dumps(asked | {"training": asdict(training), "classes": self.every_class, "samples": samples})
        )

    def partition(self, data: Dataset, learned: Iterable[int]) -> Partition:
        """The rows to forget and to retain of a data set of which no row was taken out; raises what its makers do."""
        from app.unlearning.partition import Partition
        from app.unlearning.sample_partition import of_samples, without_samples

        if self.samples:
            return of_samples(
                data,
                self.samples,
                earlier_classes=self.other_classes,
                earlier_samples=self.other_samples,
                learned=learned,
            )
        kept = without_samples(data, self.other_samples, self.every_class)
        return Partition.of(kept, self.classes, self.other_classes, learned)


def forgotten_by_then(session: Session, request: ForgetRequestRow, version: VersionRow | None = None) -> ForgottenSoFar:
    """What is forgotten in a version that forgot this among other things; None: by the time the request is carried out."""
    statement = (
        select(TombstoneRow.kind, TombstoneRow.item, TombstoneRow.forget_request_id)
        .join(ForgetRequestRow, ForgetRequestRow.id == TombstoneRow.forget_request_id)
        .where(TombstoneRow.model_id == request.model_id)
    )
    if version is not None:
        statement = statement.where(ForgetRequestRow.version <= version.number)
    gone: dict[str, set[int]] = {"class": set(), "sample": set()}
    requests = {request.id}
    for kind, item, forget_request in session.execute(statement):
        requests.add(forget_request)
        if forget_request != request.id:
            gone[kind].add(item)
    return ForgottenSoFar(
        classes=tuple(sorted(set(request.target.classes) - gone["class"])),
        samples=tuple(sorted(set(request.target.samples) - gone["sample"])),
        other_classes=tuple(sorted(gone["class"])),
        other_samples=tuple(sorted(gone["sample"])),
        forget_requests=tuple(sorted(requests)),
    )

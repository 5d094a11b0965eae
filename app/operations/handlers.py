"""Every kind of job and what it does: the table that a worker is given."""

from __future__ import annotations

from app.jobs.handler import Handler
from app.operations.comparing import compare
from app.operations.forgetting import forgetting_run
from app.operations.training import train
from app.operations.verifying import references, verifications, verifying_run

_PRELOAD = (
    "app.unlearning.comparing",
    "app.unlearning.learning.continual",
    "app.unlearning.forgetting",
    "app.unlearning.learning.training",
    "app.unlearning.judging.verifying.outcome",
    "app.datasets.loading",
    "app.store.weights",
    "torch._dynamo",  # which the first optimizer of a process imports, some seconds that each job would pay
)

HANDLERS: dict[str, Handler] = {
    "train": Handler(train.run, train.ended, _PRELOAD),
    "compare": Handler(compare.run, compare.ended, _PRELOAD),
    "forget": Handler(forgetting_run.run, forgetting_run.ended, _PRELOAD),
    "reference": Handler(references.run, references.ended, _PRELOAD),
    "verify": Handler(verifying_run.run, verifications.ended, _PRELOAD),
}

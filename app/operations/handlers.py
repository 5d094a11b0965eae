"""Every kind of job and what it does: the table that a worker is given."""

from __future__ import annotations

from app.jobs.handlers import Handler
from app.operations import forgetting_run, train

_PRELOAD = (
    "app.unlearning.continual",
    "app.unlearning.forgetting",
    "app.unlearning.training",
    "app.unlearning.verifying.outcome",
    "app.datasets.loading",
    "app.store.weights",
    "torch._dynamo",  # which the first optimizer of a process imports, some seconds that each job would pay
)

HANDLERS: dict[str, Handler] = {
    "train": Handler(train.run, train.ended, _PRELOAD),
    "forget": Handler(forgetting_run.run, forgetting_run.ended, _PRELOAD),
}

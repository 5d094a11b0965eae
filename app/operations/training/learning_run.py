"""What a training attempt computes in its process: a fitted network, from all classes at once or task by task."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from app.errors import NoServingVersion, NothingLeft
from app.operations.training import publishing, tasks
from app.specs.learning import Sisa
from app.specs.training import Training

if TYPE_CHECKING:
    from torch import Tensor

    from app.unlearning.case import Parent
    from app.unlearning.context import Context
    from app.unlearning.data import Dataset
    from app.unlearning.learning.architectures import Classifier
    from app.unlearning.learning.continual import AccuracyMatrix
    from app.unlearning.learning.synaptic_intelligence import Importance


@dataclass(frozen=True)
class Fitted:
    """A fitted network, and what its report says."""

    model: Classifier
    seconds: float
    cpu_seconds: float
    recipe: dict[str, Any]
    """What is needed to compute it again, in addition to parent, data and seed."""
    importance: Importance = field(default_factory=dict)
    accuracy_matrix: AccuracyMatrix | None = None


@dataclass(frozen=True)
class TrainingRun:
    """What one training job asks for. Nothing is kept of a fit that ends between two tasks: the job starts again."""

    start: publishing.Start
    parent: Parent | None
    """The version to go on from; None for fresh weights."""
    dataset: Dataset
    training: Training
    context: Context

    def learn_classes(self, classes: Sequence[int] | None) -> Fitted:
        """Fit these classes, or all; a model of tasks learns them task by task, in their order."""
        from app.unlearning.learning.training import fit

        learning = self.start.model.learning
        if isinstance(learning, Sisa):
            return self._learn_in_shards(learning, classes)
        model = copy.deepcopy(self.parent.network) if self.parent else self._fresh()
        learned = set(model.learned_classes)
        rows = self._rows(learned if classes is None else learned & set(classes))
        if model.learning.tasks:
            return self._learn(model, rows, range(len(model.learning.tasks)))
        fitted = fit(model, self.dataset, rows, self.training, self.context)
        return Fitted(model, fitted.seconds, fitted.cpu_seconds, self._recipe(fitted.epochs, rows))

    def learn_further(self, asked: Sequence[Sequence[int]]) -> Fitted:
        """Learn these tasks after those of the parent; raises `NoServingVersion`, and `Conflict` as `refuse_fewer`."""
        from app.unlearning.learning.continual import with_tasks

        if self.parent is None or self.start.parent is None:
            raise NoServingVersion(
                "no training of this model succeeded, so it can learn no further task; train it first"
            )
        tasks.refuse_fewer(self.start.model, self.start.parent)
        had = self.parent.network.learning.tasks
        further = (*had, *map(tuple, asked))
        model = with_tasks(self.parent.network, further, self.training.seed)
        rows = self._rows([number for classes in asked for number in classes])
        return self._learn(model, rows, range(len(had), len(further)))

    def _learn_in_shards(self, learning: Sisa, classes: Sequence[int] | None) -> Fitted:
        from app.unlearning.learning.sisa.learning import Recipe, train_sharded
        from app.unlearning.stopwatch import Stopwatch

        stopwatch = Stopwatch()
        architecture = self.start.model.architecture
        recipe = Recipe(architecture, learning, self.training, tuple(self.start.forgotten))
        rows = self._rows(range(self.dataset.num_classes) if classes is None else classes)
        model = train_sharded(recipe, self.dataset, rows, self.context)
        spent = stopwatch.spent()
        return Fitted(model, spent.wall, spent.cpu, self._recipe(self.training.epochs, rows))

    def _fresh(self) -> Classifier:
        """The model's network with fresh weights, what is forgotten struck."""
        from app.unlearning.learning.architectures import build

        architecture = self.start.model.architecture
        learning = self.start.model.learning
        data, seed = self.dataset, self.training.seed
        fresh = build(architecture, data.input_shape, data.num_classes, seed, learning)
        fresh.mark_forgotten(self.start.forgotten)
        return fresh

    def _rows(self, classes: Iterable[int]) -> Tensor:
        """Training rows, int64 [n], of the given classes without the forgotten ones."""
        import torch

        wanted = set(classes) - set(self.start.forgotten)
        labels = self.dataset.train_labels[self.dataset.train_rows]
        rows = self.dataset.train_rows[torch.isin(labels, torch.tensor(sorted(wanted)))]
        if not len(rows):
            raise NothingLeft("no training row of the asked classes is left; ask for other classes")
        return rows

    def _learn(self, model: Classifier, rows: Tensor, indexes: range) -> Fitted:
        """Learn the tasks of these indexes; the accuracy matrix goes on where that of the parent ended."""
        from app.unlearning.learning.continual import learn_tasks

        learned = learn_tasks(
            model,
            self.dataset,
            rows,
            indexes,
            self.training,
            known=range(len(self.parent.network.learning.tasks)) if self.parent else (),
            importance=self.parent.importance if self.parent else {},
            context=self.context,
        )
        recipe = self._recipe(learned.epochs, rows)
        all_tasks, counts = model.learning.tasks, recipe["rows_by_class"]
        recipe["tasks"] = [index for index in indexes if any(counts[number] for number in all_tasks[index])]
        earlier = self.start.parent.metrics.accuracy_matrix if self.parent and self.start.parent else None
        rows_so_far = [*(earlier or []), *learned.accuracy_matrix]
        matrix = [[*row, *[None] * (len(all_tasks) - len(row))] for row in rows_so_far]
        spent = learned.seconds, learned.cpu_seconds
        return Fitted(learned.model, *spent, recipe, learned.importance, matrix)

    def _recipe(self, epochs: int, rows: Tensor) -> dict[str, Any]:
        counts = publishing.rows_by_class(self.dataset, rows)
        return {"training": asdict(self.training), "epochs_run": epochs, "rows_by_class": counts}

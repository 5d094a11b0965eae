"""EU-k: the last k layers begin anew and learn the retain set alone, on the features that the lower ones make."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from app.specs.methods.euk import EukParameters
from app.unlearning.case import Case
from app.unlearning.context import Context
from app.unlearning.data import Dataset, in_batches
from app.unlearning.learning.architectures import Classifier, build
from app.unlearning.learning.training import raw_logits
from app.unlearning.methods.method import Computed, strike
from app.unlearning.methods.steps import Batches, cross_entropy, descend, images_of
from app.unlearning.methods.tuning import Judge

_ROUND = 100  # steps after which held-out rows say whether more is learned
_PATIENCE = 3  # rounds without a better held-out loss
_BATCH = 500
_CACHED_VALUES = 2**28  # float32 values of features held at once: 1 GiB


def compute(case: Case, parameters: EukParameters, context: Context, *, seed: int) -> Computed:
    """Draw the last layers from `seed`, and train them until rows held out of the retain set say that it is enough."""
    original, data, partition = case.original, case.data, case.partition
    judge = Judge(case, parameters.utility_budget, context, seed=seed, reads_forget_set=False)
    layers = layers_to_reset(original) if parameters.layers is None else parameters.layers
    strike(original, partition)
    enough = _loss(original, data, judge.unseen, context)
    split = reset(original, layers, seed)
    fitting = _Fitting(original, split, data, judge, parameters, seed=seed, context=context)
    steps = fitting.run(enough)
    score = judge.score(original)
    return Computed(
        original,
        {
            "layers": len(split.layers),
            "reset": split.layers,
            "steps_taken": steps,
            "features_cached": fitting.cached is not None,
            "within_budget": judge.affordable(score),
            "held_out_accuracy": score.utility,
            "held_out_accuracy_before": judge.before.utility,
            "held_out_floor": judge.floor,
        },
        # Rows held out decide when to stop, which is a part in the weights, too.
        trained_on=partition.train.retain if len(split.layers) == len(weight_layers(original)) else None,
    )


@dataclass(frozen=True)
class Split:
    """A network whose upper part began anew."""

    layers: list[str]
    """The layers with weights of the upper part, by name."""
    fresh: list[nn.Module]
    """Every module of the upper part that has parameters of its own."""
    lower: nn.Module
    """Images to features; none of its values changes."""
    upper: nn.Module
    """Features to raw logits; what does not begin anew in it is frozen."""


def weight_layers(model: Classifier) -> list[str]:
    """The names of all layers with weights, from the input to the head, in the order of their definition."""
    kinds = (nn.Linear, nn.Conv2d, nn.RNNBase)
    return [name for name, module in model.named_modules() if isinstance(module, kinds)]


def layers_to_reset(model: Classifier) -> int:
    """How many of the last layers begin anew where nobody says: see `EukParameters.layers`."""
    names = weight_layers(model)
    convolutions = [place for place, name in enumerate(names) if isinstance(model.get_submodule(name), nn.Conv2d)]
    if not convolutions:
        return len(names)
    connected = len(names) - 1 - convolutions[-1]
    return connected if connected > 1 else math.ceil(len(names) / 3)


def reset(model: Classifier, layers: int, seed: int) -> Split:
    """Put, in place, fresh weights of `seed` into the last layers, at most all, and freeze the others."""
    names = weight_layers(model)[-layers:]
    with_parameters = [
        name for name, module in model.named_modules() if next(module.parameters(recurse=False), None) is not None
    ]
    upper = with_parameters[with_parameters.index(names[0]) :]
    fresh = build(model.architecture, model.input_shape, model.num_classes, seed, model.learning)
    model.requires_grad_(requires_grad=False)
    for name in upper:
        model.get_submodule(name).load_state_dict(fresh.get_submodule(name).state_dict())
        model.get_submodule(name).requires_grad_()
    return Split(names, [model.get_submodule(name) for name in upper], *_parts(model, names[0]))


def _parts(model: Classifier, first: str) -> tuple[nn.Module, nn.Module]:
    """The network before the layer `first`, and from it on; nothing comes before where that cannot be told."""
    if first == "head":
        return model.body, model.head
    place = first.removeprefix("body.")
    if isinstance(model.body, nn.Sequential) and place.isdigit():
        return model.body[: int(place)], nn.Sequential(*model.body[int(place) :], model.head)
    return nn.Identity(), model


class _Fitting:
    """The fit of the upper part: batches of features, computed once where they fit into memory."""

    def __init__(
        self,
        model: Classifier,
        split: Split,
        data: Dataset,
        judge: Judge,
        parameters: EukParameters,
        *,
        seed: int,
        context: Context,
    ) -> None:
        self._model, self._split, self._data, self._context = model, split, data, context
        self._judge, self._rows, self._parameters = judge, judge.rows, parameters
        self._batches = Batches(torch.arange(len(judge.rows)), parameters.batch_size, seed)
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self._optimizer = torch.optim.Adam(trained, lr=parameters.learning_rate, fused=True)
        self.cached = self._features(judge.rows) if self._fits_into_memory() else None

    def run(self, enough: float) -> int:
        """Train at the full rate until held-out rows are known as well as the original knows rows that it never saw.

        They are known as well when their accuracy is as high and their loss is at most `enough`, in nats; training also
        ends when they are not learned better any more. Then the rate falls, over a quarter as many steps. Gives the
        number of all steps.
        """
        steps, best, waited = 0, math.inf, 0
        while steps < self._parameters.steps and waited < _PATIENCE:
            further = min(_ROUND, self._parameters.steps - steps)
            start, end = (0.8 * place / self._parameters.steps for place in (steps, steps + further))
            steps += self._train(further, self._context.part(start, end))
            loss = _loss(self._model, self._data, self._judge.held, self._context)
            if loss <= enough and self._judge.score(self._model).utility >= self._judge.level:
                break
            best, waited = (loss, 0) if loss < best else (best, waited + 1)
        falling = max(_ROUND, steps // 4)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self._optimizer, T_max=falling)
        steps += self._train(falling, self._context.part(0.8, 1.0), schedule)
        self._model.requires_grad_().eval()
        return steps

    def _train(self, steps: int, context: Context, schedule: torch.optim.lr_scheduler.LRScheduler | None = None) -> int:
        for module in self._split.fresh:
            module.train()
        taken = descend(self._optimizer, lambda: self._loss(self._batches.draw()), steps, context, schedule=schedule)
        self._model.eval()
        return taken

    def _loss(self, places: Tensor) -> Tensor:
        rows = self._rows[places]
        features = self._features(rows) if self.cached is None else self.cached[places]
        return cross_entropy(self._model, self._split.upper(features), self._data.train_labels[rows])

    @torch.no_grad()
    def _features(self, rows: Tensor) -> Tensor:
        """The features that the lower part makes of training rows, int64 [N]; the images where it is empty."""
        found = []
        for batch in in_batches(rows, _BATCH):
            self._context.check()
            found.append(self._split.lower(images_of(self._data, batch, self._context)))
        return torch.cat(found)

    def _fits_into_memory(self) -> bool:
        return self._features(self._rows[:1]).numel() * len(self._rows) <= _CACHED_VALUES


def _loss(model: Classifier, data: Dataset, rows: Tensor, context: Context) -> float:
    """Mean cross-entropy in nats on these rows of the training file, classes forgotten so far left out."""
    logits = raw_logits(model, data.train_images, rows, context.device).to(context.device)
    return float(cross_entropy(model, logits, data.train_labels[rows]))

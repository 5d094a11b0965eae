"""What one model makes of the sets of a verification: everything that its figures are computed from.

Observed once, a model need not be run again: see `kept`.
"""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor

from app.errors import NotApplicable
from app.unlearning.context import Context
from app.unlearning.data import Dataset
from app.unlearning.judging.attacks import PROBE_IMAGES, PROTOTYPE_IMAGES, fit_probe, prototype_answers, rows_per_class
from app.unlearning.judging.measuring.closeness import margins
from app.unlearning.judging.measuring.features import layer_features, layer_names
from app.unlearning.judging.measuring.relearning import Images, Relearning, relearn
from app.unlearning.judging.verifying.claims import weights_digest
from app.unlearning.learning.architectures import Classifier
from app.unlearning.partition import Partition
from app.unlearning.refusing.guard import Guard, Guarded, margins_of_rows

Depth = Literal["fast", "deep"]

MOST_ROWS: dict[Depth, int] = {"fast": 3000, "deep": 10_000}
"""The most rows of a set, drawn from the seed. Every forget request pays for the fast ones: see
benchmarks.verification."""
ALIGNED_ROWS = 2000
"""The most rows that layers are aligned on, and that relearning draws from and is judged by."""
FAST_SHOTS = PROTOTYPE_IMAGES[1]


@dataclass(frozen=True)
class Sets:
    """The rows of a data set that are looked at, all int64; those of a class are balanced as they come."""

    data: Dataset
    partition: Partition
    forget: Tensor
    """Rows of the training file that are forgotten."""
    retain: Tensor
    """Rows of the training file that are retained."""
    test_forget: Tensor
    """Rows of the test file, of the forgotten classes; none where samples are forgotten."""
    test_retain: Tensor
    """Rows of the test file, of retained classes."""
    depth: Depth
    seed: int

    @property
    def forget_classes(self) -> tuple[int, ...]:
        """The classes to forget now; empty where samples are forgotten."""
        return self.partition.forget_classes


@dataclass(frozen=True)
class Outputs:
    """What the model answers to one set, no task named."""

    labels: Tensor
    """int64 [N]."""
    logits: Tensor
    """float32 [N, C], of the raw head."""
    probabilities: Tensor
    """float64 [N, C], of the classes that compete, without the null unit: refusing is told apart from knowing."""
    served: Tensor
    """int64 [N]: class index, or C for forgotten."""

    @cached_property
    def margins(self) -> Tensor:
        """The margin of the true label, float64 [N], in nats, of the raw head."""
        return margins(self.logits, self.labels)

    @cached_property
    def certainty(self) -> Tensor:
        """Minus the entropy of the classes that compete, float64 [N], in nats: how sure the answer is."""
        terms: Tensor = torch.special.entr(self.probabilities)
        return -terms.sum(dim=1)


@dataclass(frozen=True)
class ProbePlace:
    """What a probe was fitted to."""

    layer: str
    images: int
    """Images per class that were asked for; a class with fewer images gives fewer."""


FAST_PROBE = ProbePlace("body", PROBE_IMAGES[0])


@dataclass(frozen=True)
class Observation:
    """One model, seen on all sets."""

    digest: str
    forget: Outputs
    retain: Outputs
    test_forget: Outputs
    test_retain: Outputs
    probes: dict[ProbePlace, Tensor] = field(default_factory=dict)
    """bool [M]: test inputs of the forgotten classes that the probe answers right."""
    prototypes: dict[int, Tensor] = field(default_factory=dict)
    """float64 [M], by shots: the share of draws in which the prototypes answer each of these inputs right."""
    layers: dict[str, Tensor] = field(default_factory=dict)
    """Features of each layer, float32 [N, D], on the first ALIGNED_ROWS of the forget set; empty for a fast
    verification."""
    relearning: Relearning | None = None
    """The relearning of a deep verification; None where no original says what there is to relearn."""


def draw_sets(data: Dataset, partition: Partition, depth: Depth, seed: int) -> Sets:
    """Draw at most MOST_ROWS of each set, by depth, from `seed`; the partition is one of the data set.

    Raises NotApplicable where a set that is judged by is empty.
    """
    generator, most = torch.Generator().manual_seed(seed), MOST_ROWS[depth]
    forget, retain = (_some(rows, most, generator) for rows in (partition.train.forget, partition.train.retain))
    test_forget, test_retain = (_some(rows, most, generator) for rows in (partition.test.forget, partition.test.retain))
    if min(len(forget), len(retain), len(test_retain)) == 0:
        raise NotApplicable("Verification needs forgotten training rows, and retained training and test rows.")
    if partition.forget_classes and len(test_forget) == 0:
        raise NotApplicable("The classes to forget have no test images, so what is left of them cannot be measured.")
    return Sets(data, partition, forget, retain, test_forget, test_retain, depth, seed)


def observe(
    model: Classifier,
    sets: Sets,
    context: Context,
    original: Observation | None = None,
    *,
    guard: Guard | None = None,
) -> Observation:
    """Run a model, in evaluation mode, on all sets; it is not touched. Same seed: same bits.

    The answers as served are given behind the guard; everything else is the model's own.

    `original` says when a forgotten set counts as relearned; without it relearning is left out. Raises what ends the
    context.
    """
    context.report(0.0, "observing", "outputs on every set")
    guarded = Guarded(model, guard)
    data, training, test = sets.data, _training_rows(sets), _test_rows(sets)
    fitted = layer_features(model, data.train_images, training, ("body", "head"), context.device)
    asked = layer_features(model, data.test_images, test, ("body", "head"), context.device)
    seen = answered(guarded, sets, (fitted["head"], asked["head"]), context)
    if sets.forget_classes:
        context.report(0.2, "observing", "probes and prototypes")
        on = _Features(
            fitted["body"], data.train_labels[training], asked["body"][: len(sets.test_forget)], seen.test_forget.labels
        )
        probes = _deep_probes(model, sets, context) if sets.depth == "deep" else _fast_probes(on, sets)
        seen = replace(seen, probes=probes, prototypes=_prototypes(on, sets))
    if sets.depth == "fast":
        return seen
    context.report(0.6, "observing", "layers and relearning")
    layers = layer_features(model, data.train_images, sets.forget[:ALIGNED_ROWS], layer_names(model), context.device)
    relearning = None if original is None else _relearn(model, original, sets, context.part(0.7, 1.0))
    return replace(seen, layers=layers, relearning=relearning)


def answered(guarded: Guarded, sets: Sets, logits: tuple[Tensor, Tensor], context: Context) -> Observation:
    """The observation that follows from raw logits, float32 [N, C], of training and test rows; rows to forget first.

    It has no probes, no prototypes and nothing else that needs features.
    """
    data, rows, test_rows = sets.data, _training_rows(sets), _test_rows(sets)
    guarding, test_guarding = (
        margins_of_rows(guarded.guard, images, some, context.device)
        for images, some in ((data.train_images, rows), (data.test_images, test_rows))
    )
    training = _outputs(guarded, data.train_labels[rows], logits[0].to(context.device), guarding)
    test = _outputs(guarded, data.test_labels[test_rows], logits[1].to(context.device), test_guarding)
    forget, retain = _split(training, len(sets.forget))
    test_forget, test_retain = _split(test, len(sets.test_forget))
    return Observation(weights_digest(guarded.classifier), forget, retain, test_forget, test_retain)


def observe_original(model: Classifier, sets: Sets, context: Context) -> Observation:
    """Observe the original, as `observe`; it relearns what it knows in no step."""
    seen = observe(model, sets, context)
    if sets.depth == "fast" or _known(seen, sets) == 0:
        return seen
    return replace(seen, relearning=Relearning(0, (_known(seen, sets),)))


def observe_struck(model: Classifier, original: Observation, sets: Sets, context: Context) -> Observation | None:
    """The original, observed before, with the rows of the classes to forget struck; None for samples.

    Nothing else is done to it: what the features hold stays as it was; relearning alone is run.
    """
    if not sets.forget_classes:
        return None
    forget, retain, test_forget, test_retain = (
        _struck(outputs, sets.forget_classes)
        for outputs in (original.forget, original.retain, original.test_forget, original.test_retain)
    )
    seen = replace(
        original, forget=forget, retain=retain, test_forget=test_forget, test_retain=test_retain, relearning=None
    )
    if sets.depth == "fast":
        return seen
    copy, rows = deepcopy(model), list(sets.forget_classes)
    with torch.no_grad():
        copy.head.weight[rows] = 0.0
        copy.head.bias[rows] = 0.0
    copy.mark_forgotten(rows)
    return replace(seen, relearning=_relearn(copy, original, sets, context))


def _struck(outputs: Outputs, classes: tuple[int, ...]) -> Outputs:
    """The outputs with the logits of these classes at 0 and the classes out of the competition; nothing is refused."""
    competing = (outputs.probabilities > 0).any(dim=0)  # [N, C] -> [C]
    logits = outputs.logits.clone()
    logits[:, list(classes)], competing[list(classes)] = 0.0, False
    probabilities = logits.masked_fill(~competing, -torch.inf).double().softmax(dim=1)
    return Outputs(outputs.labels, logits, probabilities, probabilities.argmax(dim=1))


def _some(rows: Tensor, most: int, generator: torch.Generator) -> Tensor:
    return rows[torch.randperm(len(rows), generator=generator)[:most]]


def _training_rows(sets: Sets) -> Tensor:
    """Rows of the training file, int64 [N], the forget set first."""
    return torch.cat([sets.forget, sets.retain])


def _test_rows(sets: Sets) -> Tensor:
    """Rows of the test file, int64 [M], of the forgotten classes first."""
    return torch.cat([sets.test_forget, sets.test_retain])


def _outputs(guarded: Guarded, labels: Tensor, logits: Tensor, guarding: Tensor | None) -> Outputs:
    """Outputs on inputs with labels, int64 [N], raw logits, float32 [N, C], and the guard's margins, float32 [N]."""
    served = guarded.serve(logits, guarding).argmax(dim=1).cpu()
    competing = logits.masked_fill(~guarded.classifier.competing(), -torch.inf).cpu()
    return Outputs(labels, logits.cpu(), competing.double().softmax(dim=1), served)


def _split(outputs: Outputs, count: int) -> tuple[Outputs, Outputs]:
    """The first `count` rows, and the others."""
    parts = [
        [getattr(outputs, name)[part] for name in ("labels", "logits", "probabilities", "served")]
        for part in (slice(None, count), slice(count, None))
    ]
    return Outputs(*parts[0]), Outputs(*parts[1])


@dataclass(frozen=True)
class _Features:
    """The features that the head takes."""

    fitted: Tensor
    """float32 [N, D], of the training rows, forget set first."""
    labels: Tensor
    """int64 [N]."""
    asked: Tensor
    """float32 [M, D], of test inputs of the forgotten classes."""
    asked_labels: Tensor
    """int64 [M]."""


def _fast_probes(on: _Features, sets: Sets) -> dict[ProbePlace, Tensor]:
    """The hits of one probe, fitted to the features that the head takes."""
    rows = _drawn(on.labels, FAST_PROBE.images, sets.seed)
    hits = _probe_hits(on.fitted[rows], on.labels[rows], on.asked, on.asked_labels)
    return {FAST_PROBE: hits}


def _deep_probes(model: Classifier, sets: Sets, context: Context) -> dict[ProbePlace, Tensor]:
    """The hits of a probe, bool [M], for every layer and every number of images."""
    found: dict[ProbePlace, Tensor] = {}
    data, training = sets.data, _training_rows(sets)
    most = training[_drawn(data.train_labels[training], max(PROBE_IMAGES), sets.seed)]
    labels, asked = data.train_labels[most], data.test_labels[sets.test_forget]
    layers = layer_names(model)
    fitted_on = layer_features(model, data.train_images, most, layers, context.device)
    asked_of = layer_features(model, data.test_images, sets.test_forget, layers, context.device)
    for images in PROBE_IMAGES:
        rows = _drawn(labels, images, sets.seed)
        for layer in layers:
            context.check()
            hits = _probe_hits(fitted_on[layer][rows], labels[rows], asked_of[layer], asked)
            found[ProbePlace(layer, images)] = hits
    return found


def _probe_hits(features: Tensor, labels: Tensor, asked: Tensor, asked_labels: Tensor) -> Tensor:
    return fit_probe(features, labels).answers(asked) == asked_labels


def _prototypes(on: _Features, sets: Sets) -> dict[int, Tensor]:
    """The share of draws that answer each test input right, float64 [M], by number of shots."""
    rows = _drawn(on.labels, max(PROBE_IMAGES), sets.seed)
    available = int(torch.bincount(on.labels)[list(sets.forget_classes)].min())
    shots = (FAST_SHOTS,) if sets.depth == "fast" else PROTOTYPE_IMAGES
    return {number: _prototype_hits(on, rows, sets, number) for number in shots if number <= available}


def _prototype_hits(on: _Features, rows: Tensor, sets: Sets, shots: int) -> Tensor:
    """The share of draws, float64 [M], in which prototypes made of these rows, int64 [N], answer right."""
    generator = torch.Generator().manual_seed(sets.seed)
    fitted, labels = on.fitted[rows], on.labels[rows]
    answers = prototype_answers(fitted, labels, sets.forget_classes, on.asked, shots=shots, generator=generator)
    return (answers == on.asked_labels).double().mean(dim=0)


def _drawn(labels: Tensor, images: int, seed: int) -> Tensor:
    """Random rows, int64 [K * n], of the K classes in labels, int64 [N]; n is `images`, or the smallest class's."""
    counts = torch.bincount(labels)
    smallest = int(counts[counts > 0].min())
    return rows_per_class(labels, min(images, smallest), torch.Generator().manual_seed(seed))


def _relearn(model: Classifier, original: Observation, sets: Sets, context: Context) -> Relearning | None:
    """Steps until the model knows its target as the original did."""
    judged = _images(sets.data, sets.test_forget, training=False) if sets.forget_classes else None
    accuracy = _known(original, sets)
    if accuracy == 0:
        return None
    forget = _images(sets.data, sets.forget, training=True)
    return relearn(
        model,
        forget,
        _images(sets.data, sets.retain, training=True),
        judged or forget,
        original_accuracy=accuracy,
        seed=sets.seed,
        context=context,
    )


def _known(original: Observation, sets: Sets) -> float:
    """Accuracy, 0..1, on what is relearned: test inputs of the classes, or the samples themselves."""
    known = original.test_forget if sets.forget_classes else original.forget
    return float((known.probabilities.argmax(dim=1) == known.labels).double().mean())


def _images(data: Dataset, rows: Tensor, *, training: bool) -> Images:
    images, labels = (data.train_images, data.train_labels) if training else (data.test_images, data.test_labels)
    some = rows[:ALIGNED_ROWS]
    return Images(images[some], labels[some])


def observe_all(
    models: Iterable[Classifier], sets: Sets, context: Context, original: Observation | None
) -> list[Observation]:
    """Observe several models, as `observe`."""
    listed = list(models)
    return [
        observe(model, sets, context.part(index / len(listed), (index + 1) / len(listed)), original)
        for index, model in enumerate(listed)
    ]

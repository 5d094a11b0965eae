"""What a model was seen to do, kept: the next verification of the same target need not run it again.

What running it gave is kept: raw logits, and hits of probes and prototypes. Everything else is computed anew from
these, by the code that also computes it for a model just run, so that the report is the same to the bit.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from app.unlearning.context import Context
from app.unlearning.judging.verifying.observations import FAST_PROBE, FAST_SHOTS, Observation, Sets, answered, observe
from app.unlearning.learning.architectures import Classifier
from app.unlearning.refusing.guard import Guarded

MEASURING = 1
"""Raise it with every change of what running a model gives: `observe`, features, probes, prototypes."""

_TRAINING, _TEST, _PROBE, _PROTOTYPES = "logits.training", "logits.test", "probe", "prototypes"


@dataclass(frozen=True)
class Shelf:
    """Where tensors are kept under a key; reading may find nothing, and writing may keep nothing."""

    read: Callable[[str], Mapping[str, Tensor] | None]
    write: Callable[[str, Mapping[str, Tensor]], None]
    about: str
    """Everything beside model and rows that decides the bits: the data set's digest, and what computes."""


def observe_or_recall(model: Classifier, sets: Sets, context: Context, shelf: Shelf) -> Observation:
    """Observe as `observe` does for fast sets without a guard; run only what is not on the shelf, and then keep it."""
    assert sets.depth == "fast", "what only a deep verification looks at is not kept"
    context.report(0.0, "observing", "what was seen before")
    key = _key(model, sets, shelf.about)
    tensors = shelf.read(key)
    if tensors is not None and _fit(tensors, model, sets):
        return _recalled(tensors, model, sets, context)
    seen = observe(model, sets, context)
    shelf.write(key, _tensors(seen))
    return seen


def observe_or_recall_all(
    models: Iterable[Classifier], sets: Sets, context: Context, shelf: Shelf
) -> list[Observation]:
    """Observe or recall several models, as `observe_or_recall`."""
    listed = list(models)
    parts = (context.part(place / len(listed), (place + 1) / len(listed)) for place in range(len(listed)))
    return [observe_or_recall(model, sets, part, shelf) for model, part in zip(listed, parts, strict=True)]


def _key(model: Classifier, sets: Sets, about: str) -> str:
    """SHA-256, in hex, of everything that the tensors depend on: weights, buffers, rows, and all that decides their bits."""
    found = hashlib.sha256(f"{MEASURING} {about} {sets.forget_classes} {sets.seed}\n".encode())
    found.update(f"{model.architecture} {model.learning} {model.input_shape}\n".encode())
    rows = {name: getattr(sets, name) for name in ("forget", "retain", "test_forget", "test_retain")}
    for name, values in [*model.state_dict().items(), *rows.items()]:
        found.update(f"{name} {values.dtype} {list(values.shape)}\n".encode())
        found.update(values.cpu().contiguous().numpy().tobytes())
    return found.hexdigest()


def _tensors(seen: Observation) -> dict[str, Tensor]:
    found = {
        _TRAINING: torch.cat([seen.forget.logits, seen.retain.logits]),
        _TEST: torch.cat([seen.test_forget.logits, seen.test_retain.logits]),
    }
    if seen.probes:
        found[_PROBE] = seen.probes[FAST_PROBE]
    if seen.prototypes:
        found[_PROTOTYPES] = seen.prototypes[FAST_SHOTS]
    return found


def _recalled(tensors: Mapping[str, Tensor], model: Classifier, sets: Sets, context: Context) -> Observation:
    seen = answered(Guarded(model), sets, (tensors[_TRAINING], tensors[_TEST]), context)
    probes = {FAST_PROBE: tensors[_PROBE]} if _PROBE in tensors else {}
    prototypes = {FAST_SHOTS: tensors[_PROTOTYPES]} if _PROTOTYPES in tensors else {}
    return replace(seen, probes=probes, prototypes=prototypes)


def _fit(tensors: Mapping[str, Tensor], model: Classifier, sets: Sets) -> bool:
    """Whether the tensors have the types and shapes that these sets give; few images of a class give no prototypes."""
    asked = len(sets.test_forget)
    training, test = len(sets.forget) + len(sets.retain), asked + len(sets.test_retain)
    expected: dict[str, tuple[torch.dtype, tuple[int, ...]]] = {
        _TRAINING: (torch.float32, (training, model.num_classes)),
        _TEST: (torch.float32, (test, model.num_classes)),
    }
    if sets.forget_classes:
        expected[_PROBE] = (torch.bool, (asked,))
    if _PROTOTYPES in tensors:
        expected[_PROTOTYPES] = (torch.float64, (asked,))
    return {name: (values.dtype, tuple(values.shape)) for name, values in tensors.items()} == expected

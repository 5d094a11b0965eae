"""What forgetting, verifying and measuring importance cost beside one epoch of training, in CPU seconds of one thread."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median

import torch
from torch import Tensor
from torch.func import functional_call, grad, vmap
from torch.nn import functional

from app.specs import target as forgetting
from app.specs.methods.edit import EditSettings
from app.specs.request import ForgetSpec
from app.unlearning.case import Parent
from app.unlearning.context import Context
from app.unlearning.data import Dataset, images_as_float, in_batches
from app.unlearning.forgetting import forget
from app.unlearning.judging.verifying.claims import Sought
from app.unlearning.judging.verifying.deep_verification import judge
from app.unlearning.judging.verifying.observations import draw_sets, observe, observe_struck
from app.unlearning.judging.verifying.peers import SeenPeers
from app.unlearning.learning.architectures import Classifier
from app.unlearning.learning.training import fit
from app.unlearning.methods.importance import empirical_fisher
from app.unlearning.partition import Partition
from benchmarks.methods.models import original, reference
from benchmarks.methods.requests import Clock
from benchmarks.methods.setting import FIRST_SEED, Case, Target, compared_classes
from benchmarks.study import Study, add_architectures, dataset, prepare
from benchmarks.writing import write

STUDY = Study(
    "methods.costs",
    "CPU seconds of edits, fast verification and Fisher information beside one epoch of training, medians",
    "costs_<dataset>_<architecture>.json into --out, which `python -m benchmarks.methods --write` reads",
    minutes=6,
    gibibytes=1.4,
)

FISHER_IMAGES = 1000
_BATCH = 250
_CONTEXT = Context()
_SOUGHT = Sought("approximate", "none", EditSettings().utility_budget)


def cpu_seconds(work: Callable[[], object], repetitions: int) -> float:
    """The median process CPU time."""
    found = []
    for _ in range(repetitions):
        start = time.process_time()
        work()
        found.append(time.process_time() - start)
    return median(found)


def costs(case: Case, data: Dataset, folder: Path, repetitions: int) -> dict[str, float]:
    """Every cost, by name."""
    partition = Partition.of(data, case.target.classes)
    before = original(case, data, folder).model
    retrained = reference(case, data, partition, case.reference_seeds[0], folder).model
    epoch = replace(case.training, epochs=1)
    found = {"epoch": cpu_seconds(lambda: fit(_trainable(before), data, data.train_rows, epoch, _CONTEXT), repetitions)}
    target = forgetting.Target(case.target.classes)
    edits = {
        "push_150": ForgetSpec(target, parameters=EditSettings(push_steps=150)),
        "push_400": ForgetSpec(target, parameters=EditSettings(push_steps=400)),
        "zero_and_calibrate": ForgetSpec(target, parameters=EditSettings(scope="output"), refusal="calibrate"),
    }
    for name, edit in edits.items():
        found[name] = median(_method_seconds(before, data, edit) for _ in range(repetitions))
    found |= _verifying(before, retrained, data, partition, repetitions)
    return found | _fisher(before, data, partition, repetitions)


def _trainable(model: Classifier) -> Classifier:
    """A network to train further, so that the one measured stays as it is."""
    copy = Classifier(model.architecture, model.learning, model.input_shape, model.num_classes)
    copy.load_state_dict(model.state_dict())
    return copy.to(memory_format=torch.channels_last)


def _method_seconds(before: Classifier, data: Dataset, edit: ForgetSpec) -> float:
    clock = Clock()
    forget(Parent(before), data, edit, clock.context)
    return clock.seconds


def _verifying(
    before: Classifier, retrained: Classifier, data: Dataset, partition: Partition, repetitions: int
) -> dict[str, float]:
    """Fast verification with 1 and 3 references: all models looked at, and those before the request kept."""
    found: dict[str, list[float]] = {}
    for count in (1, 3) * repetitions:
        start = time.process_time()
        sets = draw_sets(data, partition, "fast", 0)
        original_seen = observe(before, sets, _CONTEXT)
        # Looking at one network three times costs what looking at three of them does.
        references = {number: observe(retrained, sets, _CONTEXT) for number in range(count)}
        kept = time.process_time()
        after = observe(retrained, sets, _CONTEXT)
        struck = observe_struck(before, original_seen, sets, _CONTEXT)
        judge(after, _SOUGHT, SeenPeers(sets, original_seen, struck, references), _CONTEXT)
        found.setdefault(f"verify_{count}", []).append(time.process_time() - start)
        found.setdefault(f"verify_{count}_kept", []).append(time.process_time() - kept)
    return {name: median(seconds) for name, seconds in found.items()}


def _fisher(before: Classifier, data: Dataset, partition: Partition, repetitions: int) -> dict[str, float]:
    """Per-sample squared gradients of a thousand images, beside the gradient of their batches."""
    rows = partition.train.retain[:FISHER_IMAGES]
    images, labels = data.train_images[rows], data.train_labels[rows]
    return {
        "batch_backward": cpu_seconds(lambda: _batch_gradients(before, images, labels), repetitions),
        "fisher": cpu_seconds(lambda: empirical_fisher(before, images, labels, _CONTEXT), repetitions),
        "fisher_vmap": cpu_seconds(lambda: _vmap_fisher(before, images, labels), repetitions),
    }


def _batch_gradients(model: Classifier, images: Tensor, labels: Tensor) -> None:
    for batch in in_batches(torch.arange(len(labels)), _BATCH):
        functional.cross_entropy(model(images_as_float(images[batch])), labels[batch]).backward()  # type: ignore[no-untyped-call]  # torch's own signature lacks types
    model.zero_grad()


def _vmap_fisher(model: Classifier, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """The same by torch.func, every parameter; `empirical_fisher` takes the weights alone, in closed form."""
    parameters = {name: value.detach() for name, value in model.named_parameters()}

    def loss(values: dict[str, Tensor], image: Tensor, label: Tensor) -> Tensor:
        logits = functional_call(model, values, (image.unsqueeze(0),))
        return functional.cross_entropy(logits, label.unsqueeze(0))

    per_sample = vmap(grad(loss), in_dims=(None, 0, 0))
    totals = {name: torch.zeros_like(value) for name, value in parameters.items()}
    for batch in in_batches(torch.arange(len(labels)), _BATCH):
        for name, gradients in per_sample(parameters, images_as_float(images[batch]), labels[batch]).items():
            totals[name] += gradients.square().sum(dim=0)
    return totals


def main() -> None:
    """Measure and keep."""
    parser = STUDY.parser()
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--dataset", default="mnist")
    add_architectures(parser, "mlp", "cnn")
    parser.add_argument("--repetitions", type=int, default=5)
    asked = parser.parse_args()
    prepare(threads=1)
    data = dataset(asked.dataset)
    target = Target("class", compared_classes(data.num_classes)[:1])
    for name in asked.architecture:
        case = Case(asked.dataset, name, target, FIRST_SEED)
        found = costs(case, data, asked.out / "models" / asked.dataset, asked.repetitions)
        kept = {"dataset": asked.dataset, "architecture": name, "repetitions": asked.repetitions, **found}
        write(asked.out / f"costs_{asked.dataset}_{name}.json", kept)


if __name__ == "__main__":
    main()

"""What can be asked for: architectures, training, forgetting, as frozen dataclasses.

Shared by the wire contract, which validates and publishes them as JSON Schema, and by the core, which computes with
them. Standard library and `annotated_types` only. `__pydantic_config__` makes unknown fields an error.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Ge, Gt, Le, Len, Lt

_STRICT: dict[str, Any] = {"extra": "forbid", "allow_inf_nan": False, "use_attribute_docstrings": True}


def _required(tag: str) -> dict[str, Any]:
    """Of a kind that is not meant where its name is left out: the schema demands the name, as its reader does."""

    def change(schema: dict[str, Any]) -> None:
        del schema["properties"][tag]["default"]
        schema["required"] = [tag]

    return _STRICT | {"json_schema_extra": change}


def _depending(*names: str) -> dict[str, Any]:
    """Of fields whose defaults depend on the learning mode: their sentences say how, a constant would be untrue."""

    def change(schema: dict[str, Any]) -> None:
        for name in names:
            del schema["properties"][name]["default"]

    return _STRICT | {"json_schema_extra": change}


Width = Annotated[int, Ge(1), Le(4096)]
Seed = Annotated[int, Ge(0), Lt(2**53)]
Task = Annotated[tuple[Annotated[int, Ge(0), Lt(2**31)], ...], Len(1)]
"""The classes, by index, that are learned together."""
Tasks = Annotated[tuple[Task, ...], Len(0, 1000)]

Epochs = Annotated[int, Ge(1), Le(1000)]
BatchSize = Annotated[int, Ge(1), Le(10_000)]
Optimizer = Literal["adam", "sgd"]
OPTIMIZER_MEANINGS: Mapping[Optimizer, str] = {
    "adam": "Adam (Kingma and Ba 2015): each weight has a step length of its own.",
    "sgd": "Stochastic gradient descent, with `momentum`.",
}
LearningRate = Annotated[float, Gt(0), Le(10)]
Momentum = Annotated[float, Ge(0), Lt(1)]
WeightDecay = Annotated[float, Ge(0), Le(1)]
Schedule = Literal["constant", "cosine"]
SCHEDULE_MEANINGS: Mapping[Schedule, str] = {
    "constant": "The learning rate stays as it is.",
    "cosine": "The learning rate falls along half a cosine and reaches 0 at the last batch.",
}
EarlyStopping = Annotated[int, Ge(0), Le(1000)]

TorchvisionName = Literal[
    "resnet18",
    "resnet34",
    "resnet50",
    "mobilenet_v2",
    "mobilenet_v3_small",
    "shufflenet_v2_x0_5",
    "efficientnet_b0",
    "vgg11_bn",
    "densenet121",
]
TORCHVISION_MEANINGS: Mapping[TorchvisionName, str] = {
    "resnet18": "ResNet with 18 layers (He et al. 2016).",
    "resnet34": "ResNet with 34 layers (He et al. 2016).",
    "resnet50": "ResNet with 50 layers (He et al. 2016).",
    "mobilenet_v2": "MobileNetV2, a network for small devices (Sandler et al. 2018).",
    "mobilenet_v3_small": "The small MobileNetV3 (Howard et al. 2019).",
    "shufflenet_v2_x0_5": "ShuffleNetV2 of half width (Ma et al. 2018).",
    "efficientnet_b0": "EfficientNet-B0 (Tan and Le 2019).",
    "vgg11_bn": "VGG with 11 layers and batch normalisation (Simonyan and Zisserman 2015).",
    "densenet121": "DenseNet with 121 layers (Huang et al. 2017).",
}


@dataclass(frozen=True)
class Mlp:
    """A fully connected network: flattened input, hidden layers with ReLU, one output per class."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _depending("hidden")
    type: Literal["mlp"] = "mlp"
    hidden: Annotated[tuple[Width, ...], Len(0, 8)] = (128,)
    """Left out: [128]; of a new model that learns tasks [50], in a growing network [50, 50]."""


@dataclass(frozen=True)
class Cnn:
    """A small convolutional network: convolution, ReLU and 2x2 pooling per entry of `channels`, then a hidden layer."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _required("type")
    type: Literal["cnn"] = "cnn"
    channels: Annotated[tuple[Width, ...], Len(1, 4)] = (16, 32)
    hidden: Width = 128


@dataclass(frozen=True)
class Gru:
    """Gated recurrent layers (Cho et al. 2014) that read the image row by row; the last state is classified."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _required("type")
    type: Literal["gru"] = "gru"
    hidden: Annotated[tuple[Width, ...], Len(1, 4)] = (64,)


@dataclass(frozen=True)
class Lstm:
    """Long short-term memory layers (Hochreiter and Schmidhuber 1997) that read the image row by row."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _required("type")
    type: Literal["lstm"] = "lstm"
    hidden: Annotated[tuple[Width, ...], Len(1, 4)] = (64,)


@dataclass(frozen=True)
class Torchvision:
    """A torchvision classification network, untrained, its first layer adapted to the input's channels and size."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _required("type")
    type: TorchvisionName = "resnet18"


Growable = Mlp | Cnn | Gru | Lstm
"""The architectures that can grow by units in every hidden layer."""
Architecture = Growable | Torchvision


@dataclass(frozen=True)
class Standard:
    """All classes are learned together."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT
    mode: Literal["standard"] = "standard"
    tasks: ClassVar[Tasks] = ()


@dataclass(frozen=True)
class SynapticIntelligence:
    """Tasks one after the other in one network, weights held by their importance to earlier tasks (Zenke et al. 2017)."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _required("mode")
    mode: Literal["synaptic_intelligence"] = "synaptic_intelligence"
    tasks: Tasks = ()
    """The classes of each task, in the order of learning; empty: every two classes in their order."""
    c: Annotated[float, Ge(0), Le(1e6)] = 1.0
    """Strength of the surrogate loss that holds weights where they were."""
    xi: Annotated[float, Ge(1e-12), Le(1e6)] = 1e-3
    """Added to the squared change by which importance is divided."""


@dataclass(frozen=True)
class Progressive:
    """Tasks one after the other, each with units of its own; those of earlier tasks are frozen (Rusu et al. 2016)."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _required("mode")
    mode: Literal["progressive"] = "progressive"
    tasks: Tasks = ()
    """The classes of each task, in the order of learning; empty: every two classes in their order."""
    growth: Annotated[tuple[Width, ...], Len(0, 8)] = ()
    """Units that each further task adds to each hidden layer, in their order; empty: as many as the first task has."""


@dataclass(frozen=True)
class Sisa:
    """All classes together, by networks that each learn rows of their own and answer together (Bourtoule et al. 2021)."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _required("mode")
    mode: Literal["sisa"] = "sisa"
    tasks: ClassVar[Tasks] = ()
    shards: Annotated[int, Ge(1), Le(100)] = 5
    """Networks, each of which learns rows of its own."""
    slices: Annotated[int, Ge(1), Le(100)] = 3
    """Parts of each shard that are learned one after the other, with a checkpoint after each."""


Learning = Standard | SynapticIntelligence | Progressive | Sisa
Mode = Literal["standard", "synaptic_intelligence", "progressive", "sisa"]
MODE_MEANINGS: Mapping[Mode, str] = {
    "standard": "One network learns all classes together.",
    "synaptic_intelligence": "One network learns task by task; weights that matter to earlier tasks are held.",
    "progressive": "The network grows by units for each task; the units of earlier tasks are frozen.",
    "sisa": "Several networks, each of which learns rows of its own, answer together.",
}


@dataclass(frozen=True)
class Training:
    """How a network is fitted. One seed fixes the initial weights and the order of the batches."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _depending("epochs", "batch_size", "learning_rate", "schedule")
    epochs: Epochs = 5
    """Passes over the rows; where there are tasks, over those of each; where there are slices, all of them together.
    Left out: 5; of a new model of mode `progressive` 10."""
    batch_size: BatchSize = 128
    """Left out: 128; of a new model of mode `synaptic_intelligence` 1000."""
    optimizer: Optimizer = "adam"
    learning_rate: LearningRate = 0.005
    """Left out: .005; of a new model of mode `synaptic_intelligence` .001, of `progressive` .01."""
    momentum: Momentum = 0.9
    """Of `sgd`; `adam` does not use it."""
    weight_decay: WeightDecay = 0.0
    schedule: Schedule = "cosine"
    """How the learning rate goes: constant, or along half a cosine down to 0 at the last batch. Left out: cosine; of a
    new model that learns tasks constant."""
    early_stopping: EarlyStopping = 0
    """Stop after this many epochs without a better calibration loss, and keep the best epoch; 0: never stop early."""
    seed: Seed = 0


UnitBlocks = tuple[tuple[tuple[int, int], ...], ...]
"""By task, for each hidden layer from the input to the output: its first unit, and the one after its last."""

ARCHITECTURE_OF_MODE: dict[Mode, Architecture] = {
    "standard": Mlp(),
    "synaptic_intelligence": Mlp(hidden=(50,)),
    "progressive": Mlp(hidden=(50, 50)),
    "sisa": Mlp(),
}
TRAINING_OF_MODE: dict[Mode, Training] = {
    "standard": Training(),
    "synaptic_intelligence": Training(epochs=5, batch_size=1000, learning_rate=0.001, schedule="constant"),
    "progressive": Training(epochs=10, batch_size=128, learning_rate=0.01, schedule="constant"),
    "sisa": Training(),
}
"""What a model of each mode gets where its creator says nothing; epochs are per task."""


def hidden_widths(architecture: Growable) -> tuple[int, ...]:
    """The width of each hidden layer (channels of a convolution), from the input to the output."""
    return (*architecture.channels, architecture.hidden) if isinstance(architecture, Cnn) else architecture.hidden


def full_grown(architecture: Architecture, learning: Learning) -> Architecture:
    """The architecture with the units of all tasks: that asked for, wider by the growth of every task but the first."""
    if not isinstance(learning, Progressive) or isinstance(architecture, Torchvision):
        return architecture
    first = hidden_widths(architecture)
    growth, further = learning.growth or first, max(len(learning.tasks) - 1, 0)
    widths = tuple(width + further * added for width, added in zip(first, growth, strict=True))
    if isinstance(architecture, Cnn):
        return replace(architecture, channels=widths[:-1], hidden=widths[-1])
    return replace(architecture, hidden=widths)


def unit_blocks(architecture: Architecture, learning: Learning) -> UnitBlocks:
    """Which hidden units of a growing network belong to which task; empty for networks that do not grow."""
    if not isinstance(learning, Progressive) or isinstance(architecture, Torchvision):
        return ()
    first = hidden_widths(architecture)
    growth = learning.growth or first
    starts = [(0,) * len(first)]
    starts += [
        tuple(width + task * added for width, added in zip(first, growth, strict=True))
        for task in range(len(learning.tasks))
    ]
    return tuple(tuple(zip(low, high, strict=True)) for low, high in pairwise(starts))


def forgotten_tasks(tasks: Iterable[Iterable[int]], forgotten: Collection[int]) -> list[int]:
    """The tasks, by index, all of whose classes are forgotten."""
    return [index for index, classes in enumerate(tasks) if all(number in forgotten for number in classes)]


Strategy = Literal["zero", "random"]
STRATEGY_MEANINGS: Mapping[Strategy, str] = {
    "zero": "The chosen weights become 0.",
    "random": "The chosen weights become random numbers like those of their row or layer.",
}
Scope = Literal["output", "network"]
SCOPE_MEANINGS: Mapping[Scope, str] = {
    "output": "Only the output rows of the forgotten classes are replaced.",
    "network": "The output rows are replaced, and a share of the hidden weights that matter most to what is forgotten.",
}
Refusal = Literal["none", "calibrate", "push", "guard"]
REFUSAL_MEANINGS: Mapping[Refusal, str] = {
    "none": "Nothing is fitted: forgotten classes are never answered, and the null unit wins as often as it happens to.",
    "calibrate": "The null unit's logit is set from retained data alone, so that refusals cost few right answers.",
    "push": "The network is trained to answer forgotten inputs as forgotten; more than `edited` cannot be claimed.",
    "guard": "A second, small network is trained to see forgotten inputs; it can be deleted by itself.",
}
PUSH_BATCH = 120
"""Images of one step of the refusal `push`: retained ones and, half as many, forgotten ones."""

CONVOLUTIONAL_PUSH_STEPS = 400
PUSH_STEPS: dict[Mode, int] = {"standard": 800, "synaptic_intelligence": 1600, "progressive": 800, "sisa": 800}
"""Steps of `push` that calibration data asks for, without convolutions. A network that learned tasks has to learn
meanwhile to tell the classes of different tasks apart."""

SHARE: dict[Mode, float] = {"standard": 0.02, "synaptic_intelligence": 0.1, "progressive": 0.1, "sisa": 0.02}
"""Share of the hidden weights that is replaced where a request says nothing."""

RECURRENT_SHARE = 0.005
"""The same of recurrent networks without tasks: each weight acts once per row of the image, so few of them do much."""

MEASURED_ROWS = 10_000
"""Training rows measured of the forget set and of the retain set, at most, each; the same ones before and after."""

RefusalBudget = Annotated[float, Ge(0), Le(0.5)]
RefusalTarget = Annotated[float, Gt(0), Le(1)]
CALIBRATE_BUDGET = 0.003
PUSH_BUDGET: dict[Mode, float] = {
    "standard": 0.005,
    "synaptic_intelligence": 0.008,
    "progressive": 0.008,
    "sisa": 0.005,
}
"""Share of right answers that the null unit may cost where a request says nothing. `push` stops at its target. MNIST, every
digit by itself, half of the calibration rows deciding and the other half measured: an MLP (two seeds) refuses .987 on average
and .977 of the worst digit at .006 false refusals, where the budget .003 without a target refused .983 and .965 at .004; a CNN
(one seed) .994 and .990 at .004. Of four tasks forgotten one after the other all 16 requests passed with .008 (two seeds of
each mode), 13 with .005."""

Selection = Literal["importance", "sensitivity", "l2_shrink"]
SELECTION_MEANINGS: Mapping[Selection, str] = {
    "importance": "Weights are chosen by their importance to the forget set over that to the retain set.",
    "sensitivity": "Weights are chosen by |weight x gradient| on the forget set over that on the retain set.",
    "l2_shrink": "Weights are chosen as by `importance`, and multiplied by `shrink` in place of being replaced.",
}


@dataclass(frozen=True)
class EditParameters:
    """Parameters of the method `edit`."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT
    selection: Selection = "importance"
    """How hidden weights are chosen: Fisher ratio, |weight x gradient| ratio, or importance with shrinking."""
    share: Annotated[float, Ge(0), Le(1)] | None = None
    """Share of each hidden layer's weights that is replaced (scope `network`), in a growing network of those that the
    task added; empty: .02, of recurrent networks .005, for tasks .1."""
    threshold: Annotated[float, Ge(0), Le(1)] = 0.5
    """Of tasks: the least share of a weight's importance that must be the task's own, for the weight to be replaced."""
    shrink: Annotated[float, Ge(0), Lt(1)] = 0.1
    """Factor applied by `l2_shrink` to the chosen hidden weights instead of replacing them."""
    push_steps: Annotated[int, Ge(1), Le(10_000)] | None = None
    """Optimisation steps of the refusal `push`; empty: 400 for networks with convolutions, of others 800, or
    1600 for tasks in a static one."""
    refusal_budget: RefusalBudget | None = None
    """Share of correct answers on retained calibration inputs that refusals may cost at most; empty: .005 with the
    refusal `push` (.008 of tasks), which spends no more of it than its target needs, otherwise .003."""
    refusal_target: RefusalTarget = 0.9925
    """The share, with the refusal `push`, of each forgotten class's calibration inputs that is to be refused."""
    refusal_drift: Annotated[float, Ge(0), Le(1)] = 0.01
    """How far the refusal rate of a class pushed earlier may fall below the parent's, beyond chance."""
    utility_budget: Annotated[float, Ge(0), Le(1)] = 0.01
    """Retained calibration accuracy that may be lost, beyond which the request fails."""
    collapse_weight: Annotated[float, Ge(0), Le(10)] = 0.0
    """Of two or more forgotten classes: weight, in `push`, of how far apart their features lie, so that they do not say
    which class an input was of; .3 was seen to hide it at little cost. Kept by every later `push`."""


@dataclass(frozen=True)
class GuardParameters:
    """Parameters of the refusal `guard`: a small network of its own that tells forgotten inputs from retained ones."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT
    hidden: Width = 64
    """Units of the layer after its convolutions."""
    steps: Annotated[int, Ge(1), Le(100_000)] = 800
    batch_size: BatchSize = 128
    """Retained images of a step; half as many of the forget set."""
    learning_rate: LearningRate = 0.003
    """Of Adam, at the first step; half a cosine brings it to 0 at the last."""
    refusal_budget: RefusalBudget = 0.005
    """Share of correct answers on retained calibration inputs that the guard's refusals may cost at most."""
    refusal_target: RefusalTarget = 0.9925
    """Share of each of its classes' calibration inputs that is to be refused; no more is spent than this needs."""


@dataclass(frozen=True)
class Edit:
    """The method `edit`: replace the weights of the forgotten classes, then let the null unit answer for them."""

    classes: tuple[int, ...]
    strategy: Strategy = "zero"
    scope: Scope = "network"
    refusal: Refusal = "push"
    parameters: EditParameters = field(default_factory=EditParameters)
    seed: int = 0
    pushed: tuple[int, ...] = ()
    """Classes whose own earlier request chose the refusal `push`: how well they are refused may not decay."""
    guard: GuardParameters = field(default_factory=GuardParameters)
    """Of the refusal `guard` alone."""

    def refusal_budget(self, mode: Mode) -> float:
        """Share of right answers that the null unit's refusals may cost: as asked, or what refusal and learning mode take."""
        if self.parameters.refusal_budget is not None:
            return self.parameters.refusal_budget
        return PUSH_BUDGET[mode] if self.refusal == "push" else CALIBRATE_BUDGET

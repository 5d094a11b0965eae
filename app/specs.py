"""What can be asked for: architectures, training, forgetting, as frozen dataclasses.

Shared by the wire contract, which validates and publishes them as JSON Schema, and by the core, which computes with
them. Standard library and `annotated_types` only. `__pydantic_config__` makes unknown fields an error.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Ge, Gt, Le, Len, Lt

_STRICT: dict[str, Any] = {"extra": "forbid", "allow_inf_nan": False, "use_attribute_docstrings": True}

Width = Annotated[int, Ge(1), Le(4096)]
Seed = Annotated[int, Ge(0), Lt(2**53)]

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


@dataclass(frozen=True)
class Mlp:
    """A fully connected network: flattened input, hidden layers with ReLU, one output per class."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT
    type: Literal["mlp"] = "mlp"
    hidden: Annotated[tuple[Width, ...], Len(0, 8)] = (128,)


@dataclass(frozen=True)
class Cnn:
    """A small convolutional network: convolution, ReLU and 2x2 pooling per entry of `channels`, then a hidden layer."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT
    type: Literal["cnn"] = "cnn"
    channels: Annotated[tuple[Width, ...], Len(1, 4)] = (16, 32)
    hidden: Width = 128


@dataclass(frozen=True)
class Torchvision:
    """A torchvision classification network, untrained, its first layer adapted to the input's channels and size."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT
    type: TorchvisionName = "resnet18"


Architecture = Mlp | Cnn | Torchvision


@dataclass(frozen=True)
class Standard:
    """All classes are learned together."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT
    mode: Literal["standard"] = "standard"


Learning = Standard


@dataclass(frozen=True)
class Training:
    """How a network is fitted. One seed fixes the initial weights and the order of the batches."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT
    epochs: Annotated[int, Ge(1), Le(1000)] = 5
    batch_size: Annotated[int, Ge(1), Le(10_000)] = 128
    optimizer: Literal["adam", "sgd"] = "adam"
    learning_rate: Annotated[float, Gt(0), Le(10)] = 0.005
    momentum: Annotated[float, Ge(0), Lt(1)] = 0.9
    """Of `sgd`; `adam` does not use it."""
    weight_decay: Annotated[float, Ge(0), Le(1)] = 0.0
    schedule: Literal["constant", "cosine"] = "cosine"
    """How the learning rate goes: constant, or along half a cosine down to 0 at the last batch."""
    early_stopping: Annotated[int, Ge(0), Le(1000)] = 0
    """Stop after this many epochs without a better calibration loss, and keep the best epoch; 0: never stop early."""
    seed: Seed = 0


Strategy = Literal["zero", "random"]
Scope = Literal["output", "network"]
Refusal = Literal["none", "calibrate", "push"]
PUSH_BATCH = 192
"""Images of one step of the refusal `push`: retained ones and, half as many, forgotten ones."""

PUSH_STEPS = {"convolutional": 400, "fully connected": 800}
"""Steps of `push` that calibration data asks for: a small network needs more of them, and they cost it less."""

MEASURED_ROWS = 10_000
"""Training rows measured of the forget set and of the retain set, at most, each; the same ones before and after."""

Selection = Literal["importance", "sensitivity", "l2_shrink"]


@dataclass(frozen=True)
class EditParameters:
    """Parameters of the method `edit`."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT
    selection: Selection = "importance"
    """How hidden weights are chosen: Fisher ratio, |weight x gradient| ratio, or importance with shrinking."""
    share: Annotated[float, Ge(0), Le(1)] = 0.02
    """Share of each hidden layer's weights that is replaced (scope `network`)."""
    shrink: Annotated[float, Ge(0), Lt(1)] = 0.1
    """Factor applied by `l2_shrink` to the chosen hidden weights instead of replacing them."""
    push_steps: Annotated[int, Ge(1), Le(10_000)] | None = None
    """Optimisation steps of the refusal `push`; empty: 800 for fully connected networks, 400 for others."""
    refusal_budget: Annotated[float, Ge(0), Le(0.5)] = 0.003
    """Share of correct answers on retained calibration inputs that refusals may cost."""
    refusal_drift: Annotated[float, Ge(0), Le(1)] = 0.01
    """How far the refusal rate of a class pushed earlier may fall below the parent's, beyond chance."""
    utility_budget: Annotated[float, Ge(0), Le(1)] = 0.01
    """Retained calibration accuracy that may be lost, beyond which the request fails."""


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

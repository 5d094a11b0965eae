"""The networks that can be asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Len

from app.specs.fields import Width, depending, required

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

    __pydantic_config__: ClassVar[dict[str, Any]] = depending("hidden")
    type: Literal["mlp"] = "mlp"
    hidden: Annotated[tuple[Width, ...], Len(0, 8)] = (128,)
    """Widths of the hidden layers. If left out, [128]; for a new model that learns tasks [50], in a growing network
    [50, 50]."""


@dataclass(frozen=True)
class Cnn:
    """A small convolutional network: convolution, ReLU and 2x2 pooling per entry of `channels`, then a hidden layer."""

    __pydantic_config__: ClassVar[dict[str, Any]] = required("type")
    type: Literal["cnn"] = "cnn"
    channels: Annotated[tuple[Width, ...], Len(1, 4)] = (16, 32)
    hidden: Width = 128


@dataclass(frozen=True)
class Gru:
    """Gated recurrent layers (Cho et al. 2014) that read the image row by row; the last state is classified."""

    __pydantic_config__: ClassVar[dict[str, Any]] = required("type")
    type: Literal["gru"] = "gru"
    hidden: Annotated[tuple[Width, ...], Len(1, 4)] = (64,)


@dataclass(frozen=True)
class Lstm:
    """Long short-term memory layers (Hochreiter and Schmidhuber 1997) that read the image row by row."""

    __pydantic_config__: ClassVar[dict[str, Any]] = required("type")
    type: Literal["lstm"] = "lstm"
    hidden: Annotated[tuple[Width, ...], Len(1, 4)] = (64,)


@dataclass(frozen=True)
class Torchvision:
    """A torchvision classification network, untrained, its first layer adapted to the input's channels and size."""

    __pydantic_config__: ClassVar[dict[str, Any]] = required("type")
    type: TorchvisionName = "resnet18"


Growable = Mlp | Cnn | Gru | Lstm
"""The architectures that can grow by units in every hidden layer."""
Architecture = Growable | Torchvision


def hidden_widths(architecture: Growable) -> tuple[int, ...]:
    """The width of each hidden layer (channels of a convolution), from the input to the output."""
    return (*architecture.channels, architecture.hidden) if isinstance(architecture, Cnn) else architecture.hidden

"""torchvision's classification networks, untrained, without their last layer and fitted to small images."""

from __future__ import annotations

from torch import nn

from app.specs.architectures import TorchvisionName

_RGB_CHANNELS = 3
_LARGEST_SMALL_IMAGE = 64  # pixels; below, a stem that quarters the image leaves nothing to look at

_STEM_POOLS: dict[TorchvisionName, str] = {
    "resnet18": "maxpool",
    "resnet34": "maxpool",
    "resnet50": "maxpool",
    "shufflenet_v2_x0_5": "maxpool",
    "vgg11_bn": "features.3",
    "densenet121": "features.pool0",
}


def torchvision_body(name: TorchvisionName, input_shape: tuple[int, int, int]) -> tuple[nn.Module, int]:
    """The named network from images of `input_shape` to features [N, D], and D; draws from torch's global generator.

    For images of at most 64 pixels the stem is the usual one for CIFAR (He et al. 2016, section 4.2): a first
    convolution of 3x3 and stride 1, and no pooling after it. vgg11_bn then also loses its two hidden layers of 4096,
    which expect 7x7 positions where one is left.
    """
    # Importing torchvision takes three times as long as torch; a predictor without such networks starts without it.
    from torchvision.models import get_model  # noqa: PLC0415

    network: nn.Module = get_model(name, weights=None)
    channels, height, width = input_shape
    small = max(height, width) <= _LARGEST_SMALL_IMAGE
    if channels != _RGB_CHANNELS or small:
        _replace_first_convolution(network, channels, small=small)
    if small and name in _STEM_POOLS:
        network.set_submodule(_STEM_POOLS[name], nn.Identity())
    if small and name == "vgg11_bn":
        network.set_submodule("avgpool", nn.AdaptiveAvgPool2d(1))
        network.set_submodule("classifier", nn.Linear(512, 1))
    return network, _remove_last_layer(network)


def _replace_first_convolution(network: nn.Module, channels: int, *, small: bool) -> None:
    name, old = next((name, module) for name, module in network.named_modules() if isinstance(module, nn.Conv2d))
    kernel, stride, padding = (3, 1, 1) if small else (old.kernel_size, old.stride, old.padding)
    network.set_submodule(
        name,
        nn.Conv2d(
            channels,
            old.out_channels,
            kernel,  # type: ignore[arg-type]  # Conv2d keeps what it takes as tuple[int, ...]
            stride,  # type: ignore[arg-type]  # for the same reason
            padding,  # type: ignore[arg-type]  # for the same reason
            bias=old.bias is not None,
        ),
    )


def _remove_last_layer(network: nn.Module) -> int:
    """Replace the last linear layer by the identity; the number of features it took."""
    name, last = [(name, module) for name, module in network.named_modules() if isinstance(module, nn.Linear)][-1]
    network.set_submodule(name, nn.Identity())
    return last.in_features

"""From a specification to a seeded network: a body that makes features, and a head with a null unit beside it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import pairwise

import torch
from torch import Tensor, nn

from app.errors import NotApplicable
from app.specs import Architecture, Cnn, Mlp
from app.unlearning.torchvision_networks import torchvision_body


class Classifier(nn.Module):
    """A network whose classes can be forgotten.

    The head has one row per class, always. A forgotten class is struck from the competition, whatever its row holds,
    and the null unit, one constant logit for all forgotten classes together, competes with the retained ones.
    """

    forgotten: Tensor
    """bool [C], buffer: the classes forgotten so far."""
    null_bias: Tensor
    """float32 scalar, buffer: the logit of the null unit; of no effect while nothing is forgotten."""

    def __init__(self, body: nn.Module, num_features: int, num_classes: int) -> None:
        """`body` maps float32 [N, C, H, W] in 0..1 to float32 [N, num_features]."""
        super().__init__()
        self.body = body
        self.head = nn.Linear(num_features, num_classes)
        self.register_buffer("forgotten", torch.zeros(num_classes, dtype=torch.bool))
        self.register_buffer("null_bias", torch.zeros(()))

    @property
    def num_classes(self) -> int:
        """How many classes the head has, forgotten ones included."""
        return self.head.out_features

    @property
    def forgotten_classes(self) -> tuple[int, ...]:
        """The classes forgotten so far, ascending."""
        return tuple(self.forgotten.nonzero().flatten().tolist())

    def mark_forgotten(self, classes: Iterable[int]) -> None:
        """Strike these classes from the competition, from now on; their weights are not touched."""
        self.forgotten[list(classes)] = True

    def forward(self, images: Tensor) -> Tensor:
        """Raw logits, float32 [N, num_classes], of images, float32 [N, C, H, W] in 0..1."""
        return self.head(self.body(images))  # type: ignore[no-any-return]  # modules return Any

    def served_logits(self, images: Tensor) -> Tensor:
        """Logits as served, float32 [N, num_classes + 1]: -inf for forgotten classes, the null unit last.

        The null unit is -inf while nothing is forgotten.
        """
        return self.serve(self(images))

    def serve(self, logits: Tensor) -> Tensor:
        """Raw logits [N, num_classes] to those of `served_logits`."""
        competing = logits.masked_fill(self.forgotten, -torch.inf)
        null = torch.where(self.forgotten.any(), self.null_bias, -torch.inf)
        return torch.cat([competing, null.expand(len(logits), 1)], dim=1)

    def probabilities(self, images: Tensor) -> Tensor:
        """Served probabilities, float32 [N, num_classes + 1]; each row sums to 1, forgotten classes are exactly 0."""
        return self.served_logits(images).softmax(dim=1)


def build(architecture: Architecture, input_shape: tuple[int, int, int], num_classes: int, seed: int) -> Classifier:
    """A network with fresh weights drawn from `seed`, for images of `input_shape` (channels, height, width).

    Convolution weights are laid out channels last, which the CPU kernels for few channels are about a third faster on;
    they are therefore not contiguous. Raises NotApplicable where the images are too small.
    """
    with seeded(seed):
        body, num_features = _body(architecture, input_shape)
        classifier = Classifier(body, num_features, num_classes)
    return classifier.to(memory_format=torch.channels_last).eval()


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw what torch draws globally (initial weights, dropout) from `seed`, and leave the global state as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield


def _body(architecture: Architecture, input_shape: tuple[int, int, int]) -> tuple[nn.Module, int]:
    match architecture:
        case Mlp(hidden=hidden):
            return _mlp_body(hidden, input_shape)
        case Cnn(channels=channels, hidden=hidden_width):
            return _cnn_body(channels, hidden_width, input_shape)
        case _:
            return torchvision_body(architecture.type, input_shape)


def _mlp_body(hidden: tuple[int, ...], input_shape: tuple[int, int, int]) -> tuple[nn.Module, int]:
    channels, height, width = input_shape
    widths = (channels * height * width, *hidden)
    layers: list[nn.Module] = [nn.Flatten()]
    for fan_in, fan_out in pairwise(widths):
        layers += [nn.Linear(fan_in, fan_out), nn.ReLU()]
    return nn.Sequential(*layers), widths[-1]


def _cnn_body(channels: tuple[int, ...], hidden: int, input_shape: tuple[int, int, int]) -> tuple[nn.Module, int]:
    fan_in, height, width = input_shape
    layers: list[nn.Module] = []
    for fan_out in channels:
        # Pooling before ReLU gives the same values (both are monotone) with a quarter of the ReLU's work.
        layers += [nn.Conv2d(fan_in, fan_out, kernel_size=3, padding=1), nn.MaxPool2d(2), nn.ReLU()]
        fan_in, height, width = fan_out, height // 2, width // 2
    if min(height, width) < 1:
        raise NotApplicable(
            f"Images of {input_shape[1]} x {input_shape[2]} pixels are too small for {len(channels)} poolings."
        )
    layers += [nn.Flatten(), nn.Linear(fan_in * height * width, hidden), nn.ReLU()]
    return nn.Sequential(*layers), hidden

"""From a specification to a seeded network: a body that makes features, and a head with a null unit beside it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import pairwise

import torch
from torch import Tensor, nn

from app.errors import NotApplicable
from app.specs.architectures import Architecture, Cnn, Gru, Lstm, Mlp
from app.specs.learning import Learning, Progressive, Sisa, Standard, full_grown
from app.unlearning.learning.growing import cut_missing_connections
from app.unlearning.learning.recurrent import recurrent_body
from app.unlearning.learning.sisa.shards import Provenance, ShardBodies
from app.unlearning.learning.torchvision_networks import torchvision_body

STANDARD = Standard()


class Classifier(nn.Module):
    """A network whose classes can be forgotten.

    The head has one row per class, always. A forgotten class is struck from the competition, whatever its row holds,
    and the null unit, one constant logit for all forgotten classes together, competes with the retained ones. Where
    classes come in tasks, classes of no task are not learned yet and do not compete; a request that names its task lets
    that task's classes compete alone. Where rows are learned in shards, the body is that of all shards side by side.
    """

    forgotten: Tensor
    """bool [C], buffer: the classes forgotten so far."""
    null_bias: Tensor
    """float32 scalar, buffer: the logit of the null unit; of no effect while nothing is forgotten."""
    task_null_biases: Tensor
    """float32 [T], buffer where there are tasks: the logit of the null unit where the task is named."""
    task_classes: Tensor
    """bool [T, C], not stored: which classes each task has."""
    provenance: Provenance | None = None
    """What a model in shards was learned with; None for other models, and if the model was loaded only to be served."""

    def __init__(
        self, architecture: Architecture, learning: Learning, input_shape: tuple[int, int, int], num_classes: int
    ) -> None:
        """Weights are drawn from torch's global generator; see `build`, which seeds it.

        `architecture` is the one that was asked for; where the network grows with its tasks it is that of the first
        task.
        """
        super().__init__()
        self.architecture, self.learning, self.input_shape = architecture, learning, input_shape
        self.body, num_features = _learning_body(full_grown(architecture, learning), learning, input_shape)
        self.head = nn.Linear(num_features, num_classes)
        self.register_buffer("forgotten", torch.zeros(num_classes, dtype=torch.bool))
        self.register_buffer("null_bias", torch.zeros(()))
        if learning.tasks:
            self.register_buffer("task_null_biases", torch.zeros(len(learning.tasks)))
        masks = [_mask(classes, num_classes) for classes in learning.tasks or [range(num_classes)]]
        self.register_buffer("task_classes", torch.stack(masks), persistent=False)

    @property
    def num_classes(self) -> int:
        """How many classes the head has, forgotten ones and those not learned yet included."""
        return self.head.out_features

    @property
    def forgotten_classes(self) -> tuple[int, ...]:
        """The classes forgotten so far, ascending."""
        return tuple(self.forgotten.nonzero().flatten().tolist())

    @property
    def learned_classes(self) -> tuple[int, ...]:
        """The classes that were ever learned, forgotten ones included, ascending."""
        return tuple(self.task_classes.any(dim=0).nonzero().flatten().tolist())

    def mark_forgotten(self, classes: Iterable[int]) -> None:
        """Strike these classes from the competition, from now on; their weights are not touched."""
        self.forgotten[list(classes)] = True

    def forward(self, images: Tensor) -> Tensor:
        """Raw logits, float32 [N, num_classes], of images, float32 [N, C, H, W] in 0..1."""
        return self.head(self.body(images))  # type: ignore[no-any-return]  # modules return Any

    def named(self, task: int | None) -> Tensor:
        """The classes, bool [C], that a request is about: all that were learned, or those of the task it names."""
        return self.task_classes.any(dim=0) if task is None else self.task_classes[task]

    def competing(self, task: int | None = None) -> Tensor:
        """The classes, bool [C], that may be answered: learned, not forgotten, and of the task if one is named."""
        return self.named(task) & ~self.forgotten

    def within_tasks(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Raw logits [N, C], -inf except for the retained classes of the task to which each label, int64 [N], belongs.

        Without tasks: for every retained class. It is what training and importance look at.
        """
        task_of_class = self.task_classes.int().argmax(dim=0)  # [T, C] -> [C]
        competing = self.task_classes[task_of_class[labels.to(logits.device)]] & ~self.forgotten  # [N, C]
        return logits.masked_fill(~competing, -torch.inf)

    def serve(self, logits: Tensor, task: int | None = None) -> Tensor:
        """Raw logits [N, C] to logits as served, float32 [N, C + 1]: -inf for what may not be answered, null unit last.

        The null unit is -inf where nothing was forgotten of what the request is about, and stands alone where all of it
        was.
        """
        competing = logits.masked_fill(~self.competing(task), -torch.inf)
        bias = self.null_bias if task is None else self.task_null_biases[task]
        null = torch.where((self.named(task) & self.forgotten).any(), bias, -torch.inf)  # scalar
        return torch.cat([competing, null.expand(len(logits), 1)], dim=1)

    def probabilities(self, images: Tensor, task: int | None = None) -> Tensor:
        """Served probabilities, float32 [N, C + 1]; each row sums to 1, classes that may not be answered are exactly 0."""
        return self.serve(self(images), task).softmax(dim=1)


def build(
    architecture: Architecture,
    input_shape: tuple[int, int, int],
    num_classes: int,
    seed: int,
    learning: Learning = STANDARD,
) -> Classifier:
    """A network with fresh weights drawn from `seed`, for images of `input_shape` (channels, height, width).

    A network that grows with its tasks comes with the units of all tasks of `learning`. Convolution weights are laid
    out channels last, which the CPU kernels for few channels are about a third faster on; they are therefore not
    contiguous. Raises NotApplicable where the images are too small, and where this architecture cannot grow.
    """
    with seeded(seed):
        classifier = Classifier(architecture, learning, input_shape, num_classes)
    if isinstance(learning, Progressive):
        cut_missing_connections(classifier)
    return classifier.to(memory_format=torch.channels_last).eval()


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw what torch draws globally (initial weights, dropout) from `seed`, and leave the global state as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield


def _learning_body(
    architecture: Architecture, learning: Learning, input_shape: tuple[int, int, int]
) -> tuple[nn.Module, int]:
    if not isinstance(learning, Sisa):
        return _body(architecture, input_shape)
    bodies = [_body(architecture, input_shape) for _ in range(learning.shards)]
    return ShardBodies([body for body, _ in bodies]), sum(width for _, width in bodies)


def _body(architecture: Architecture, input_shape: tuple[int, int, int]) -> tuple[nn.Module, int]:
    match architecture:
        case Mlp(hidden=hidden):
            return _mlp_body(hidden, input_shape)
        case Cnn(channels=channels, hidden=hidden_width):
            return _cnn_body(channels, hidden_width, input_shape)
        case Gru(hidden=hidden):
            return recurrent_body(nn.GRU, hidden, input_shape)
        case Lstm(hidden=hidden):
            return recurrent_body(nn.LSTM, hidden, input_shape)
        case _:
            return torchvision_body(architecture.type, input_shape)


def _mlp_body(hidden: tuple[int, ...], input_shape: tuple[int, int, int]) -> tuple[nn.Module, int]:
    channels, height, width = input_shape
    widths = (channels * height * width, *hidden)
    layers: list[nn.Module] = [nn.Flatten()]
    for fan_in, fan_out in pairwise(widths):
        layers += [nn.Linear(fan_in, fan_out), nn.ReLU()]
    return nn.Sequential(*layers), widths[-1]


class HalvingPool(nn.MaxPool2d):
    """Max pooling of 2 x 2 pixels, float32 [N, C, H, W] to [N, C, H // 2, W // 2].

    Where no gradient is asked for, it does without the indices that only gradients need: the same values, in a third of
    the time on CPUs.
    """

    def __init__(self) -> None:
        """Make the pooling, which has no parameters."""
        super().__init__(kernel_size=2)

    def forward(self, images: Tensor) -> Tensor:
        """The highest of each 2 x 2 pixels, float32 [N, C, H, W] to [N, C, H // 2, W // 2]."""
        if torch.is_grad_enabled():
            return super().forward(images)  # type: ignore[no-any-return]  # modules return Any
        height, width = (size // 2 * 2 for size in images.shape[-2:])
        rows = torch.maximum(images[..., :height:2, :width], images[..., 1:height:2, :width])
        return torch.maximum(rows[..., ::2], rows[..., 1::2])


def _cnn_body(channels: tuple[int, ...], hidden: int, input_shape: tuple[int, int, int]) -> tuple[nn.Module, int]:
    fan_in, height, width = input_shape
    layers: list[nn.Module] = []
    for fan_out in channels:
        # Pooling before ReLU gives the same values (both are monotone) with a quarter of the ReLU's work.
        layers += [nn.Conv2d(fan_in, fan_out, kernel_size=3, padding=1), HalvingPool(), nn.ReLU()]
        fan_in, height, width = fan_out, height // 2, width // 2
    if min(height, width) < 1:
        raise NotApplicable(
            f"Images of {input_shape[1]} x {input_shape[2]} pixels are too small for {len(channels)} poolings."
        )
    layers += [nn.Flatten(), nn.Linear(fan_in * height * width, hidden), nn.ReLU()]
    return nn.Sequential(*layers), hidden


def _mask(classes: Iterable[int], num_classes: int) -> Tensor:
    mask = torch.zeros(num_classes, dtype=torch.bool)
    mask[list(classes)] = True
    return mask

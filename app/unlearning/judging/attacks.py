"""Attacks on what the features still hold of a forgotten class: linear probes and prototypes of a few images.

Both take features, float [N, D], of one layer, see `features`; the network itself stays as it is. They answer class
indices, so that hits = answers == labels give recall on the forgotten class and on the retained ones and, side by side
with a retrained model's hits on the same inputs, a gap (`intervals.share`, `intervals.gap`). Hits of several draws are
averaged first, because draws with one model are no further models. An attacker has labelled images of every class that
he tells apart, the forgotten ones included.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from app.errors import NotApplicable
from app.unlearning.data import classes_of, in_batches
from app.unlearning.judging.measuring.measurable import require_pairs, require_rows
from app.unlearning.judging.measuring.probing import ridge_regression

PROBE_IMAGES = (50, 500)
"""Images per class that a probe is fitted to."""
PROTOTYPE_IMAGES = (1, 5, 10)
"""Images per forgotten class that a prototype is made of."""
PROTOTYPE_DRAWS = 20
"""How often the images of a prototype are drawn: the choice of a single image decides more than the network does."""

_BATCH = 1000


@dataclass(frozen=True)
class LinearProbe:
    """A fitted multinomial logistic regression on standardised features."""

    classes: Tensor
    """int64 [K], ascending: the classes that it tells apart."""
    mean: Tensor
    """float64 [D], subtracted from features."""
    scale: Tensor
    """float64 [D], by which features are then divided."""
    weight: Tensor
    """float64 [K, D]."""
    bias: Tensor
    """float64 [K]."""

    def logits(self, features: Tensor) -> Tensor:
        """Float64 [N, K], columns in the order of `classes`, of features, float [N, D]."""
        require_rows(features, "features")
        batches = in_batches(features, _BATCH)
        return torch.cat([_standardised(batch, self.mean, self.scale) @ self.weight.T + self.bias for batch in batches])

    def answers(self, features: Tensor) -> Tensor:
        """The most probable class, int64 [N]."""
        return self.classes[self.logits(features).argmax(dim=1)]


def rows_per_class(labels: Tensor, per_class: int, generator: torch.Generator) -> Tensor:
    """Rows, int64 [K * per_class]: `per_class` random inputs of each of the K classes that occur in labels, int64 [N].

    Raises NotApplicable where a class has fewer rows: a probe fitted to fewer images of one class would be biased
    against that class.
    """
    counts = torch.bincount(labels)
    present = counts.nonzero().flatten()
    short = present[counts[present] < per_class].tolist()
    if len(present) == 0 or short:
        which = f"Class {short[0]} has {int(counts[short[0]])} images" if short else "There are no images"
        raise NotApplicable(f"{which}, and the attack takes {per_class} of each class; ask for fewer.")
    order = torch.randperm(len(labels), generator=generator)
    order = order[labels[order].argsort(stable=True)]
    place_in_class = torch.arange(len(order)) - (counts.cumsum(0) - counts)[labels[order]]
    return order[place_in_class < per_class]


def fit_probe(features: Tensor, labels: Tensor) -> LinearProbe:
    """Multinomial logistic regression on frozen features, float [N, D], and labels, int64 [N], of two classes or more.

    The fit minimises the summed cross-entropy + |W|^2 / 2 over standardised features, the bias free, in float64. The
    problem is convex, so the same figures come out whatever the order of the rows. What a linear reader finds in a
    layer is the upper bound of what a new head could be taught (Alain and Bengio 2016, arXiv 1610.01644).
    """
    require_pairs(features, labels, "features")
    classes = torch.tensor(sorted(classes_of(labels)), dtype=torch.int64)
    if len(classes) < 2:  # noqa: PLR2004  one class is no choice
        raise NotApplicable("A probe needs images of at least two classes.")
    wide = features.double()
    mean, spread = wide.mean(dim=0), wide.std(dim=0, correction=0)  # [N, D] -> [D]
    scale = torch.where(spread > 1e-6 * spread.max(), spread, 1.0)  # of dead units, noise would be magnified
    targets = torch.searchsorted(classes, labels)  # [N], places in classes
    weight, bias = ridge_regression(_standardised(wide, mean, scale), targets, len(classes))
    return LinearProbe(classes, mean, scale, weight, bias)


def prototype_answers(
    features: Tensor,
    labels: Tensor,
    forgotten: Iterable[int],
    asked: Tensor,
    *,
    shots: int,
    generator: torch.Generator,
    draws: int = PROTOTYPE_DRAWS,
) -> Tensor:
    """What a head of class means answers to features `asked`, [M, D], when a forgotten class is given `shots` images.

    The answers are int64 [draws, M]. The prototype of a retained class is the mean of all its features, float [N, D],
    by labels, int64 [N]; that of a forgotten class is the mean of `shots` random images. Features are centred on the
    retained ones' mean and scaled to length 1, which makes means of few images comparable with those of many; the
    nearest mean answers (Snell et al. 2017, arXiv 1703.05175; Wang et al. 2019, arXiv 1911.04623). Raises NotApplicable
    for too few images.
    """
    require_pairs(features, labels, "features")
    require_rows(asked, "features")
    classes = torch.tensor(sorted(set(forgotten)), dtype=torch.int64)
    kept = ~torch.isin(labels, classes)
    if len(classes) == 0 or not bool(kept.any()):
        raise NotApplicable("Prototypes need images of forgotten and of retained classes.")
    if draws < 1 or shots < 1:
        raise NotApplicable("At least one image must be drawn, at least once.")
    centre = features[kept].double().mean(dim=0)  # [D]
    directions = _directions(features, centre)
    retained, means = _class_means(directions[kept], labels[kept])  # [R], [R, D]
    few = torch.stack([_few_means(directions[labels == number], shots, draws, generator) for number in classes], dim=1)
    prototypes = torch.cat([means.expand(draws, -1, -1), few], dim=1)  # [draws, classes, D]
    names = torch.cat([retained, classes])  # [R + K], in the order of prototypes
    batches = in_batches(_directions(asked, centre), _BATCH)
    return torch.cat([names[_nearest(batch, prototypes)] for batch in batches], dim=1)


def _standardised(features: Tensor, mean: Tensor, scale: Tensor) -> Tensor:
    """Features, float [N, D], less the mean [D] and divided by the scale [D]: float64 [N, D]."""
    return (features.double() - mean) / scale


def _directions(features: Tensor, centre: Tensor) -> Tensor:
    """Float64 [N, D] of length 1; zero where a feature is the centre itself."""
    return functional.normalize(features.double() - centre, dim=1)


def _class_means(directions: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """The classes, int64 [K] ascending, and the mean direction of each, float64 [K, D]."""
    classes = torch.tensor(sorted(classes_of(labels)), dtype=torch.int64)
    index = torch.searchsorted(classes, labels)  # [N], places in classes
    sums = torch.zeros(len(classes), directions.shape[1], dtype=directions.dtype).index_add_(0, index, directions)
    return classes, sums / index.bincount().unsqueeze(1)


def _few_means(directions: Tensor, shots: int, draws: int, generator: torch.Generator) -> Tensor:
    """Means of `shots` random rows of directions [N, D], float64 [draws, D]; each draw is without replacement."""
    if len(directions) < shots:
        raise NotApplicable(f"A forgotten class has {len(directions)} images, and the attack takes {shots}.")
    rows = torch.rand(draws, len(directions), generator=generator).argsort(dim=1)[:, :shots]  # [draws, shots]
    return directions[rows].mean(dim=1)  # [draws, shots, D] -> [draws, D]


def _nearest(asked: Tensor, prototypes: Tensor) -> Tensor:
    """Index of the nearest prototype, int64 [draws, N]; asked [N, D], prototypes [draws, K, D]."""
    return (asked @ prototypes.transpose(1, 2) - prototypes.square().sum(dim=2).unsqueeze(1) / 2).argmax(dim=2)

"""How near the outputs of two models are: unlearned to retrained, beside unlearned to original.

Probabilities are [N, C], one row per input, of both models over the same classes. As served they have a column for
"forgotten" and exact zeros for struck classes; every figure here takes both as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log

import torch
from torch import Tensor

from app.errors import NotApplicable
from app.unlearning.data import in_batches
from app.unlearning.judging.measuring.measurable import require_pairs, require_probabilities

PERMUTATIONS = 1999
"""Sign patterns drawn by the three-sample test; its smallest p value is 1 / 2000."""

_HELD_VALUES = 2**21  # numbers of one block of permutations held at once: 16 MiB


@dataclass(frozen=True)
class ThreeSampleTest:
    """Whether the unlearned model is nearer the retrained than the original one, on average over inputs."""

    statistic: float
    """Mean of D(unlearned, retrained) - D(unlearned, original), -1..1; below 0: nearer the retrained."""
    p_value: float
    """The probability, in (0, 1], of a statistic this low or lower where neither is nearer."""


def jensen_shannon(first: Tensor, second: Tensor) -> Tensor:
    """Jensen-Shannon divergence of each input's two distributions, float64 [N], in bits: 0 equal, 1 disjoint.

    It is H(m) - (H(p) + H(q)) / 2 with m the mean of p and q. Entropies are sums over classes, not means, and 0 log 0 =
    0, so that neither the number of classes nor exact zeros distort the figure. It is clipped to 0..1 against rounding
    (Lin 1991, doi:10.1109/18.61115).
    """
    require_probabilities(first)
    require_probabilities(second)
    _require_same_shape(first, second)
    p, q = first.double(), second.double()
    nats = _entropy((p + q) / 2) - (_entropy(p) + _entropy(q)) / 2
    return (nats / log(2)).clamp(0, 1)


def activation_distance(first: Tensor, second: Tensor) -> Tensor:
    """Euclidean distance of each input's two distributions, float64 [N], 0..sqrt(2) (Golatkar et al. 2020, arXiv 2012.13431)."""
    require_probabilities(first)
    require_probabilities(second)
    _require_same_shape(first, second)
    distances: Tensor = torch.linalg.vector_norm(first.double() - second.double(), dim=1)
    return distances


def agreement(first: Tensor, second: Tensor) -> Tensor:
    """Whether both models answer the same class, bool [N]; the lower index answers a tie.

    The share of these inputs is the completeness of Cao and Yang 2015 (doi:10.1109/SP.2015.35); compare it with that of
    two retrained models. Takes probabilities or logits as served, [N, C].
    """
    if len(first) == 0:
        raise NotApplicable("There are no inputs to compare two models on; name a larger set.")
    _require_same_shape(first, second)
    if bool(first.isnan().any()) or bool(second.isnan().any()):
        raise NotApplicable("An output is not a number, so it answers nothing that could be compared.")
    return first.argmax(dim=1) == second.argmax(dim=1)


def margins(logits: Tensor, labels: Tensor) -> Tensor:
    """Logit of the true class minus the log-sum-exp of the others, float64 [N], in nats: log(p / (1 - p)).

    It takes raw logits, float [N, C], and labels, int64 [N]. It is computed from logits, because 1 - p is 0 in float32
    long before the margin ends (Carlini et al. 2022, arXiv 2112.03570, section V-C). Raises NotApplicable for logits
    that are not finite: a struck class has no margin, take the raw head.
    """
    require_pairs(logits, labels, "logits")
    if logits.shape[1] < 2:  # noqa: PLR2004  a margin is between two classes
        raise NotApplicable("A margin needs at least two classes.")
    wide, own = logits.double(), labels.unsqueeze(1)  # [N, C], [N, 1]
    others = wide.scatter(1, own, -torch.inf).logsumexp(dim=1)  # [N, C] -> [N]
    return wide.gather(1, own).squeeze(1) - others


def margins_among(logits: Tensor, labels: Tensor, competing: Tensor) -> Tensor:
    """Margins, float64 [N], among the classes that compete, bool [C]; where one class competes, among all.

    Every label, int64 [N], is among the competing classes; logits are float [N, C].
    """
    classes = competing if int(competing.sum()) > 1 else torch.ones_like(competing)
    place = classes.cumsum(dim=0) - 1  # of each class among them
    return margins(logits[:, classes], place[labels])


def three_sample_test(
    unlearned: Tensor, retrained: Tensor, original: Tensor, generator: torch.Generator
) -> ThreeSampleTest:
    """Test on held-out inputs whether the unlearned model is nearer the retrained than the original; all [N, C].

    D is the Jensen-Shannon divergence. Where neither is nearer, the names retrained and original may be exchanged input
    by input: the sign of each difference is as likely to be the other. The p value counts the observed pattern as one
    of those drawn, so it is never 0 (Phipson and Smyth 2010, doi:10.2202/1544-6115.1585; the question is that of
    Bounliphone et al. 2016, arXiv 1511.04581). The test speaks of these three models, not of a method.
    """
    differences = jensen_shannon(unlearned, retrained) - jensen_shannon(unlearned, original)
    observed = float(differences.mean())
    tolerance = 1e-12 * float(differences.abs().mean())  # sums in another order differ by rounding
    as_low = 0
    for block in in_batches(torch.arange(PERMUTATIONS), max(1, _HELD_VALUES // len(differences))):
        signs = torch.randint(2, (len(block), len(differences)), generator=generator).double().mul_(2).sub_(1)
        as_low += int((signs @ differences / len(differences) <= observed + tolerance).sum())
    return ThreeSampleTest(observed, (as_low + 1) / (PERMUTATIONS + 1))


def _entropy(probabilities: Tensor) -> Tensor:
    """Entropy of each row of probabilities [N, C] in nats, float64 [N]."""
    terms: Tensor = torch.special.entr(probabilities)
    return terms.sum(dim=1)


def _require_same_shape(first: Tensor, second: Tensor) -> None:
    if first.shape != second.shape:
        raise NotApplicable(
            f"Outputs of shape {list(first.shape)} and {list(second.shape)} cannot be compared; "
            "measure both models on the same inputs and classes."
        )

"""Every metric that a report may name: its version, range, unit, what is better, and the paper.

A version counts up when a definition changes, so that figures of two versions are never put into one table. Each metric
says where it is computed; nothing here needs torch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

Better = Literal["lower", "higher", "as retrained", "as two retrained"]
"""Which value is better; "as two retrained": as near as two retrained models are to each other."""


@dataclass(frozen=True)
class Metric:
    """What a figure of this name means."""

    version: int
    low: float
    high: float
    unit: str
    better: Better
    meaning: str
    """One sentence, with the function that computes it."""
    paper: str


METRICS: dict[str, Metric] = {
    "accuracy": Metric(
        1, 0, 1, "share", "as retrained", "Share of right answers; measuring.intervals.share.", "doi:10.1080/01621459.1927.10502953"
    ),
    "agreement": Metric(
        1, 0, 1, "share", "as two retrained",
        "Share of inputs that two models answer alike; measuring.closeness.agreement.", "doi:10.1109/SP.2015.35",
    ),
    "jensen-shannon": Metric(
        1, 0, 1, "bits", "as two retrained",
        "Mean divergence of two models' probabilities, summed over classes; measuring.closeness.jensen_shannon.", "doi:10.1109/18.61115",
    ),
    "activation-distance": Metric(
        1, 0, math.sqrt(2), "distance of probabilities", "as two retrained",
        "Mean Euclidean distance of two models' probabilities; measuring.closeness.activation_distance.", "arXiv 2012.13431",
    ),
    "cka": Metric(
        1, 0, 1, "alignment", "as two retrained",
        "Linear alignment of a layer's features in two models; measuring.features.linear_cka.", "arXiv 1905.00414",
    ),
    "three-sample-p": Metric(
        1, 0, 1, "probability", "lower",
        "Of a statistic as low where neither model is nearer; measuring.closeness.three_sample_test.", "doi:10.2202/1544-6115.1585",
    ),
    "probe-recall": Metric(
        1, 0, 1, "share", "as retrained",
        "Recall of forgotten classes by logistic regression on a layer; attacks.fit_probe.", "arXiv 1610.01644",
    ),
    "prototype-recall": Metric(
        1, 0, 1, "share", "as retrained",
        "Recall of forgotten classes from means of a few images; attacks.prototype_answers.", "arXiv 1703.05175",
    ),
    "relearn-steps": Metric(
        1, 0, math.inf, "steps", "as retrained",
        "Steps until forgotten images are known again; measuring.relearning.relearn.", "arXiv 1911.04933",
    ),
    "ain": Metric(
        1, 0, math.inf, "ratio", "as retrained",
        "Relearning steps by those of retrained models; measuring.relearning.anamnesis_index.", "arXiv 2201.05629",
    ),
    "mia-auc": Metric(
        1, 0, 1, "probability", "as retrained",
        "That a member scores above a non-member; measuring.membership.area_under_curve.", "doi:10.1148/radiology.143.1.7063747",
    ),
    "mia-balanced-accuracy": Metric(
        1, 0, 1, "share", "as retrained",
        "Members and non-members told right by a threshold; measuring.membership.balanced_accuracy.", "arXiv 1709.01604",
    ),
    "mia-tpr-at-1-percent-fpr": Metric(
        1, 0, 1, "share", "as retrained",
        "Members found where 1 % of non-members are accused; measuring.membership.true_positive_rate_at.", "arXiv 2112.03570",
    ),
}  # fmt: skip
"""All metrics by name. The attacks of `mia-…` use margins, plain or `calibrated`; a report says which."""

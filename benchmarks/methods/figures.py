"""The figures of one result, beside the original and retrained models, from what they were observed to do."""

from __future__ import annotations

from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from app.unlearning.context import Context
from app.unlearning.judging.measuring.closeness import jensen_shannon
from app.unlearning.judging.measuring.intervals import share
from app.unlearning.judging.measuring.membership import area_under_curve, calibrated
from app.unlearning.judging.verifying.deep_verification import judge
from app.unlearning.judging.verifying.figures import accuracy, attack, margin, probe_recall, prototype_recall
from app.unlearning.judging.verifying.observations import Observation, Outputs
from app.unlearning.judging.verifying.peers import SeenPeers
from benchmarks.methods.requests import Result

_CONTEXT = Context()


def figures(result: Result, seen: Observation, beside: SeenPeers) -> dict[str, Any]:
    """Every figure as a JSON value; None where there is nothing to count or nobody to compare with."""
    assert beside.original is not None, "every case of the study has its original"
    report = judge(seen, result.sought, beside, _CONTEXT)
    return {
        "forget_accuracy": accuracy(seen.forget).value,
        "retain_accuracy": accuracy(seen.retain).value,
        "test_accuracy": accuracy(seen.test_retain).value,
        "test_accuracy_before": accuracy(beside.original.test_retain).value,
        "refusal_rate": _refused(seen.test_forget) if beside.sets.forget_classes else None,
        "false_refusal_rate": _refused(seen.test_retain),
        **_gaps(seen, beside),
        **_membership(seen, beside),
        "verdict": report.verdict,
        "claim": report.claim,
        "sought": report.sought,
        "missed": [criterion.name for criterion in report.criteria if criterion.passed is False],
    }


def _refused(outputs: Outputs) -> float:
    return share(outputs.served == outputs.logits.shape[1]).value


def _gaps(seen: Observation, beside: SeenPeers) -> dict[str, float | None]:
    """Recall by probe and prototypes minus that of retrained models, and the divergence from these."""
    references = list(beside.references.values())
    if not references:
        return {"probe_gap": None, "prototype_gap": None, "divergence": None}
    found: dict[str, float | None] = {"probe_gap": None, "prototype_gap": None}
    if beside.sets.forget_classes:
        probe, prototypes = probe_recall(next(iter(seen.probes))), prototype_recall(next(iter(seen.prototypes)))
        found["probe_gap"] = probe(seen).value - fmean(probe(other).value for other in references)
        found["prototype_gap"] = prototypes(seen).value - fmean(prototypes(other).value for other in references)
    return {**found, "divergence": fmean(_divergence(seen, other) for other in references)}


def _divergence(first: Observation, second: Observation) -> float:
    return float(jensen_shannon(first.forget.probabilities, second.forget.probabilities).mean())


def _membership(seen: Observation, beside: SeenPeers) -> dict[str, float | None]:
    """The AUC of the margin; of samples less the mean margin of retrained models, and plain."""
    about_classes = bool(beside.sets.forget_classes)
    plain = attack(margin, about_classes=about_classes)(seen).value
    if about_classes or not beside.references:
        return {"mia_auc": plain}
    members, others = (_calibrated(seen, beside, name) for name in ("forget", "test_retain"))
    found = area_under_curve(members, others).estimate
    return {"mia_auc": found.value, "mia_low": found.low, "mia_high": found.high, "plain_mia_auc": plain}


def _calibrated(seen: Observation, beside: SeenPeers, name: str) -> Tensor:
    """Margins of one set, float64 [N], less the mean of the retrained models', none of which saw these inputs."""
    others = torch.stack([margin(getattr(reference, name)) for reference in beside.references.values()])
    return calibrated(margin(getattr(seen, name)), others)

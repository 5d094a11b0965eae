"""The criteria that a deep verification adds: relearning, alignment of layers, three-sample test."""

from __future__ import annotations

import torch

from app.errors import NotApplicable
from app.specs.claims import LEAST_REFERENCES
from app.unlearning.judging.measuring.closeness import three_sample_test
from app.unlearning.judging.measuring.features import layer_similarity
from app.unlearning.judging.measuring.membership import membership_attack
from app.unlearning.judging.measuring.relearning import Relearning, anamnesis_index
from app.unlearning.judging.verifying.bench import Bench
from app.unlearning.judging.verifying.criteria import CALIBRATED, calibrated_scores, comparison
from app.unlearning.judging.verifying.observations import Observation
from app.unlearning.judging.verifying.verdicts import Criterion, Measurement, Place, beside_retrained, measured

SIGNIFICANT = 0.05
"""The p value that the three-sample test must stay below, with every retrained model."""


def deep_criteria(bench: Bench) -> list[Criterion]:
    """What must be as in retrained models, beside the fast set; needs one retrained model at least."""
    found = [_relearning(bench)]
    if bench.peers.sets.forget_classes:
        found.append(_three_samples(bench))
    if len(bench.peers.references) >= LEAST_REFERENCES:
        found.append(_aligned(bench))
    return found


def deep_shown(bench: Bench) -> list[Measurement]:
    """Figures of the deep set that decide nothing."""
    if not bench.peers.references:
        return []
    layers = [name for name in bench.candidate.layers if name != "body"]
    return [
        *(found for name in layers for found in _alignment(bench, name)),
        *_attack_shown(bench),
        *_anamnesis(bench),
    ]


def _relearning(bench: Bench) -> Criterion:
    """The criterion of relearning.

    To be slower than retrained models is damage, which the accuracies show; it is no trace.
    """
    statement = "What was forgotten is not relearned in fewer steps than by retrained models."
    ours, theirs = bench.candidate.relearning, _retrained_steps(bench)
    if ours is None or theirs is None:
        return comparison("relearning", statement, ())
    found = beside_retrained(
        "relearn-steps",
        _relearnt_place(bench),
        float(_steps(ours)),
        bench.peer_figures(_steps_of, theirs),
        "at least",
        standard_error=0.5,  # a step
    )
    return comparison("relearning", statement, (found,))


def _retrained_steps(bench: Bench) -> dict[int, float] | None:
    """Steps by seed; None where retrained models tell nothing: they were not asked, or know it from the start."""
    runs = {seed: seen.relearning for seed, seen in bench.peers.references.items()}
    steps = {seed: float(_steps(run)) for seed, run in runs.items() if run is not None}
    return steps if len(steps) == len(runs) and sum(steps.values()) > 0 else None


def _steps_of(seen: Observation) -> float | None:
    return None if seen.relearning is None else float(_steps(seen.relearning))


def _steps(run: Relearning) -> int:
    """Steps taken; where the target was never reached, one more than were tried."""
    return len(run.curve) if run.steps is None else run.steps


def _relearnt_place(bench: Bench) -> Place:
    return Place("test_forget" if bench.peers.sets.forget_classes else "forget")


def _anamnesis(bench: Bench) -> list[Measurement]:
    ours = bench.candidate.relearning
    theirs = [seen.relearning for seen in bench.peers.references.values()]
    if ours is None:
        return []
    try:
        index = anamnesis_index(ours, [run for run in theirs if run is not None])
    except NotApplicable:  # retrained models need no step, or never get there
        return []
    return [measured("ain", _relearnt_place(bench), index.value)]


def _attack_shown(bench: Bench) -> list[Measurement]:
    members, others = calibrated_scores(bench, bench.candidate)
    if min(len(members), len(others)) < 2:  # noqa: PLR2004  one to choose a threshold on, one to judge it on
        return []
    attack = membership_attack(members, others, torch.Generator().manual_seed(bench.peers.sets.seed))
    found = [measured("mia-balanced-accuracy", CALIBRATED, attack.balanced_accuracy)]
    if attack.true_positive_rate is not None:
        found.append(measured("mia-tpr-at-1-percent-fpr", CALIBRATED, attack.true_positive_rate))
    return found


def _three_samples(bench: Bench) -> Criterion:
    """The three-sample test with every retrained model by itself, on test images, which no model has seen."""
    statement = (
        "On test images of the forgotten classes the outputs are significantly nearer a retrained model than the original "
        "with their rows struck."
    )
    untouched = bench.peers.untouched
    if untouched is None:
        return comparison("three-samples", statement, ())
    return comparison(
        "three-samples",
        statement,
        tuple(_p_value(bench, untouched, seed, seen) for seed, seen in bench.others.items()),
    )


def _p_value(bench: Bench, untouched: Observation, seed: int, reference: Observation) -> Measurement:
    generator = torch.Generator().manual_seed(bench.peers.sets.seed)
    ours, theirs, before = (seen.test_forget.probabilities for seen in (bench.candidate, reference, untouched))
    found = three_sample_test(ours, theirs, before, generator)
    place = Place("test_forget", setting=f"retrained with seed {seed}")
    return measured("three-sample-p", place, found.p_value, at_most=SIGNIFICANT)


def _aligned(bench: Bench) -> Criterion:
    """The criterion of alignment.

    Only what the head reads is judged: lower layers may stay as they are in the original.
    """
    statement = "On the forget set the features are aligned with those of retrained models as two of those are."
    return comparison("alignment", statement, tuple(_alignment(bench, "body", judged=True)))


def _alignment(bench: Bench, layer: str, *, judged: bool = False) -> list[Measurement]:
    """The alignment of one layer; empty where a network gives every input the same features there."""
    peers = bench.peers
    models = [bench.candidate, *peers.references.values(), *([peers.original] if peers.original else [])]
    if any(bool((seen.layers[layer] == seen.layers[layer][0]).all()) for seen in models):
        return []

    def similarity(first: Observation, second: Observation) -> float:
        found = layer_similarity(first.layers, second.layers, [layer])[layer]
        assert found is not None, "constant layers are left out above"
        return found

    return [bench.between("cka", Place("forget", layer), similarity, "at least" if judged else None)]

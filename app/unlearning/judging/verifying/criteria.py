"""The criteria of a verification: what must hold of one model beside the original and retrained ones, computed from observations.

Any model can be judged, the original and a retrained one as well: that is the control.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from app.specs.claims import LEAST_REFERENCES, Claim
from app.unlearning.judging.effect import MOST_LEFT_BY_METHOD
from app.unlearning.judging.gate import REFUSAL_FLOOR
from app.unlearning.judging.measuring.intervals import Estimate, paired_difference, share
from app.unlearning.judging.measuring.membership import area_under_curve, calibrated
from app.unlearning.judging.verifying.bench import Bench
from app.unlearning.judging.verifying.figures import (
    accuracy,
    attack,
    certainty,
    forget_distance,
    hits,
    known,
    margin,
    mean_with_interval,
    point,
    probe_recall,
    prototype_recall,
    retained_agreement,
)
from app.unlearning.judging.verifying.observations import Observation, Outputs
from app.unlearning.judging.verifying.verdicts import (
    Criterion,
    Measurement,
    PeerFigures,
    Place,
    all_passed,
    beside_retrained,
    measured,
)

LARGEST_FORGET_ACCURACY = 0.01
"""Share of a forgotten class's training images that may still be given its label."""
CALIBRATED = Place("forget", setting="calibrated margin")
_NOTHING = 1e-12  # bits: what is no nearer at all is not nearer


def effect_criteria(bench: Bench) -> list[Criterion]:
    """What a forget request must have done, whatever retrained models are like."""
    about_classes = bool(bench.peers.sets.forget_classes)
    found = [_answered_no_more(bench)] if about_classes else []
    found.append(_retained_kept(bench))
    floor = REFUSAL_FLOOR[bench.sought.refusal]
    if about_classes and floor > 0:
        found.append(_refused(bench, floor))
    found.append(_weights_changed(bench))
    if bench.sought.still_answered is not None:
        found.append(_left_by_method(bench.sought.still_answered))
    return found


def comparison(name: str, statement: str, measurements: tuple[Measurement, ...]) -> Criterion:
    """A criterion, without its number, that is evidence of a result near retrained ones."""
    return Criterion(0, name, statement, "approximate", all_passed(measurements), measurements)


def comparison_criteria(bench: Bench) -> list[Criterion]:
    """What must be as in retrained models, by the fast set; needs one retrained model at least."""
    about_classes = bool(bench.peers.sets.forget_classes)
    found = [
        _retained_accuracy(bench),
        _nearer_than_untouched(bench),
        _membership(bench),
        _calibrated_membership(bench),
    ]
    if not about_classes:
        found.append(_forget_accuracy(bench))
    if len(bench.peers.references) >= LEAST_REFERENCES:
        found += [_as_two_retrained(bench), _agreement(bench)]
    if about_classes:
        found += [_probe(bench), _prototypes(bench)]
    return found


def shown(bench: Bench) -> list[Measurement]:
    """Figures that decide nothing."""
    num_classes = bench.candidate.forget.logits.shape[1]

    def refused(outputs: Outputs) -> Estimate:
        return share(outputs.served == num_classes)

    found = [
        bench.beside("accuracy", Place("retain"), lambda seen: accuracy(seen.retain), None),
        bench.beside("refusal-rate", Place("test_retain"), lambda seen: refused(seen.test_retain), None),
    ]
    if bench.peers.sets.forget_classes:
        found.append(bench.beside("refusal-rate", Place("test_forget"), lambda seen: refused(seen.test_forget), None))
    if bench.peers.references:
        found.append(bench.between("activation-distance", Place("forget"), forget_distance, None))
    return found


def _answered_no_more(bench: Bench) -> Criterion:
    found = bench.beside("accuracy", Place("forget"), lambda seen: accuracy(seen.forget), None)
    ours = accuracy(bench.candidate.forget)
    judged = measured("accuracy", Place("forget"), ours, at_most=LARGEST_FORGET_ACCURACY)
    statement = "Training images of the forgotten classes are not given their label."
    return Criterion(0, "forgotten", statement, "suppressed", judged.passed, (_with_retrained(judged, found),))


def _retained_kept(bench: Bench) -> Criterion:
    """The criterion of the utility budget.

    The upper end of the interval is judged; the gate has judged the figure itself, on calibration rows.
    """
    ours = hits(bench.candidate.test_retain)
    found = bench.beside("accuracy", Place("test_retain"), lambda seen: accuracy(seen.test_retain), None)
    statement = f"Accuracy on retained test images is at most {bench.sought.utility_budget} below the original's."
    if bench.peers.original is not None:
        lost = paired_difference(hits(bench.peers.original.test_retain), ours)
        at_least = point(share(hits(bench.peers.original.test_retain))) - bench.sought.utility_budget
        at_least -= lost.value - lost.low  # what chance explains
        found = _with_retrained(measured("accuracy", found.place, share(ours), at_least=at_least), found)
    needed_for: Claim = "suppressed" if bench.peers.sets.forget_classes else "edited"
    return Criterion(0, "retained", statement, needed_for, found.passed, (found,))


def _refused(bench: Bench, floor: float) -> Criterion:
    refused = share(bench.candidate.test_forget.served == bench.candidate.forget.logits.shape[1])
    found = measured("refusal-rate", Place("test_forget"), refused, at_least=floor)
    statement = (
        f"Test images of the forgotten classes are answered as forgotten, as refusal {bench.sought.refusal} asks."
    )
    return Criterion(0, "refused", statement, "suppressed", found.passed, (found,), controlled=False)


def _weights_changed(bench: Bench) -> Criterion:
    needed_for: Claim = "edited" if bench.peers.sets.forget_classes else "suppressed"
    statement = "At least one weight differs from the original's."
    if bench.peers.original_digest is None:
        return Criterion(0, "changed", statement, needed_for, None, controlled=False)
    found = measured(
        "weights-changed", Place("weights"), float(bench.candidate.digest != bench.peers.original_digest), at_least=1.0
    )
    return Criterion(0, "changed", statement, needed_for, found.passed, (found,), controlled=False)


def _left_by_method(still_answered: float) -> Criterion:
    """The criterion of what a method left by itself.

    A struck row hides it, so it was measured before rows were struck.
    """
    statement = f"The method by itself leaves at most {MOST_LEFT_BY_METHOD} of the classes' training images answered."
    place = Place("forget", setting="before their rows were struck")
    found = measured("accuracy", place, still_answered, at_most=MOST_LEFT_BY_METHOD)
    return Criterion(0, "left_by_method", statement, "approximate", found.passed, (found,), controlled=False)


def _retained_accuracy(bench: Bench) -> Criterion:
    """The criterion of retained accuracy without refusals: the budget bounds these, and retrained models have none."""
    place = Place("test_retain", setting="refusals apart")
    found = bench.beside("accuracy", place, lambda seen: share(known(seen.test_retain)), "at least")
    return comparison("accuracy", "Retained test images are known as well as by retrained models.", (found,))


def _forget_accuracy(bench: Bench) -> Criterion:
    found = bench.beside("accuracy", Place("forget"), lambda seen: accuracy(seen.forget), "as")
    statement = (
        "The forgotten samples are answered right as often as by retrained models, neither more often nor more seldom."
    )
    return comparison("forget-accuracy", statement, (found,))


def _nearer_than_untouched(bench: Bench) -> Criterion:
    """The criterion that a result moved towards retrained models.

    Its figure is the mean over inputs, and over retrained models, of D(candidate, retrained) - D(untouched, retrained).

    Where classes are forgotten, the untouched original has their rows struck: it would otherwise answer them, and any
    result at all would be nearer.
    """
    beside = "the original with their rows struck" if bench.peers.sets.forget_classes else "the original"
    statement = f"On the forget set the outputs are nearer those of retrained models than those of {beside} are."
    untouched = bench.peers.untouched
    if untouched is None:
        return comparison("nearer", statement, ())
    ours, theirs = (_divergence_from_others(bench, model) for model in (bench.candidate, untouched))
    found = mean_with_interval(ours - theirs)
    at_most = min(found.value - found.high, -_NOTHING)  # so that the whole interval is below 0
    judged = measured("nearer-than-untouched", Place("forget"), found, PeerFigures(original=0.0), at_most=at_most)
    return comparison("nearer", statement, (judged,))


def _as_two_retrained(bench: Bench) -> Criterion:
    found = bench.between(
        "jensen-shannon", Place("forget"), lambda *pair: float(bench.divergence(*pair).mean()), "at most"
    )
    statement = "On the forget set outputs are as near those of retrained models as those of two retrained models are to each other."
    return comparison("as-two-retrained", statement, (found,))


def _agreement(bench: Bench) -> Criterion:
    num_inputs = len(bench.candidate.test_retain.labels)
    found = bench.between("agreement", Place("test_retain"), retained_agreement, "at least", num_inputs)
    statement = "On retained test images answers agree with retrained models as those of two retrained models do with each other."
    return comparison("agreement", statement, (found,))


def _membership(bench: Bench) -> Criterion:
    """Both scores look at one model alone: the true label's margin, and how sure the answer is, whatever the label."""
    about_classes = bool(bench.peers.sets.forget_classes)
    others = "test images of the same classes" if about_classes else "test images"
    found = [
        bench.beside("mia-auc", Place("forget", setting=name), attack(scores, about_classes=about_classes), "as")
        for name, scores in (("margin", margin), ("certainty", certainty))
    ]
    statement = f"An attacker tells forgotten training images from {others} as well as with retrained models."
    return comparison("membership", statement, tuple(found))


def _calibrated_membership(bench: Bench) -> Criterion:
    """The criterion of calibrated membership: retrained models say how hard each image is to a model that never saw it.

    A retrained model is judged by the others: from their mean it differs by n / (n - 1) times as much as from the mean
    of all n.
    """
    retrained = {
        seed: point(calibrated_auc(bench, seen, without=seed)) for seed, seen in bench.peers.references.items()
    }
    count = len(bench.peers.references)
    found = beside_retrained(
        "mia-auc",
        CALIBRATED,
        calibrated_auc(bench, bench.candidate, without=bench.held_out),
        bench.peer_figures(lambda seen: point(calibrated_auc(bench, seen)), retrained),
        "as",
        coupling=count / (count - 1) if count > 1 else 1.0,
    )
    statement = "An attacker who has retrained models tells forgotten training images from others as badly as with one of those."
    return comparison("calibrated-membership", statement, (found,))


def calibrated_auc(bench: Bench, seen: Observation, without: int | None = None) -> Estimate | float:
    """The AUC of `calibrated_scores`."""

    def area() -> Estimate:
        return area_under_curve(*calibrated_scores(bench, seen, without)).estimate

    return bench.once("mia-auc", CALIBRATED, area, seen, *_shadows(bench, seen, without))


def calibrated_scores(bench: Bench, seen: Observation, without: int | None = None) -> tuple[Tensor, Tensor]:
    """Membership scores of the forget set, float64 [N], and of test images of the same kind, float64 [M].

    They are calibrated by all retrained models but one.
    """
    shadows = _shadows(bench, seen, without)
    members = _calibrated(seen.forget, [other.forget for other in shadows])
    if bench.peers.sets.forget_classes:
        return members, _calibrated(seen.test_forget, [other.test_forget for other in shadows])
    return members, _calibrated(seen.test_retain, [other.test_retain for other in shadows])


def _shadows(bench: Bench, seen: Observation, without: int | None) -> list[Observation]:
    """The retrained models but one; where that leaves none, the model itself."""
    return [other for seed, other in bench.peers.references.items() if seed != without] or [seen]


def _calibrated(outputs: Outputs, references: list[Outputs]) -> Tensor:
    """The margin of each input, float64 [N], less its mean over the references."""
    theirs = torch.stack([margin(other) for other in references])  # [S, N]
    return calibrated(margin(outputs), theirs)


def _probe(bench: Bench) -> Criterion:
    """The criterion about every probe that was fitted to the candidate."""
    found = [
        bench.beside("probe-recall", Place("test_forget", place.layer, f"{place.images} images a class"),
                     probe_recall(place), "at most")
        for place in bench.candidate.probes
    ]  # fmt: skip
    statement = "A linear probe finds the forgotten classes in no layer better than in retrained models."
    return comparison("probe", statement, tuple(found))


def _prototypes(bench: Bench) -> Criterion:
    """The criterion about prototypes, for every number of shots that was tried on the candidate."""
    found = [
        bench.beside(
            "prototype-recall", Place("test_forget", "body", f"{shots} shots"), prototype_recall(shots), "at most"
        )
        for shots in bench.candidate.prototypes
    ]
    statement = "A few images of a forgotten class bring it back no better than in retrained models."
    return comparison("prototypes", statement, tuple(found))


def _divergence_from_others(bench: Bench, model: Observation) -> Tensor:
    """The divergence from other models on each forgotten input, float64 [N], averaged over the retrained models."""
    return torch.stack([bench.divergence(model, other) for other in bench.others.values()]).mean(dim=0)


def _with_retrained(judged: Measurement, found: Measurement) -> Measurement:
    """The measurement that was judged, with the figures of the retrained models as `found` has them."""
    return replace(judged, original=found.original, struck=found.struck, retrained=found.retrained)

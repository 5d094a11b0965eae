from __future__ import annotations

import json
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import replace

import pytest
import torch

from app.errors import GateMissed, NotApplicable
from app.specs.claims import CLAIMS, Claim
from app.specs.methods import MethodName
from app.specs.methods.retrain import RetrainParameters
from app.specs.refusing import Refusal
from app.specs.training import Training
from app.unlearning.case import Case, Parent
from app.unlearning.context import Cancelled, Context
from app.unlearning.data import Dataset
from app.unlearning.judging.measuring.closeness import jensen_shannon, margins
from app.unlearning.judging.measuring.membership import area_under_curve
from app.unlearning.judging.metrics import METRICS
from app.unlearning.judging.verifying.claims import AbsenceProof, Evidence, Sought, strongest_claim, weights_digest
from app.unlearning.judging.verifying.deep_verification import VerificationReport, judge, verify
from app.unlearning.judging.verifying.observations import (
    Depth,
    Observation,
    Outputs,
    Sets,
    draw_sets,
    observe,
    observe_original,
    observe_struck,
)
from app.unlearning.judging.verifying.peers import Peers, SeenPeers
from app.unlearning.judging.verifying.verdicts import EFFECTS, Criterion
from app.unlearning.learning.architectures import Classifier
from app.unlearning.learning.training import fit
from app.unlearning.methods import METHODS
from app.unlearning.partition import Partition
from app.unlearning.sample_partition import of_samples
from tests.unit.unlearning.blobs import blobs, everything, fitted
from tests.unit.unlearning.methods.settings import TRAINING, forget

CLASS = 1
SEEDS = (11, 12, 13, 14)
DEPTHS: tuple[Depth, ...] = ("fast", "deep")


class World:
    """A data set, a network fitted to it, and some that were fitted without what is to be forgotten."""

    def __init__(self, data: Dataset, partition: Partition, epochs: int) -> None:
        self.data, self.partition, self.epochs = data, partition, epochs
        self.original = fitted(data, epochs=epochs)
        self.references = {seed: self.retrained(seed) for seed in SEEDS}

    def retrained(self, seed: int) -> Classifier:
        recipe = RetrainParameters(training=replace(TRAINING, epochs=self.epochs))
        return (
            METHODS["retrain"]
            .run(Case(Parent(self.original), self.data, self.partition), recipe, Context(), seed=seed)
            .model
        )

    def verified(
        self,
        model: Classifier,
        depth: Depth = "fast",
        *,
        claim: Claim = "approximate",
        refusal: Refusal = "calibrate",
        references: Mapping[int, Classifier] | None = None,
        has_original: bool = True,
        proof: AbsenceProof | None = None,
        context: Context | None = None,
        original_digest: str | None = None,
    ) -> VerificationReport:
        peers = Peers(
            self.original if has_original else None,
            self.references if references is None else references,
            original_digest,
        )
        sets, sought = draw_sets(self.data, self.partition, depth, 5), Sought(claim, refusal, 0.05, proof)
        return verify(model, sought, sets, peers, context or Context())


@pytest.fixture(scope="module")
def world() -> World:
    data = blobs(noise=60.0)
    return World(data, Partition.of(data, [CLASS]), epochs=6)


@pytest.fixture(scope="module")
def samples() -> World:
    """A network that knows some rows by heart."""
    data = blobs(rows=240, noise=160.0)
    partition = of_samples(data, data.train_rows[:60].tolist())
    return World(data, partition, epochs=25)


@pytest.fixture(scope="module")
def another(world: World) -> Classifier:
    """Retrained, and none of the references."""
    return world.retrained(21)


def masked(model: Classifier) -> Classifier:
    """Nothing but struck."""
    copy = deepcopy(model)
    copy.mark_forgotten([CLASS])
    return copy


def hidden(model: Classifier) -> Classifier:
    """Struck, its output row zero; the features are the original's."""
    copy = masked(model)
    with torch.no_grad():
        copy.head.weight[CLASS] = 0.0
        copy.head.bias[CLASS] = 0.0
    return copy


def named(report: VerificationReport, name: str) -> Criterion:
    return next(criterion for criterion in report.criteria if criterion.name == name)


@pytest.mark.parametrize("depth", DEPTHS)
def test_a_method_that_changes_nothing_ends_failed_and_claims_nothing(world: World, depth: Depth) -> None:
    report = world.verified(deepcopy(world.original), depth)
    assert (report.verdict, report.claim) == ("failed", None)
    assert named(report, "forgotten").passed is False
    assert named(report, "changed").passed is False


@pytest.mark.parametrize("references", [True, False])
def test_a_method_that_changes_nothing_ends_failed_with_references_or_without(world: World, references: bool) -> None:  # noqa: FBT001  two cases
    report = world.verified(deepcopy(world.original), references=None if references else {})
    assert report.verdict == "failed"


@pytest.mark.parametrize("depth", DEPTHS)
def test_a_retrained_model_passes_and_is_approximate_without_a_proof(
    world: World, another: Classifier, depth: Depth
) -> None:
    report = world.verified(another, depth, claim="exact")
    assert (report.verdict, report.claim) == ("passed", "approximate")
    assert all(criterion.passed for criterion in report.criteria if criterion.power is not False)
    assert report.control.num_with_power > 0


def test_a_single_reference_cannot_tell_how_two_differ_so_nothing_is_approximate_beside_it(
    world: World, another: Classifier
) -> None:
    report = world.verified(another, references={11: world.references[11]})
    assert (report.verdict, report.claim) == ("inconclusive", "edited")
    assert named(report, "reference").passed is None
    assert not [criterion for criterion in report.criteria if criterion.name == "as-two-retrained"]
    assert any("fewer than three" in sentence for sentence in report.does_not_prove)


@pytest.mark.parametrize("depth", DEPTHS)
def test_without_references_the_verdict_is_inconclusive_and_no_more_than_edited_is_claimed(
    world: World, another: Classifier, depth: Depth
) -> None:
    report = world.verified(another, depth, references={})
    assert (report.verdict, report.claim) == ("inconclusive", "edited")
    assert named(report, "reference").passed is None
    assert any("none to compare with" in sentence for sentence in report.does_not_prove)


def test_striking_alone_is_suppression_and_fails_where_more_was_sought(world: World) -> None:
    report = world.verified(masked(world.original))
    assert (report.verdict, report.claim) == ("failed", "suppressed")


@pytest.mark.parametrize("depth", DEPTHS)
def test_a_class_hidden_behind_the_head_is_edited_and_no_approximation(world: World, depth: Depth) -> None:
    report = world.verified(hidden(world.original), depth)
    assert (report.verdict, report.claim) == ("failed", "edited")
    assert named(report, "prototypes").passed is False
    if depth == "deep":
        assert named(report, "relearning").passed is False


def test_what_was_sought_as_an_edit_passes_as_an_edit(world: World) -> None:
    report = world.verified(hidden(world.original), claim="edited", references={})
    assert (report.verdict, report.claim) == ("passed", "edited")


def test_push_caps_the_claim_and_must_refuse(world: World, another: Classifier) -> None:
    report = world.verified(another, refusal="push")
    assert report.sought == "edited"
    assert named(report, "refused").passed is False
    assert report.verdict == "failed"


def test_an_exact_claim_needs_a_proof_about_these_weights_and_retained_rows(world: World, another: Classifier) -> None:
    retain, digest = world.partition.train.retain, weights_digest(another)
    proof = AbsenceProof(digest, retain, digest)
    report = world.verified(another, claim="exact", references={}, proof=proof)
    assert (report.verdict, report.claim) == ("passed", "exact")
    forged = [
        replace(proof, trained_on=torch.cat([retain, world.partition.train.forget[:1]])),
        replace(proof, trained_on=retain[:0]),
        replace(proof, digest=weights_digest(world.original)),
        replace(proof, repeated_digest=weights_digest(world.original)),
    ]
    for bad in forged:
        report = world.verified(another, claim="exact", references={}, proof=bad)
        assert (report.verdict, report.claim) == ("failed", "edited")


@pytest.mark.parametrize("target", ["world", "samples"])
def test_figures_that_are_computed_once_are_those_of_each_model_beside_the_others(
    target: str, request: pytest.FixtureRequest
) -> None:
    found: World = request.getfixturevalue(target)
    report = found.verified(found.retrained(21))
    sets = draw_sets(found.data, found.partition, "fast", 5)
    seen = {seed: observe(model, sets, Context()) for seed, model in found.references.items()}
    calibrated = named(report, "calibrated-membership").measurements[0].retrained
    divergence = named(report, "as-two-retrained").measurements[0].retrained
    for seed, model in seen.items():
        others = [other for key, other in seen.items() if key != seed]
        areas = [
            margins(part.logits, part.labels)
            - torch.stack([margins(each.logits, each.labels) for each in beside]).mean(0)
            for part, beside in (
                (model.forget, [other.forget for other in others]),
                (outsiders(model, sets), [outsiders(other, sets) for other in others]),
            )
        ]
        assert calibrated[str(seed)] == area_under_curve(*areas).estimate.value
        distances = [jensen_shannon(model.forget.probabilities, other.forget.probabilities) for other in others]
        assert divergence[str(seed)] == pytest.approx(float(torch.stack(distances).mean()))


def outsiders(seen: Observation, sets: Sets) -> Outputs:
    """Test images that the forget set is told from."""
    return seen.test_forget if sets.forget_classes else seen.test_retain


def test_a_repetition_that_gives_other_weights_refutes_whatever_was_sought(world: World, another: Classifier) -> None:
    told = AbsenceProof(weights_digest(another), world.partition.train.retain)
    same, other = (replace(told, repeated_digest=weights_digest(model)) for model in (another, world.original))
    assert world.verified(another, proof=same).claim == world.verified(another, proof=told).claim == "approximate"
    report = world.verified(another, proof=other)
    assert (report.sought, report.verdict, report.claim) == ("approximate", "failed", "edited")
    assert named(report, "absent").needed_for == "approximate"


def test_a_proof_lifts_no_method_above_its_own_claim(world: World, another: Classifier) -> None:
    proof = AbsenceProof(weights_digest(another), world.partition.train.retain)
    assert world.verified(another, claim="edited", proof=proof).claim == "edited"


def test_the_control_fails_the_original_and_passes_retrained_models(world: World, another: Classifier) -> None:
    control = world.verified(another, "deep").control
    assert control.original_fails is True
    assert 0 < control.num_with_power < control.num_figures
    assert set(control.retrained_pass) == {str(seed) for seed in SEEDS}
    assert {"nearer", "prototypes", "relearning"} <= set(control.failed_by_original)


def test_no_power_is_recorded_beside_figures_that_the_original_passes(world: World, another: Classifier) -> None:
    report = world.verified(another, "deep")
    powers = {name: {found.power for found in named(report, name).measurements} for name in ("probe", "prototypes")}
    assert powers == {"probe": {False}, "prototypes": {True}}
    assert any("without power" in sentence for sentence in report.does_not_prove)


def test_a_purged_original_leaves_no_control_and_the_verdict_inconclusive(world: World, another: Classifier) -> None:
    report = world.verified(another, "deep", has_original=False, original_digest=weights_digest(world.original))
    assert (report.verdict, report.claim) == ("inconclusive", None)
    assert report.control.original_fails is None
    assert named(report, "changed").passed is True
    assert named(report, "retained").passed is None
    assert named(report, "control").passed is None
    assert named(report, "nearer").passed is None


def test_deep_verification_of_an_edit_is_inconclusive_without_a_control(world: World) -> None:
    report = world.verified(hidden(world.original), "deep", claim="edited", references={})
    assert report.verdict == "inconclusive"


def test_every_figure_names_a_metric_and_lies_in_its_range(world: World, another: Classifier) -> None:
    report = world.verified(another, "deep")
    figures = [*report.shown, *(found for criterion in report.criteria for found in criterion.measurements)]
    for found in figures:
        metric = METRICS.get(found.metric) or EFFECTS[found.metric]
        assert found.version == metric.version
        assert metric.low <= found.value <= metric.high
    assert [criterion.number for criterion in report.criteria] == list(range(1, len(report.criteria) + 1))


def test_the_report_is_json_and_the_same_every_time(world: World, another: Classifier) -> None:
    first, second = (json.dumps(world.verified(another, "deep").as_json(), allow_nan=False) for _ in range(2))
    assert first == second
    told = json.loads(first)
    assert (told["verdict"], told["claim"]) == ("passed", "approximate")


def test_kept_observations_give_the_same_report_as_the_models(world: World, another: Classifier) -> None:
    context, sets = Context(), draw_sets(world.data, world.partition, "fast", 5)
    before = observe_original(world.original, sets, context)
    peers = SeenPeers(
        sets,
        before,
        observe_struck(world.original, before, sets, context),
        {seed: observe(model, sets, context) for seed, model in world.references.items()},
    )
    report = judge(observe(another, sets, context), Sought("approximate", "calibrate", 0.05), peers, context)
    assert report.as_json() == world.verified(another).as_json()


def test_no_model_is_touched(world: World, another: Classifier) -> None:
    models = [another, world.original, *world.references.values()]
    before = [everything(model) for model in models]
    world.verified(another, "deep")
    for model, state in zip(models, before, strict=True):
        assert all(torch.equal(state[name], value) for name, value in model.state_dict().items())


@pytest.mark.parametrize("depth", DEPTHS)
def test_verification_ends_when_it_is_cancelled(world: World, another: Classifier, depth: Depth) -> None:
    checks = 0

    def check() -> None:
        nonlocal checks
        checks += 1
        if checks > 3:
            raise Cancelled

    with pytest.raises(Cancelled):
        world.verified(another, depth, context=Context(check=check))


def test_a_claim_exists_only_where_its_criteria_held(world: World, another: Classifier) -> None:
    criteria = world.verified(another).criteria
    assert Evidence("approximate", criteria).supports == "approximate"
    with pytest.raises(GateMissed, match="exact"):
        Evidence("exact", criteria)
    with pytest.raises(GateMissed):
        Evidence("suppressed", ())
    for outcome in (False, None):
        spoiled = tuple(replace(found, passed=outcome) if found.name == "nearer" else found for found in criteria)
        with pytest.raises(GateMissed):
            Evidence("approximate", spoiled)
        claimed = strongest_claim(spoiled, "exact")
        assert claimed is not None
        assert claimed.level == "edited"


def test_no_claim_is_above_the_one_sought(world: World, another: Classifier) -> None:
    criteria = world.verified(another).criteria
    for sought in CLAIMS[:3]:
        claimed = strongest_claim(criteria, sought)
        assert claimed is not None
        assert claimed.level == sought


def test_unchanged_weights_fail_for_samples_too(samples: World) -> None:
    report = samples.verified(deepcopy(samples.original), refusal="none")
    assert (report.verdict, report.claim) == ("failed", None)


@pytest.mark.parametrize("depth", DEPTHS)
def test_a_model_retrained_without_the_samples_passes(samples: World, depth: Depth) -> None:
    new = samples.retrained(21)
    report = samples.verified(new, depth, refusal="none")
    assert report.verdict == "passed", [criterion for criterion in report.criteria if not criterion.passed]
    assert report.claim == "approximate"


def test_samples_that_are_still_known_by_heart_fail_although_weights_moved(samples: World) -> None:
    trained = deepcopy(samples.original)
    fit(trained, samples.data, samples.data.train_rows, Training(epochs=2, batch_size=32, seed=3), Context())
    report = samples.verified(trained, "deep", refusal="none")
    assert report.verdict == "failed"
    assert report.claim == "edited"


def test_samples_need_not_be_touched_where_they_are_proven_absent(samples: World) -> None:
    new = samples.retrained(22)
    proof = AbsenceProof(weights_digest(new), samples.partition.train.retain)
    report = samples.verified(new, refusal="none", claim="exact", references={}, proof=proof)
    assert report.criteria[-1].name == "absent"
    assert report.criteria[-1].passed is True


@pytest.mark.parametrize(
    ("name", "told_by"),
    [("euk", {"nearer", "as-two-retrained"}), ("salun", {"nearer", "as-two-retrained", "prototypes"})],
)
def test_a_method_that_is_told_from_retrained_models_is_edited_and_what_tells_it_is_named(
    world: World, name: MethodName, told_by: set[str]
) -> None:
    """Where classes lie so far apart, a retrained model's answer to a forgotten one is arbitrary, and nothing hits it by chance."""
    report = world.verified(forget(name, world.original, world.data, world.partition).model)
    assert (report.verdict, report.claim) == ("failed", "edited")
    assert {criterion.name for criterion in report.criteria if criterion.passed is False} == told_by


def test_sets_without_rows_are_refused(world: World) -> None:
    nothing = replace(world.partition, train=replace(world.partition.train, forget=torch.empty(0, dtype=torch.int64)))
    with pytest.raises(NotApplicable, match="rows"):
        draw_sets(world.data, nothing, "fast", 0)


@pytest.mark.parametrize("count", [1, 2])
def test_fewer_references_never_earn_a_stronger_claim(world: World, another: Classifier, count: int) -> None:
    fewer = dict(list(world.references.items())[:count])
    report = world.verified(another, references=fewer)
    assert (report.verdict, report.claim) == ("inconclusive", "edited")
    assert named(report, "reference").passed is None
    assert report.control.num_with_power == 0


def test_a_reference_that_knows_the_class_takes_the_power_from_what_would_tell(
    world: World, another: Classifier
) -> None:
    good = dict(list(world.references.items())[:2])
    report = world.verified(another, references={**good, 99: hidden(world.original)})
    assert {
        found.power for name in ("prototypes", "as-two-retrained") for found in named(report, name).measurements
    } == {False}
    assert (report.verdict, report.claim) == ("inconclusive", "edited")

"""`bad_teacher`: take an ignorant teacher's answers on the forget set."""

from __future__ import annotations

from dataclasses import dataclass

from app.specs.methods.method import EVERY_REFUSAL, NO_PROOF, STANDARD, MethodSpec, Tuned
from app.specs.methods.steps import SETTLING_STEPS_AFTER_WRONG_ANSWERS, Steps, images_of_both_sets
from app.specs.methods.work import FORWARD, JUDGED, Work
from app.specs.refusing import Budgets
from app.specs.training import BatchSize, LearningRate

TUNED = Tuned("learning_rate", values=(0.001, 0.003), expected_tries=1.2)
"""Rates of Adam; the rate .0003 did the same as with `salun`: it took more steps to the same end, and lost more."""


@dataclass(frozen=True)
class BadTeacherParameters(Budgets):
    """Parameters of the method `bad_teacher`."""

    learning_rate: LearningRate | None = None
    """Learning rate of Adam; if empty, it is tuned."""
    steps: Steps = 150
    """Steps at most; fewer where the forget set is forgotten earlier."""
    batch_size: BatchSize = 128
    """Retained images of a step; half as many of the forget set."""


def _images(work: Work, parameters: BadTeacherParameters) -> float:  # noqa: ARG001  every method is asked alike
    """The cost of steps in which a teacher passes forward beside the student."""
    steps = images_of_both_sets(parameters, SETTLING_STEPS_AFTER_WRONG_ANSWERS)
    return TUNED.tries(parameters) * (steps * (1 + FORWARD) + JUDGED)


SPEC = MethodSpec(
    name="bad_teacher",
    parameters=BadTeacherParameters,
    claim="approximate",
    targets=("classes", "samples"),
    modes=STANDARD,
    refusals=EVERY_REFUSAL,
    reads_forget_set=True,
    recurrent=True,
    idea="Takes the answers of a fresh network without the classes to forget on the forget set, the original's on the rest.",
    equation="minimise KL(p_fresh || p_u) over D_f + KL(p_o || p_u) over D_r;  p_fresh is 0 for classes to forget",
    guarantee=NO_PROOF,
    paper="Chundawat et al.: Can Bad Teaching Induce Forgetting?, AAAI 2023 (arXiv:2205.08096)",
    when_not="When nobody may see that something was forgotten: answers become more uncertain than of unseen data.",
    images=_images,
    ranks={"classes": 40, "samples": 50},
    tuned=TUNED,
)

from __future__ import annotations

from app.specs.methods.neggrad_plus import NegGradPlusParameters
from app.specs.methods.scrub import ScrubParameters
from app.unlearning.case import Case, Parent
from app.unlearning.judging.measurements import answers
from app.unlearning.methods import METHODS
from app.unlearning.partition import Partition
from tests.unit.unlearning.blobs import blobs, fitted
from tests.unit.unlearning.methods.settings import CONTEXT, before_striking

DATA = blobs()  # on fewer images, settling is so many epochs that a class comes back
MODEL = fitted(DATA)
PARTITION = Partition.of(DATA, [1])


def test_the_ascent_ends_of_itself_and_the_retain_set_survives_it() -> None:
    parameters = NegGradPlusParameters(forget_weight=0.5, learning_rate=0.005, steps=300)
    result = METHODS["neggrad_plus"].run(Case(Parent(MODEL), DATA, PARTITION), parameters, CONTEXT, seed=3)
    found = answers(result.model, DATA.test_images, DATA.test_labels, PARTITION.test.retain)
    assert (found.accuracy() or 0) > 0.95
    assert result.settings["steps_taken"] < 300


def test_the_weights_alone_no_longer_name_the_class() -> None:
    for name in ("neggrad_plus", "scrub", "salun", "bad_teacher"):
        model = before_striking(name, MODEL, DATA, PARTITION)
        raw = answers(model, DATA.test_images, DATA.test_labels, PARTITION.test.forget)
        assert (raw.accuracy() or 0) < 0.1


def test_a_student_without_rounds_of_leaving_keeps_to_its_teacher() -> None:
    gentle, strong = (
        METHODS["scrub"]
        .run(Case(Parent(MODEL), DATA, PARTITION), ScrubParameters(learning_rate=rate, rounds=1), CONTEXT, seed=3)
        .settings["forget_accuracy"]
        for rate in (1e-6, 0.005)
    )
    assert gentle > 0.95 > strong

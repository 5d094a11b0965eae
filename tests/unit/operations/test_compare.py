from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import func, select

from app.contract.comparing import CompareCreate, Comparison
from app.contract.jobs import Job
from app.database.tables import AuditEntryRow, ReferenceRow, TombstoneRow, VersionRow
from app.errors import AlreadyForgotten, Conflict, InvalidInput, JobNotFound, ModelNotFound, NotApplicable
from app.operations.administration import jobs
from app.operations.comparing import compare, plots
from app.operations.verifying.reference_files import store_of
from tests.unit.operations.conftest import CALLER, House

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)

CHEAP = [
    {"method": "edit", "parameters": {"push_steps": 20}},
    {"method": "finetune", "parameters": {"steps": 20, "learning_rate": 0.002}},
]


def ask(house: House, name: str = "digits", **body: Any) -> Job:
    with house.database.writing() as session:
        return compare.submit(session, CALLER, name, CompareCreate.model_validate(body))


def finished(house: House, job: Job) -> Job:
    house.work()
    with house.database.reading() as session:
        return jobs.get_job(session, job.id)


@pytest.mark.slow
def test_methods_stand_side_by_side_and_nothing_is_published(house: House) -> None:
    failing = {"method": "euk", "parameters": {"steps": 5, "layers": 1000}}
    job = finished(house, ask(house, target={"classes": [2]}, methods=[*CHEAP, failing]))
    assert job.status == "succeeded"
    found = Comparison.model_validate(job.result)
    assert [row.method for row in found.rows] == ["edit", "finetune", "euk"]
    assert found.original.forget_accuracy is not None
    assert found.original.forget_accuracy > 0.5
    assert (found.retrained.forget_accuracy, found.retrained.ratio_to_retraining) == (0.0, 1.0)
    edited, finetuned = found.rows[0].forget_accuracy_before_refusal, found.rows[1].forget_accuracy_before_refusal
    assert edited is None
    assert finetuned is not None
    assert finetuned > 0.05
    assert all(row.forget_accuracy == 0.0 and row.seconds for row in found.rows[:2])
    assert found.rows[0].refusal == "calibrate"
    with house.database.reading() as session:
        assert session.scalar(select(func.count()).select_from(VersionRow)) == 1
        assert session.scalar(select(func.count()).select_from(TombstoneRow)) == 0
        assert not any(b"forget." in entry for entry in session.scalars(select(AuditEntryRow.entry)))
        comparison = plots.comparison_of(session, job.id)
    assert plots.render(comparison, "png").startswith(b"\x89PNG")
    drawn = plots.render(comparison, "svg").decode()
    assert all(f">{label}<" in drawn for label in ("original", "retrained", "edit", "finetune"))


def test_a_retrained_model_that_there_is_is_not_trained_again(house: House) -> None:
    waiting = house.forget(2, method="finetune", refusal="calibrate", reference="wait", num_references=1)
    house.work()
    with house.database.writing() as session:
        kept = session.scalars(select(ReferenceRow)).one()
        jobs.cancel_job(session, CALLER, waiting.job.id)
    job = finished(house, ask(house, target={"classes": [2]}, methods=CHEAP[1:], num_references=1))
    assert Comparison.model_validate(job.result).retrained.seconds == kept.seconds
    with house.database.reading() as session:
        assert session.scalar(select(func.count()).select_from(ReferenceRow)) == 1


def test_what_a_reference_took_counts_only_where_as_many_threads_compute(house: House) -> None:
    """References last longer than the number of threads that jobs compute with."""
    house.forget(2, method="finetune", refusal="calibrate", reference="wait", num_references=1)
    house.work()
    with house.database.reading() as session:
        kept = session.scalars(select(ReferenceRow)).one()
    manifest = store_of(house.settings).read_manifest("digits", kept.number)
    assert manifest.metrics.training_cpu_seconds is not None
    assert compare._cpu_seconds(manifest) == manifest.metrics.training_cpu_seconds
    more = manifest.environment.model_copy(update={"threads": manifest.environment.threads + 1})
    assert compare._cpu_seconds(manifest.model_copy(update={"environment": more})) is None


@pytest.mark.slow
def test_samples_are_compared_without_a_refusal(house: House) -> None:
    methods = [{"method": "finetune", "parameters": {"steps": 20, "learning_rate": 0.002}}]
    job = finished(house, ask(house, target={"samples": list(range(200))}, methods=methods))
    found = Comparison.model_validate(job.result)
    assert (found.num_samples, len(found.target["samples"])) == (200, 100)
    assert (found.rows[0].refusal, found.rows[0].probe_gap) == ("none", None)
    assert found.rows[0].mia_gap is not None
    assert b"membership" in plots.render(found, "svg")


@pytest.mark.parametrize(
    ("methods", "pointer"),
    [
        ([{"method": "ssd", "parameters": {"selection": -1}}], "/methods/0/parameters/selection"),
        ([{"method": "edit"}, {"method": "scrub", "parameters": {"step": 3}}], "/methods/1/parameters/step"),
    ],
)
def test_wrong_parameters_are_pointed_at(house: House, methods: list[Any], pointer: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        ask(house, target={"classes": [2]}, methods=methods)
    assert [fault.pointer for fault in refused.value.errors] == [pointer]


def test_what_does_not_apply_is_refused_with_every_reason(house: House) -> None:
    methods = [{"method": "edit"}, {"method": "finetune"}, {"method": "ssd"}, {"method": "sisa"}]
    with pytest.raises(NotApplicable) as refused:
        ask(house, target={"samples": [1]}, methods=methods)
    told = " ".join(fault.detail for fault in refused.value.errors)
    assert all(name in told for name in ("edit", "ssd", "sisa"))
    assert "finetune" not in told
    assert "/methods/3/method" in {fault.pointer for fault in refused.value.errors}


def test_without_a_list_every_method_that_applies_is_compared(house: House) -> None:
    job = ask(house, target={"samples": [1, 2]})
    with house.database.reading() as session:
        assert jobs.get_job(session, job.id).kind == "compare"
    names = {method["method"] for method in house.claim().spec["methods"]}
    assert names == {"retrain", "euk", "finetune", "neggrad_plus", "scrub", "salun", "bad_teacher"}


def test_forgotten_classes_and_unknown_models_are_refused(house: House) -> None:
    house.forget(2)
    with pytest.raises(AlreadyForgotten):
        ask(house, target={"classes": [2]})
    with pytest.raises(ModelNotFound):
        ask(house, "nobody", target={"classes": [2]})


def test_only_a_comparison_that_succeeded_has_a_plot(house: House) -> None:
    waiting, other = ask(house, target={"classes": [2]}), house.train()
    with house.database.reading() as session:
        with pytest.raises(Conflict):
            plots.comparison_of(session, waiting.id)
        with pytest.raises(JobNotFound):
            plots.comparison_of(session, other.id)


def test_a_comparison_can_be_cancelled_and_waits_for_nothing(house: House) -> None:
    house.train()
    running = house.claim()
    job = ask(house, target={"classes": [2]}, methods=CHEAP)
    assert running.kind == "train"
    assert house.claim().job_id == job.id
    again = ask(house, target={"classes": [2]}, methods=CHEAP)
    with house.database.writing() as session:
        assert jobs.cancel_job(session, CALLER, again.id).status == "cancelled"

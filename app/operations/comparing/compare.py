"""Compare: several methods on one target, beside the original and retrained models; publishes nothing."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError
from sqlalchemy.orm import Session

from app.contract.comparing import CompareCreate, ComparedFigures, ComparedMethod, ComparedRow, Comparison
from app.contract.forgetting import PARAMETERS
from app.contract.jobs import Job
from app.contract.problems import problem_of
from app.database.tables import JobRow, ModelRow
from app.errors import FieldError, InvalidInput, NoServingVersion, NotApplicable
from app.jobs import queue
from app.operations.caller import Caller
from app.operations.forgetting import choosing, forgetting_run, targets
from app.operations.lookups import find_model
from app.operations.training import publishing
from app.operations.verifying import references
from app.operations.verifying.forgotten_so_far import ForgottenSoFar
from app.operations.verifying.reference_files import store_of
from app.operations.views import job_view
from app.specs.methods import METHOD_SPECS
from app.specs.refusing import Refusal
from app.specs.request import ForgetSpec
from app.specs.target import Target, TargetKind

if TYPE_CHECKING:
    from app.jobs.attempt import Attempt
    from app.store.manifest import Manifest
    from app.unlearning import comparing
    from app.unlearning.case import Parent
    from app.unlearning.data import Dataset

MOST_SAMPLES_SHOWN = 100


def submit(session: Session, caller: Caller, name: str, body: CompareCreate, *, home: Path | None = None) -> Job:
    """Check everything that can be known now, and queue the comparison; it waits for nothing else of the model.

    Raises `NoServingVersion`, `InvalidInput` for parameters, `NotApplicable` with every reason, and what
    `targets.resolve` does.
    """
    model = find_model(session, name)
    if model.serving_version is None:
        raise NoServingVersion("the model has no version to forget from; train it first")
    target = targets.resolve(session, model, body.target, home)
    refusal: Refusal = body.refusal or ("none" if target.kind == "samples" else "calibrate")
    spec = {
        "target": target.as_json(),
        "methods": [method.model_dump() for method in _methods(model, target.kind, refusal, body.methods)],
        "refusal": refusal,
        "num_references": body.num_references,
        "seed": body.seed,
    }
    job = queue.submit(session, "compare", model.id, spec, by=caller.by, publishing=False)
    return job_view(job, model.name)


def _methods(
    model: ModelRow, kind: TargetKind, refusal: Refusal, wanted: list[ComparedMethod] | None
) -> list[ComparedMethod]:
    """The methods that are wanted, if all apply with their parameters; if none is named, every method that applies."""
    if wanted is None:
        found = choosing.applicable(model, kind, refusal)
        if not found:
            raise NotApplicable(f"no method forgets {kind} of this model with the refusal {refusal}; send another one")
        return [ComparedMethod.model_validate({"method": name}) for name in found]
    against = [
        FieldError(_pointer(place, fault.pointer), f"{each.method}: {fault.detail}")
        for place, each in enumerate(wanted)
        for fault in choosing.reasons(each.method, model, kind, refusal)
    ]
    if against:
        raise NotApplicable(" ".join(dict.fromkeys(fault.detail for fault in against)), errors=against)
    faults = [fault for place, each in enumerate(wanted) for fault in _faults_of_parameters(place, each)]
    if faults:
        raise InvalidInput("the parameters of a method are not valid", errors=faults)
    return wanted


def _pointer(place: int, pointer: str) -> str:
    """A pointer into a forget request as one into the comparison."""
    return f"/methods/{place}{pointer}" if pointer.startswith("/method") else pointer


def _faults_of_parameters(place: int, wanted: ComparedMethod) -> list[FieldError]:
    try:
        PARAMETERS[METHOD_SPECS[wanted.method].parameters].validate_json(json.dumps(wanted.parameters), strict=True)
    except ValidationError as error:
        return [
            FieldError("/".join([f"/methods/{place}/parameters", *map(str, fault["loc"])]), fault["msg"])
            for fault in error.errors(include_input=False, include_url=False)
        ]
    return []


# --- in the attempt's process --------------------------------------------------------------------


def run(attempt: Attempt) -> None:
    """Carry out and verify every method beside retrained models, keep the table as the job's result."""
    start = publishing.begin(attempt)
    target = Target.of(attempt.spec["target"])
    loaded = publishing.load_dataset(start, [*start.forgotten, *target.classes])
    parent = publishing.load_parent(start)
    if parent is None or start.parent is None:
        raise NoServingVersion("the model has no version to forget from; train it first")
    targets.refuse_unlearned(start.model, start.parent, target)
    requested = [_requested(attempt, method) for method in attempt.spec["methods"]]
    found = _compared(start, parent, loaded.dataset, requested)
    comparison = Comparison(
        target={kind: items[:MOST_SAMPLES_SHOWN] for kind, items in attempt.spec["target"].items()},
        num_samples=len(target.samples),
        version=start.parent.number,
        rows=[_row(attempt, method, row) for method, row in zip(attempt.spec["methods"], found.rows, strict=True)],
        original=ComparedFigures(**asdict(found.original)),
        retrained=ComparedFigures(**asdict(found.retrained)),
    )
    with attempt.succeeding(comparison.model_dump(mode="json")):
        pass


def _compared(
    start: publishing.Start, parent: Parent, dataset: Dataset, requested: list[ForgetSpec]
) -> comparing.Comparison:
    from app.unlearning.case import Case
    from app.unlearning.comparing import compare, train_references
    from app.unlearning.context import Context

    attempt = start.attempt
    context = Context(progress=publishing.progress_between(attempt, 0.05, 1.0))
    held_against = _known_references(start)
    missing = [seed for seed in _seeds(start) if seed not in held_against]
    case = Case.of(parent, dataset, requested[0].target)
    held_against |= train_references(case, start.model.training, context.part(0.0, 0.3), seeds=missing)
    specs = [forgetting_run.with_recipe(spec, start.model) for spec in requested]
    return compare(parent, dataset, specs, context.part(0.3, 1.0), references=held_against, seed=attempt.spec["seed"])


def _known_references(start: publishing.Start) -> dict[int, comparing.Reference]:
    """The references that forget requests and verifications left; missing ones are trained elsewhere, and not kept."""
    from app.unlearning.comparing import Reference

    assert start.parent is not None
    attempt = start.attempt
    target = Target.of(attempt.spec["target"])
    forgotten = ForgottenSoFar(
        classes=target.classes,
        samples=target.samples,
        other_classes=tuple(start.forgotten),
        other_samples=tuple(start.forgotten_samples),
        forget_requests=(),
    )
    key = forgotten.key(start.parent.manifest, start.model.training)
    kept = references.load_recorded(attempt, start.model, key, _seeds(start))
    store = store_of(attempt.settings)
    return {
        row.seed: Reference(model, row.seconds, _cpu_seconds(store.read_manifest(start.model.name, row.number)))
        for row, model in kept
    }


def _cpu_seconds(manifest: Manifest) -> float | None:
    """CPU seconds of training a reference; None where another number of threads computed than now."""
    import torch

    same_threads = manifest.environment.threads == torch.get_num_threads()
    return manifest.metrics.training_cpu_seconds if same_threads else None


def _seeds(start: publishing.Start) -> list[int]:
    """The seeds of references, without the one that the methods draw with: retraining would be held against itself."""
    asked = start.attempt.spec
    count = asked["num_references"]
    return [seed for seed in references.seeds_of(start.model, count + 1) if seed != asked["seed"]][:count]


def _requested(attempt: Attempt, method: dict[str, Any]) -> ForgetSpec:
    """What a forget request would ask for."""
    spec = METHOD_SPECS[method["method"]]
    parameters = PARAMETERS[spec.parameters].validate_python(method["parameters"])
    return ForgetSpec(
        Target.of(attempt.spec["target"]),
        method["method"],
        spec.told(parameters, spec.beside),
        attempt.spec["refusal"],
        seed=attempt.spec["seed"],
    )


def _row(attempt: Attempt, method: dict[str, Any], row: comparing.Row) -> ComparedRow:
    figures = asdict(row.figures) if row.figures else dict.fromkeys(ComparedFigures.model_fields)
    problem = problem_of(row.error, f"/v1/jobs/{attempt.job_id}") if row.error else None
    return ComparedRow(
        **method, **figures, refusal=attempt.spec["refusal"], verdict=row.verdict, claim=row.claim, problem=problem
    )


def ended(_session: Session, _job: JobRow) -> None:
    """Nothing hangs on a comparison, so nothing is to be undone or logged when it fails or is cancelled."""

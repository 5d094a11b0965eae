"""Columns of a type: what goes in comes out, and nothing else goes in."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from pydantic import ValidationError
from sqlalchemy import Text, cast, select, text
from sqlalchemy.exc import StatementError
from sqlalchemy.orm.attributes import flag_modified

from app.contract.models import Forgotten
from app.database.engine import Database
from app.database.tables import ForgetRequestRow, JobRow, ModelRow, VersionRow
from app.specs.architectures import Architecture, Cnn, Gru, Mlp, Torchvision
from app.specs.learning import Learning, Progressive, Sisa, Standard
from app.specs.reports import Memorisation
from app.specs.target import Target
from app.specs.training import Training
from tests.stored_versions import METRICS

PAIRS: list[tuple[Architecture, Learning]] = [
    (Mlp(hidden=(7, 5)), Progressive(tasks=((0, 1), (2,)), growth=(3, 3))),
    (Cnn(channels=(4,), hidden=9), Standard()),
    (Gru(), Sisa(shards=3)),
    (Torchvision("resnet18"), Standard()),
]


def model_row(architecture: Architecture, learning: Learning) -> ModelRow:
    return ModelRow(
        id=uuid4(),
        name=f"typed-{uuid4().hex}",
        dataset="mnist",
        architecture=architecture,
        learning=learning,
        training=Training(epochs=2, learning_rate=0.01),
        created_at=datetime.now(UTC),
    )


@pytest.mark.parametrize(("architecture", "learning"), PAIRS)
def test_what_is_stored_comes_back_as_the_same_value(
    database: Database, architecture: Architecture, learning: Learning
) -> None:
    row = model_row(architecture, learning)
    number = row.id
    with database.writing() as session:
        session.add(row)
    with database.reading() as session:
        found = session.scalars(select(ModelRow).where(ModelRow.id == number)).one()
        assert (found.architecture, found.learning) == (architecture, learning)
        assert found.training == Training(epochs=2, learning_rate=0.01)


def test_the_stored_json_is_that_of_the_contract(database: Database) -> None:
    row = model_row(Mlp(hidden=(7,)), Standard())
    with database.writing() as session:
        session.add(row)
        session.flush()
        stored = session.execute(
            text("SELECT architecture, learning FROM model WHERE name = :name"), {"name": row.name}
        )
        found = [value if isinstance(value, dict) else json.loads(value) for value in stored.one()]
    assert found == [{"type": "mlp", "hidden": [7]}, {"mode": "standard"}]


@pytest.mark.parametrize(
    ("stored", "target"),
    [
        ('{"classes": [2, 3]}', Target(classes=(2, 3))),
        ('{"tasks": [1], "classes": [2]}', Target(classes=(2,), tasks=(1,))),
        ('{"samples": [0, 59999]}', Target(samples=(0, 59999))),
    ],
)
def test_a_target_is_stored_as_the_kinds_that_are_named(database: Database, stored: str, target: Target) -> None:
    request = forget_request_row(target)
    with database.writing() as session:
        job = JobRow(id=request.job_id, kind="forget", model_id=request.model_id, spec={}, actor="a", status="queued")
        job.progress, job.created_at = {}, request.received_at
        model = model_row(Mlp(), Standard())
        model.id = request.model_id
        for row in (model, job, request):
            session.add(row)
            session.flush()
        (found,) = session.execute(select(cast(ForgetRequestRow.target, Text))).one()
    assert found == stored
    with database.reading() as session:
        assert session.scalars(select(ForgetRequestRow)).one().target == target


def test_what_versions_were_stored_as_is_read_and_stored_again_letter_by_letter(database: Database) -> None:
    """The text is that of a release whose rows held dictionaries."""
    forgotten = '{"classes": [2], "tasks": [], "num_samples": 3}'
    metrics = (
        '{"test_accuracy": 0.5, "per_class_accuracy": [1.0, null], "confusion_matrix": [[4, 0, 0], [0, 0, 4]], '
        '"sparsity": 0.0, "num_parameters": 7, "training_seconds": 1.25, "training_cpu_seconds": 1.5, "tasks": [], '
        '"accuracy_matrix": null, "average_forgetting": null, "backward_transfer": null, "memorisation": '
        '{"train_accuracy": 0.75, "unseen_accuracy": 0.5, "membership_auc": 0.5, "chance": 0.25}, "warning": "none"}'
    )
    model = model_row(Mlp(), Standard())
    version = VersionRow(model_id=model.id, number=1, state="available", origin="trained", created_at=model.created_at)
    version.digest = version.manifest_digest = ""
    version.forgotten, version.metrics, version.manifest = Forgotten(), METRICS, {}
    with database.writing() as session:
        session.add(model)
        session.flush()
        session.add(version)
        session.flush()
        of_earlier = text("UPDATE version SET forgotten = :forgotten, metrics = :metrics")
        session.execute(of_earlier, {"forgotten": forgotten, "metrics": metrics})
    as_text = select(cast(VersionRow.forgotten, Text), cast(VersionRow.metrics, Text))
    with database.writing() as session:
        before = session.execute(as_text).one()
        row = session.scalars(select(VersionRow)).one()
        assert row.forgotten == Forgotten(classes=[2], num_samples=3)
        assert row.metrics.memorisation == Memorisation(0.75, 0.5, 0.5, 0.25)
        flag_modified(row, "forgotten")
        flag_modified(row, "metrics")
    with database.reading() as session:
        assert session.execute(as_text).one() == before
    if database.is_sqlite:  # PostgreSQL has an order of its own
        assert tuple(before) == (forgotten, metrics)


def forget_request_row(target: Target) -> ForgetRequestRow:
    return ForgetRequestRow(
        id=uuid4(),
        model_id=uuid4(),
        job_id=uuid4(),
        target=target,
        method="edit",
        requested_method="edit",
        refusal="push",
        reference="none",
        num_references=3,
        parameters={},
        seed=0,
        status="queued",
        received_at=datetime.now(UTC),
    )


def test_what_is_no_value_of_the_type_is_not_stored(database: Database) -> None:
    row = model_row(Mlp(), Standard())
    row.architecture = {"type": "perceptron"}  # type: ignore[assignment]  # which is what must not pass
    with pytest.raises(StatementError) as refused, database.writing() as session:
        session.add(row)
    assert isinstance(refused.value.orig, ValidationError)

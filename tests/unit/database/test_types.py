"""Columns of a type: what goes in comes out, and nothing else goes in."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from pydantic import ValidationError
from sqlalchemy import select, text
from sqlalchemy.exc import StatementError

from app.database.engine import Database
from app.database.tables import ModelRow
from app.specs.architectures import Architecture, Cnn, Gru, Mlp, Torchvision
from app.specs.learning import Learning, Progressive, Sisa, Standard
from app.specs.training import Training

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


def test_what_is_no_value_of_the_type_is_not_stored(database: Database) -> None:
    row = model_row(Mlp(), Standard())
    row.architecture = {"type": "perceptron"}  # type: ignore[assignment]  # which is what must not pass
    with pytest.raises(StatementError) as refused, database.writing() as session:
        session.add(row)
    assert isinstance(refused.value.orig, ValidationError)

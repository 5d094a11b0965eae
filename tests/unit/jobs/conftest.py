from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from app.database.engine import Database
from app.database.tables import ModelRow
from app.specs.architectures import Mlp
from app.specs.learning import Standard
from app.specs.training import Training


def new_model(database: Database) -> UUID:
    """A model that jobs can be about."""
    model = ModelRow(id=uuid4(), name=f"toy-{uuid4().hex}", dataset="mnist", created_at=datetime.now(UTC))
    model.architecture, model.learning, model.training = Mlp(), Standard(), Training()
    with database.writing() as session:
        session.add(model)
    return model.id


@pytest.fixture
def model(database: Database) -> UUID:
    return new_model(database)


@pytest.fixture
def other_model(database: Database) -> UUID:
    return new_model(database)

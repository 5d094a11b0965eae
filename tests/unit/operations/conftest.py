"""A model trained once on real MNIST, copied for each test; jobs run in the test's own process."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import insert, select, text

from app.contract.forgetting import ForgetCreate, ForgetRequest
from app.contract.jobs import Job
from app.contract.models import ModelCreate
from app.contract.training import TrainRequest
from app.database import migrate
from app.database.engine import Database
from app.database.tables import Table
from app.jobs import queue
from app.jobs.attempt import Attempt
from app.operations.caller import Caller
from app.operations.forgetting import forget
from app.operations.handlers import HANDLERS
from app.operations.models import models
from app.operations.training import train
from app.settings import Settings
from app.specs.originator import Originator

CALLER = Caller(Originator("local", "00000000-0000-0000-0000-00000000000a"), frozenset({"admin"}))
OWNER = "host:1:1:boot"
TASKS = [[0, 1], [2, 3], [4, 5]]
"""Of MNIST; the other classes are not learned yet."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave the tests of this folder on PostgreSQL to the slow ones: what they do twice is to compute."""
    for item in items:
        if Path(__file__).parent in item.path.parents and "postgresql" in item.name:
            item.add_marker(pytest.mark.slow)


@dataclass(frozen=True)
class House:
    """A home with its database, and the verbs that change it."""

    database: Database
    settings: Settings
    caller: Caller = CALLER

    def create(self, **changes: Any) -> Job:
        body = {
            "name": "digits",
            "dataset": "mnist",
            "architecture": {"type": "mlp", "hidden": [32]},
            "training": {"epochs": 1, "batch_size": 64},
        }
        with self.database.writing() as session:
            return models.create_model(session, CALLER, ModelCreate.model_validate(body | changes)).job

    def train(self, name: str = "digits", **body: Any) -> Job:
        with self.database.writing() as session:
            return train.continue_training(session, CALLER, name, TrainRequest.model_validate(body)).job

    def forget(
        self,
        *classes: int,
        name: str = "digits",
        tasks: Sequence[int] = (),
        samples: Sequence[int] = (),
        **options: Any,
    ) -> ForgetRequest:
        named = {"classes": list(classes), "tasks": list(tasks), "samples": list(samples)}
        target = {kind: numbers for kind, numbers in named.items() if numbers}
        body = ForgetCreate.model_validate({"target": target, **options})
        with self.database.writing() as session:
            return forget.submit(session, CALLER, name, body, home=self.settings.home)

    def request(self, request_id: UUID) -> ForgetRequest:
        with self.database.reading() as session:
            return forget.get_forget_request(session, request_id)

    def claim(self) -> Attempt:
        """Take the next job as a worker would."""
        with self.database.writing() as session:
            claim = queue.claim(session, OWNER, HANDLERS.keys())
        assert claim is not None
        return Attempt(claim, self.settings, self.database)

    def work(self) -> None:
        """Take the next job and carry it out here."""
        attempt = self.claim()
        HANDLERS[attempt.kind].run(attempt)

    def changed(self, **changes: Any) -> House:
        """The same house under other settings."""
        return House(self.database, self.settings.model_copy(update=changes))


@pytest.fixture(scope="session")
def _trained(tmp_path_factory: pytest.TempPathFactory) -> House:
    """A home in which `digits` was trained, on SQLite."""
    settings = Settings(home=tmp_path_factory.mktemp("trained"), download=False, torch_threads=1)
    migrate.upgrade(settings.resolved_database_url)
    house = House(Database(settings.resolved_database_url), settings)
    house.create()
    house.work()
    return house


@pytest.fixture(scope="session")
def _trained_by_task(tmp_path_factory: pytest.TempPathFactory) -> House:
    """A home in which `digits` learned TASKS with Synaptic Intelligence and `growing` in a growing network, on SQLite."""
    settings = Settings(home=tmp_path_factory.mktemp("by_task"), download=False, torch_threads=1)
    migrate.upgrade(settings.resolved_database_url)
    house = House(Database(settings.resolved_database_url), settings)
    house.create(
        architecture={"type": "mlp", "hidden": [16]},
        learning={"mode": "synaptic_intelligence", "tasks": TASKS},
        training={"epochs": 1, "batch_size": 200},
    )
    house.create(
        name="growing",
        architecture={"type": "mlp", "hidden": [8]},
        learning={"mode": "progressive", "tasks": TASKS[:2], "growth": [4]},
        training={"epochs": 1, "batch_size": 500},
    )
    house.work()
    house.work()
    return house


@pytest.fixture
def house(_trained: House, database: Database, settings: Settings) -> House:
    """A house of its own in which the model `digits` has one version; only the data set is shared."""
    return copied(_trained, database, settings)


@pytest.fixture
def task_house(_trained_by_task: House, database: Database, settings: Settings) -> House:
    """The same in which `digits` and `growing` have one version each, of TASKS and of the first two of them."""
    return copied(_trained_by_task, database, settings)


def furnished(source: House, home: Path) -> House:
    """A house like `source` in a folder of its own, on SQLite, for a fixture to change once and tests to copy."""
    settings = Settings(home=home, download=False, torch_threads=1)
    migrate.upgrade(settings.resolved_database_url)
    return copied(source, Database(settings.resolved_database_url), settings)


def copied(source: House, database: Database, settings: Settings) -> House:
    """The versions and rows of a house, in a home and a database of its own."""
    for part in ("models", "staging"):
        shutil.copytree(source.settings.home / part, settings.home / part)
    shutil.copytree(source.settings.home / "datasets", settings.home / "datasets", copy_function=os.link)
    _copy_rows(source.database, database)
    return House(database, settings)


def _copy_rows(source: Database, target: Database) -> None:
    with source.reading() as old, target.writing() as new:
        for table in Table.metadata.sorted_tables:
            rows = [dict(row) for row in old.execute(select(table)).mappings()]
            if rows:
                new.execute(insert(table), rows)
        if not target.is_sqlite:
            new.execute(text("SELECT setval('job_sequence_seq', (SELECT max(sequence) FROM job))"))

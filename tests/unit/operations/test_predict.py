from __future__ import annotations

import asyncio
import io
import json
import os
import random
import signal
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import numpy as np
import pytest
from PIL import Image
from sqlalchemy import event, select, update

from app.contract.predicting import Predictions
from app.database.engine import Database
from app.database.tables import AuditEntryRow, ModelRow, VersionRow
from app.errors import (
    ForgetteryError,
    InvalidInput,
    InvalidShape,
    MissingScope,
    ModelGone,
    ModelNotFound,
    NoServingVersion,
    PredictorUnavailable,
    TaskNotFound,
    VersionCorrupted,
    VersionGone,
    VersionNotFound,
)
from app.operations.caller import Caller
from app.operations.models.predict import Body, predict
from app.prediction.answers import EncodedAnswers, Options
from app.prediction.client import Predictor
from app.prediction.serving import ServedVersion, ServedVersions
from app.specs.learning import Learning, SynapticIntelligence
from app.specs.originator import Originator
from app.store.manifest import WEIGHTS
from app.store.versions import VersionStore
from app.unlearning.learning.architectures import STANDARD
from tests.stored_versions import (
    BY_TASK,
    StoredVersion,
    inputs,
    move_serving,
    record_model,
    record_version,
    set_state,
    store_version,
)
from tests.waiting import HANGS_AFTER

CALLER = Caller(Originator("local", "8b7a4a1e-0000-4000-8000-000000000000"), frozenset({"predict"}))


@dataclass(frozen=True)
class Service:
    """The predictor that all tests share, since a process takes seconds to start; and the loop that it belongs to."""

    runner: asyncio.Runner
    predictor: Predictor
    home: Path


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    home = tmp_path_factory.mktemp("home")
    with asyncio.Runner() as runner:
        predictor = Predictor(home)
        runner.run(predictor.start())
        yield Service(runner, predictor, home)
        runner.run(predictor.stop())


@dataclass(frozen=True)
class World:
    """A database, the shared store, and one new model."""

    service: Service
    database: Database
    model: str
    model_id: UUID
    served: ServedVersions

    def add(
        self, number: int, *, forgotten: tuple[int, ...] = (), serve: bool = True, learning: Learning = STANDARD
    ) -> StoredVersion:
        version = store_version(
            self.service.home, model=self.model, number=number, forgotten=forgotten, learning=learning
        )
        record_version(self.database, self.model_id, version, serve=serve)
        return version

    async def ask(self, number: int | None = None, body: Body | None = None, caller: Caller = CALLER) -> EncodedAnswers:
        return await predict(
            self.served, self.service.predictor, caller, name=self.model, number=number, body=body or npy_body(1)
        )

    async def answer(self, number: int | None = None, body: Body | None = None) -> Predictions:
        return Predictions.model_validate_json((await self.ask(number, body)).content)

    def run(self, scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
        async def when_ready() -> None:
            async with asyncio.timeout(HANGS_AFTER):
                while not self.service.predictor.alive:  # noqa: ASYNC110  a flag has no event
                    await asyncio.sleep(0.01)
            await scenario()

        self.service.runner.run(when_ready())


@pytest.fixture
def world(service: Service, database: Database) -> Iterator[World]:
    model = f"m{uuid4().hex}"
    served = ServedVersions(database)
    yield World(service, database, model, record_model(database, model), served)
    served.close()


on_sqlite = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


def npy_body(count: int, options: Options | None = None, seed: int = 0) -> Body:
    file = io.BytesIO()
    np.save(file, inputs(count, seed).numpy())
    return Body("application/x-npy", file.getvalue(), options or Options())


# --- which version -------------------------------------------------------------------------------


def test_the_serving_version_answers_and_any_available_one_by_its_number(world: World) -> None:
    first, second = world.add(1), world.add(2, forgotten=(1,))

    async def scenario() -> None:
        for number, version in [(None, second), (1, first), (2, second)]:
            answer = await world.answer(number, npy_body(50))
            assert (answer.model, answer.version, answer.digest) == (world.model, version.number, version.digest)
            served = version.network.probabilities(inputs(50)).argmax(dim=1).tolist()
            assert [0 if row.forgotten else row.label for row in answer.predictions] == [
                0 if column == 3 else column for column in served
            ]
            assert [row.forgotten for row in answer.predictions] == [column == 3 for column in served]

    world.run(scenario)


async def refusal(world: World, number: int | None = None) -> type[ForgetteryError]:
    with pytest.raises(ForgetteryError) as caught:
        await world.ask(number)
    return type(caught.value)


def test_what_cannot_answer_says_why(world: World) -> None:
    async def scenario() -> None:
        assert await refusal(world) is NoServingVersion
        assert await refusal(world, 1) is VersionNotFound
        assert await refusal(world, 10**30) is VersionNotFound
        world.add(1)
        world.add(2)
        for state in ("quarantined", "purged"):
            with world.database.writing() as session:
                set_state(session, world.model_id, 1, state)
            assert await refusal(world, 1) is VersionGone
        with world.database.writing() as session:
            session.execute(update(ModelRow).values(deleted_at=select(ModelRow.created_at).scalar_subquery()))
        assert await refusal(world) is ModelGone
        with pytest.raises(ModelNotFound):
            await world.served.find("no-such-model", None)

    world.run(scenario)


@on_sqlite
def test_the_scope_predict_is_needed(world: World) -> None:
    async def scenario() -> None:
        with pytest.raises(MissingScope):
            await world.ask(caller=Caller(CALLER.by, frozenset({"read"})))

    world.run(scenario)


# --- freshness -----------------------------------------------------------------------------------


def test_a_quarantined_version_never_answers_though_it_is_still_in_memory(world: World) -> None:
    world.add(1)

    async def scenario() -> None:
        assert (await world.answer()).version == 1
        world.add(2)
        with world.database.writing() as session:
            set_state(session, world.model_id, 1, "quarantined")
        assert await refusal(world, 1) is VersionGone
        assert (await world.answer()).version == 2
        with world.database.writing() as session:  # the pointer should never stand there; even so
            move_serving(session, world.model_id, 1)
        assert await refusal(world) is VersionGone

    world.run(scenario)


def test_no_request_received_after_a_switch_is_answered_by_the_version_before(world: World) -> None:
    """Switches commit in a thread while 16 callers ask; each compares its answer with what was committed before it."""
    for number in range(1, 6):
        world.add(number, serve=number == 1)
    committed = 1  # read by callers when they ask; the number only ever rises
    answered: list[tuple[int, int]] = []

    def switch(number: int) -> None:
        nonlocal committed
        with world.database.writing() as session:
            move_serving(session, world.model_id, number)
            set_state(session, world.model_id, number - 1, "quarantined")
        committed = number

    async def call() -> None:
        while committed < 5:
            before = committed
            answered.append((before, (await world.answer()).version))
            await asyncio.sleep(random.random() / 1000)

    async def scenario() -> None:
        callers = [asyncio.create_task(call()) for _ in range(16)]
        for number in range(2, 6):
            enough = len(answered) + 50
            while len(answered) < enough:  # noqa: ASYNC110  nobody says so
                await asyncio.sleep(0.001)
            await asyncio.to_thread(switch, number)
        await asyncio.gather(*callers)

    world.run(scenario)
    assert {version for _, version in answered} >= {1, 2, 3, 4}
    assert all(version >= before for before, version in answered)


def after_first_lookup(database: Database, act: Callable[[], None]) -> Callable[[], int]:
    """Do something in the reading thread just after the first look at a model took its snapshot; counts such looks."""
    looks = 0

    def looked(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        nonlocal looks
        if "LEFT OUTER JOIN version" in statement:
            looks += 1
            if looks == 1:
                act()

    event.listen(database.engine, "after_cursor_execute", looked)
    return lambda: looks


@on_sqlite
def test_a_request_never_joins_a_read_that_is_under_way(world: World) -> None:
    """A switch commits and requests arrive while the first read holds a snapshot from before."""
    world.add(1)
    world.add(2, serve=False)

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        late: list[asyncio.Task[ServedVersion]] = []

        async def ask_late() -> None:
            late.extend(asyncio.create_task(world.served.find(world.model, None)) for _ in range(20))
            await asyncio.sleep(0)

        def switch_and_ask() -> None:
            with world.database.writing() as writer:
                move_serving(writer, world.model_id, 2)
            asyncio.run_coroutine_threadsafe(ask_late(), loop).result()

        looks = after_first_lookup(world.database, switch_and_ask)
        assert (await world.served.find(world.model, None)).number == 1
        assert {version.number for version in await asyncio.gather(*late)} == {2}
        assert looks() == 2

    world.run(scenario)


@on_sqlite
def test_a_caller_that_goes_away_leaves_the_others_their_answer(world: World) -> None:
    world.add(1)

    async def scenario() -> None:
        asked = [asyncio.create_task(world.ask()) for _ in range(20)]
        await asyncio.sleep(0)
        for gone in asked[::2]:
            gone.cancel()
        outcomes = await asyncio.gather(*asked, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [asyncio.CancelledError, EncodedAnswers] * 10

    world.run(scenario)


# --- damage and death ----------------------------------------------------------------------------


def test_a_damaged_version_is_logged_once_and_other_models_answer_on(world: World) -> None:
    damaged = world.add(1)
    path = VersionStore(world.service.home).folder(world.model, 1) / WEIGHTS
    path.write_bytes(path.read_bytes()[:-1])
    other = store_version(world.service.home, model=f"{world.model}.other")
    record_version(world.database, record_model(world.database, other.model), other)

    async def scenario() -> None:
        outcomes = await asyncio.gather(*(world.ask() for _ in range(5)), return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [VersionCorrupted] * 5
        assert (
            await predict(
                world.served, world.service.predictor, CALLER, name=other.model, number=None, body=npy_body(1)
            )
        ).known == 1

    world.run(scenario)
    with world.database.reading() as session:
        assert session.scalars(select(VersionRow.corrupted_at).where(VersionRow.model_id == world.model_id)).one()
        entries = session.scalars(select(AuditEntryRow).where(AuditEntryRow.event == "version.corrupted")).all()
    assert [(entry.model, entry.version, entry.actor) for entry in entries] == [(world.model, 1, "local")]
    assert json.loads(entries[0].entry)["details"] == {"digest": damaged.digest}


def test_a_version_purged_after_it_was_looked_up_is_gone_and_not_damaged(world: World) -> None:
    world.add(1)
    world.add(2, serve=False)
    VersionStore(world.service.home).purge_weights(world.model, 1)

    def purge() -> None:
        with world.database.writing() as session:
            set_state(session, world.model_id, 1, "purged")
            move_serving(session, world.model_id, 2)

    async def scenario() -> None:
        after_first_lookup(world.database, purge)
        assert (await world.answer()).version == 2

    world.run(scenario)
    with world.database.reading() as session:
        assert session.scalars(select(AuditEntryRow)).all() == []


@on_sqlite
def test_after_kill_9_of_the_predictor_in_mid_request_the_service_resumes(world: World) -> None:
    world.add(1)

    async def scenario() -> None:
        await world.ask()
        pid = world.service.predictor.process_id
        assert pid is not None
        in_flight = asyncio.create_task(world.ask(body=npy_body(10_000)))
        await asyncio.sleep(0.02)
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(PredictorUnavailable):
            await in_flight
        assert (await world.answer()).version == 1
        assert world.service.predictor.process_id != pid

    world.run(scenario)


# --- answers -------------------------------------------------------------------------------------


@on_sqlite
def test_ten_thousand_rows_are_answered_in_order_and_counted(world: World) -> None:
    version = world.add(1, forgotten=(1,))

    async def scenario() -> None:
        encoded = await world.ask(body=npy_body(10_000))
        answer = Predictions.model_validate_json(encoded.content)
        served = version.network.probabilities(inputs(10_000)).argmax(dim=1)
        assert [row.forgotten for row in answer.predictions] == (served == 3).tolist()
        assert (encoded.forgotten, encoded.known) == (int((served == 3).sum()), int((served != 3).sum()))

    world.run(scenario)


@on_sqlite
def test_all_media_types_ask_the_same(world: World) -> None:
    world.add(1)
    pixels = np.arange(16, dtype=np.uint8).reshape(4, 4) * 17
    picture, array = io.BytesIO(), io.BytesIO()
    Image.fromarray(pixels).save(picture, "PNG")
    np.save(array, pixels)
    as_json = json.dumps({"inputs": [(pixels / 255).tolist()]}).encode()

    async def scenario() -> None:
        answers = [
            await world.answer(body=Body(media_type, content, Options()))
            for media_type, content in [
                ("application/json", as_json),
                ("image/png", picture.getvalue()),
                ("application/x-npy", array.getvalue()),
            ]
        ]
        assert answers[0] == answers[1] == answers[2]

    world.run(scenario)


@on_sqlite
def test_a_task_is_refused_by_a_model_without_tasks(world: World) -> None:
    world.add(1)

    async def scenario() -> None:
        with pytest.raises(InvalidInput, match="not trained on tasks") as caught:
            await world.ask(body=npy_body(1, Options(task=0)))
        assert [fault.pointer for fault in caught.value.errors] == ["/task"]
        with pytest.raises(InvalidShape):
            await world.ask(body=Body("application/json", b'{"inputs": [[0]]}', Options()))

    world.run(scenario)


# --- tasks ---------------------------------------------------------------------------------------


@on_sqlite
def test_the_classes_of_the_task_that_is_named_compete_alone(world: World) -> None:
    version = world.add(1, forgotten=(2,), learning=BY_TASK)

    async def scenario() -> None:
        for task in (None, 0, 1):
            answer = await world.answer(body=npy_body(40, Options(task=task, probabilities=True)))
            expected = version.network.probabilities(inputs(40), task).detach().numpy()
            found = np.array([[*(row.probabilities or []), row.p_forgotten] for row in answer.predictions])
            np.testing.assert_allclose(found, expected, atol=1e-6)

    world.run(scenario)


@on_sqlite
def test_a_wholly_forgotten_task_is_answered_as_forgotten_whatever_the_input(world: World) -> None:
    world.add(1, forgotten=(1,), learning=BY_TASK)

    async def scenario() -> None:
        answer = await world.answer(body=npy_body(40, Options(task=1, on_forgotten="next_best")))
        assert {(row.label, row.forgotten, row.confidence) for row in answer.predictions} == {(None, True, 1.0)}

    world.run(scenario)


@on_sqlite
def test_a_task_that_the_version_has_not_is_404(world: World) -> None:
    world.add(1, learning=BY_TASK)

    async def scenario() -> None:
        for task in (2, 2**31 - 1):
            with pytest.raises(TaskNotFound, match="0 to 1") as caught:
                await world.ask(body=npy_body(1, Options(task=task)))
            assert [fault.pointer for fault in caught.value.errors] == ["/task"]
        body = Body("application/json", json.dumps({"inputs": [[0] * 16], "task": 10**30}).encode(), Options())
        with pytest.raises((TaskNotFound, InvalidInput)):
            await world.ask(body=body)

    world.run(scenario)


@on_sqlite
def test_the_task_is_checked_against_the_version_that_takes_the_place_of_a_purged_one(world: World) -> None:
    world.add(1, learning=BY_TASK)
    world.add(2, serve=False, learning=SynapticIntelligence(tasks=((0, 1, 2),)))
    VersionStore(world.service.home).purge_weights(world.model, 1)

    def purge() -> None:
        with world.database.writing() as session:
            set_state(session, world.model_id, 1, "purged")
            move_serving(session, world.model_id, 2)

    async def scenario() -> None:
        after_first_lookup(world.database, purge)
        with pytest.raises(TaskNotFound, match="version 2"):
            await world.ask(body=npy_body(1, Options(task=1)))

    world.run(scenario)

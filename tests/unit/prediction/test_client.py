from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from app.errors import InternalError, PredictorUnavailable, VersionCorrupted
from app.prediction import client
from app.prediction.client import Floats, Predictor
from app.prediction.protocol import VersionKey
from app.store.manifest import MANIFEST, WEIGHTS
from app.store.versions import VersionStore
from tests.stored_versions import BY_TASK, StoredVersion, inputs, store_version
from tests.waiting import HANGS_AFTER, wait_until

WIDE = (4096, 4096, 4096)
"""Hidden layers that make a forward pass of many rows take a while."""
ANY_VERSION = VersionKey("digits", 1, "sha256:0", "sha256:0")


@dataclass(frozen=True)
class Service:
    """One predictor for many tests, since a process takes seconds to start; and the loop that it belongs to."""

    runner: asyncio.Runner
    predictor: Predictor
    home: Path

    def run(self, scenario: Callable[[Predictor], Coroutine[Any, Any, None]]) -> None:
        async def when_ready() -> None:
            await until(lambda: self.predictor.alive)
            await scenario(self.predictor)

        self.runner.run(when_ready())


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    home = tmp_path_factory.mktemp("home")
    with asyncio.Runner() as runner:
        predictor = Predictor(home)
        runner.run(predictor.start())
        yield Service(runner, predictor, home)
        runner.run(predictor.stop())


def ask(predictor: Predictor, version: StoredVersion, rows: Floats) -> Awaitable[Floats]:
    return predictor.predict(version.key, rows)


def expected(version: StoredVersion, rows: Floats) -> Floats:
    with torch.inference_mode():
        answers: Floats = version.network.probabilities(torch.from_numpy(rows)).numpy()
    return answers


def gone(pid: int) -> bool:
    """Whether the process has ended; one that nobody reaps counts, too."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return True
    return state == "Z"


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(HANGS_AFTER):
        while not true():  # noqa: ASYNC110  a process id or a flag has no event
            await asyncio.sleep(0.01)


def test_answers_are_the_models_own_for_one_row_for_a_batch_and_for_many_chunks(service: Service) -> None:
    version = store_version(service.home, forgotten=(1,))

    async def scenario(predictor: Predictor) -> None:
        for count in (1, 31, 32, 33, 500):
            rows = inputs(count, seed=count).numpy()
            answers = await ask(predictor, version, rows)
            assert answers.shape == (count, 4)
            assert answers.dtype == np.float32
            np.testing.assert_allclose(answers, expected(version, rows), atol=1e-6)
            assert not answers[:, 1].any()

    service.run(scenario)


def test_many_requests_in_flight_get_each_its_own_answer_from_its_own_version(service: Service) -> None:
    versions = [store_version(service.home, number=number) for number in (1, 2, 3)]

    async def scenario(predictor: Predictor) -> None:
        asked = [(versions[index % 3], inputs(1 + index % 7, seed=index).numpy()) for index in range(200)]
        answers = await asyncio.gather(*(ask(predictor, version, rows) for version, rows in asked))
        for (version, rows), answer in zip(asked, answers, strict=True):
            np.testing.assert_allclose(answer, expected(version, rows), atol=1e-6)

    service.run(scenario)


def test_a_small_request_is_answered_while_a_large_one_is_under_way(service: Service) -> None:
    version = store_version(service.home, hidden=WIDE)

    async def scenario(predictor: Predictor) -> None:
        small = inputs(1).numpy()
        await ask(predictor, version, small)
        large = asyncio.ensure_future(ask(predictor, version, inputs(10_000).numpy()))
        await asyncio.sleep(0)
        for _ in range(5):
            await ask(predictor, version, small)
        assert not large.done()
        large.cancel()

    service.run(scenario)


def test_after_kill_9_requests_in_flight_fail_and_later_ones_are_answered(service: Service) -> None:
    version = store_version(service.home, hidden=WIDE)

    async def scenario(predictor: Predictor) -> None:
        small = inputs(1).numpy()
        await ask(predictor, version, small)
        first = predictor.process_id
        assert first is not None
        in_flight = [asyncio.ensure_future(ask(predictor, version, inputs(1000).numpy())) for _ in range(3)]
        await asyncio.sleep(0.05)
        os.kill(first, signal.SIGKILL)
        outcomes = await asyncio.gather(*in_flight, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [PredictorUnavailable] * 3
        await ask(predictor, version, small)
        assert predictor.process_id != first

    service.run(scenario)


def test_a_request_cancelled_in_flight_leaves_the_others_alone(service: Service) -> None:
    version = store_version(service.home)

    async def scenario(predictor: Predictor) -> None:
        large = asyncio.ensure_future(ask(predictor, version, inputs(5000).numpy()))
        await until(lambda: predictor.alive)
        await asyncio.sleep(0.01)
        large.cancel()
        rows = inputs(40).numpy()
        np.testing.assert_allclose(await ask(predictor, version, rows), expected(version, rows), atol=1e-6)

    service.run(scenario)


@pytest.mark.parametrize("damage", ["flip a byte", "truncate", "remove", "remove the manifest"])
def test_a_damaged_version_is_refused_by_name_and_others_answer_on(service: Service, damage: str) -> None:
    model = damage.replace(" ", "-")  # of its own, so that no test before has had it loaded
    damaged, intact = (store_version(service.home, model=model, number=number) for number in (1, 2))
    path = VersionStore(service.home).folder(model, 1) / WEIGHTS
    content = path.read_bytes()
    if damage == "flip a byte":
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    elif damage == "truncate":
        path.write_bytes(content[:-1])
    elif damage == "remove":
        path.unlink()
    else:
        path.with_name("manifest.json").unlink()

    async def scenario(predictor: Predictor) -> None:
        rows = inputs(2).numpy()
        outcomes = await asyncio.gather(
            *(ask(predictor, version, rows) for version in [damaged, intact, damaged]), return_exceptions=True
        )
        assert isinstance(outcomes[0], VersionCorrupted)
        assert isinstance(outcomes[2], VersionCorrupted)
        assert f"{model}/1" in outcomes[0].detail
        assert isinstance(outcomes[1], np.ndarray)
        np.testing.assert_allclose(outcomes[1], expected(intact, rows), atol=1e-6)
        path.write_bytes(content)
        if damage != "remove the manifest":
            await ask(predictor, damaged, rows)  # restored from a backup: nothing to restart

    service.run(scenario)


def test_a_damaged_version_does_not_have_an_intact_one_of_equal_weights_refused(service: Service) -> None:
    damaged, intact = (store_version(service.home, model=model, seed=1) for model in ("equal-damaged", "equal-intact"))
    assert damaged.digest == intact.digest
    (VersionStore(service.home).folder("equal-damaged", 1) / WEIGHTS).unlink()

    async def scenario(predictor: Predictor) -> None:
        rows = inputs(2).numpy()
        for _ in range(2):
            refused, answers = await asyncio.gather(
                ask(predictor, damaged, rows), ask(predictor, intact, rows), return_exceptions=True
            )
            assert isinstance(refused, VersionCorrupted)
            assert isinstance(answers, np.ndarray)
            np.testing.assert_allclose(answers, expected(intact, rows), atol=1e-6)

    service.run(scenario)


def test_a_version_whose_manifest_was_changed_is_refused_by_name(service: Service) -> None:
    version = store_version(service.home, model="other-manifest")
    changed = version.manifest.model_copy(update={"seed": 1})
    (VersionStore(service.home).folder("other-manifest", 1) / MANIFEST).write_bytes(changed.to_bytes())

    async def scenario(predictor: Predictor) -> None:
        with pytest.raises(VersionCorrupted, match=r"models/other-manifest/1/manifest\.json does not match its digest"):
            await ask(predictor, version, inputs(1).numpy())

    service.run(scenario)


def test_a_fault_in_the_process_is_a_line_of_the_structured_log(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    version = store_version(tmp_path)

    async def scenario() -> None:
        predictor = Predictor(tmp_path)
        await predictor.start()
        with pytest.raises(InternalError):
            await ask(predictor, version, inputs(1, input_shape=(1, 5, 5)).numpy())
        await predictor.stop()

    asyncio.run(scenario())
    [line] = capfd.readouterr().err.splitlines()
    fault = json.loads(line)
    assert (fault["event"], fault["level"]) == ("answer_not_computed", "error")
    assert (fault["model"], fault["version"]) == ("digits", 1)
    assert "Traceback" in fault["exception"]


def test_a_process_that_cannot_be_started_now_is_started_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    version = store_version(tmp_path)

    async def scenario() -> None:
        predictor = Predictor(tmp_path)
        with monkeypatch.context() as patch:
            patch.setattr(sys, "executable", str(tmp_path / "missing"))
            await predictor.start()
            await until(lambda: caplog.text.count("could not be started") >= 2)
            assert not predictor.alive
        rows = inputs(1).numpy()
        await until(lambda: predictor.alive)
        np.testing.assert_allclose(await ask(predictor, version, rows), expected(version, rows), atol=1e-6)
        await predictor.stop()

    asyncio.run(scenario())


def test_the_process_imports_torch_and_its_client_does_not() -> None:
    script = "import sys, app.prediction.client; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_stopping_ends_the_process_and_fails_what_is_in_flight(tmp_path: Path) -> None:
    version = store_version(tmp_path, hidden=WIDE)

    async def scenario() -> None:
        predictor = Predictor(tmp_path)
        await predictor.start()
        await until(lambda: predictor.alive)
        await ask(predictor, version, inputs(1).numpy())
        pid = predictor.process_id
        large = asyncio.ensure_future(ask(predictor, version, inputs(5000).numpy()))
        await asyncio.sleep(0.05)
        await predictor.stop()
        with pytest.raises(PredictorUnavailable):
            await large
        assert pid is not None
        assert gone(pid)
        assert not predictor.alive

    asyncio.run(scenario())


def test_stopping_at_once_after_starting_leaves_nothing_behind(tmp_path: Path) -> None:
    async def scenario() -> None:
        for turns in range(5):
            predictor = Predictor(tmp_path)
            await predictor.start()
            for _ in range(turns):
                await asyncio.sleep(0)
            await predictor.stop()

    asyncio.run(scenario())


def test_a_process_that_hangs_is_replaced(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    version = store_version(service.home)

    async def scenario(predictor: Predictor) -> None:
        rows = inputs(1).numpy()
        await ask(predictor, version, rows)
        first = predictor.process_id
        assert first is not None
        os.kill(first, signal.SIGSTOP)
        with monkeypatch.context() as patch:
            patch.setattr(client, "SILENCE_SECONDS", 0.5)
            with pytest.raises(PredictorUnavailable):
                await ask(predictor, version, rows)
        await ask(predictor, version, rows)
        assert predictor.process_id != first

    service.run(scenario)


def test_a_request_waits_only_so_long_for_a_process_that_does_not_get_ready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "READY_SECONDS", 0.01)

    async def scenario() -> None:
        predictor = Predictor(tmp_path)
        await predictor.start()
        with pytest.raises(PredictorUnavailable):
            await predictor.predict(ANY_VERSION, inputs(1).numpy())
        await predictor.stop()

    asyncio.run(scenario())


def test_the_process_dies_with_a_server_that_is_killed(tmp_path: Path) -> None:
    script = textwrap.dedent("""
        import asyncio, sys
        from pathlib import Path
        from app.prediction.client import Floats, Predictor

        async def main():
            predictor = Predictor(Path(sys.argv[1]))
            await predictor.start()
            while not predictor.alive:
                await asyncio.sleep(0.01)
            print(predictor.process_id, flush=True)
            await asyncio.sleep(600)

        asyncio.run(main())
    """)
    with subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        pid = int(server.stdout.readline())
        assert not gone(pid)
        server.kill()
        server.wait()
    wait_until(lambda: gone(pid))


def test_a_predictor_that_was_never_started_refuses_at_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        with pytest.raises(PredictorUnavailable):
            await Predictor(tmp_path).predict(ANY_VERSION, inputs(1).numpy())

    asyncio.run(scenario())


def test_requests_of_different_tasks_in_flight_get_each_its_own_answer(service: Service) -> None:
    version = store_version(service.home, model="by-task", forgotten=(1,), learning=BY_TASK)

    async def scenario(predictor: Predictor) -> None:
        tasks = [(None, 0, 1)[index % 3] for index in range(60)]
        rows = [inputs(1 + index % 5, seed=index).numpy() for index in range(60)]
        answers = await asyncio.gather(
            *(predictor.predict(version.key, row, task) for row, task in zip(rows, tasks, strict=True))
        )
        for row, task, answer in zip(rows, tasks, answers, strict=True):
            expected = version.network.probabilities(torch.from_numpy(row), task).detach().numpy()
            np.testing.assert_allclose(answer, expected, atol=1e-6)

    service.run(scenario)

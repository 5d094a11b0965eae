from __future__ import annotations

import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from sqlalchemy import text

from tests.e2e.jobs.conftest import Toys, sqlite_first
from tests.e2e.processes import children_of, descendants_of, is_alive, kill
from tests.waiting import wait_until


@sqlite_first
def test_jobs_end_as_their_handlers_do(toys: Toys) -> None:
    toys.start_worker()
    succeeds, refused, crashes, idle, dies = (
        toys.submit("have_an_effect", steps=1),
        toys.submit("refuse"),
        toys.submit("crash"),
        toys.submit("do_nothing"),
        toys.submit("die"),
    )
    wait_until(toys.all_ended)
    succeeded = toys.job(succeeds)
    assert (succeeded.status, succeeded.attempts, succeeded.result) == ("succeeded", 1, {"fence": 1})
    assert succeeded.progress["fraction"] == 1
    assert toys.effects() == [(str(succeeds), 1)]
    problems = {job: toys.job(job).problem or {} for job in (refused, crashes, idle, dies)}
    assert [problem["type"] for problem in problems.values()] == [
        "/problems/not-applicable",
        "/problems/internal-error",
        "/problems/internal-error",
        "/problems/attempts-exhausted",
    ]
    assert "this toy" in problems[refused]["detail"]
    assert "secret" not in problems[crashes]["detail"]
    assert [toys.job(job).attempts for job in (refused, crashes, idle, dies)] == [1, 1, 1, 5]
    assert sorted(toys.endings()) == sorted((str(job), "failed") for job in problems)


@sqlite_first
def test_two_workers_run_the_jobs_of_one_model_one_after_the_other(toys: Toys) -> None:
    model = toys.new_model()
    jobs = [toys.submit_about(model, "have_an_effect", steps=2) for _ in range(5)]
    for _ in range(2):
        toys.start_worker()
    wait_until(toys.all_ended)
    assert [job for job, _ in toys.effects()] == [str(job) for job in jobs]
    times = [(toys.job(job).started_at, toys.job(job).finished_at) for job in jobs]
    assert all(ended <= started for (_, ended), (started, _) in pairwise(times) if ended and started)


@pytest.mark.parametrize("kind", ["wait_for_file", "ignore_term"])
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_cancelled_job_leaves_neither_process_nor_effect(toys: Toys, tmp_path: Path, kind: str) -> None:
    toys.start_worker()
    job = toys.submit(kind, started=str(tmp_path / "started"), goal=str(tmp_path / "goal"))
    pid = _pid_of(tmp_path / "started-1")
    toys.cancel(job)
    assert toys.wait(job, "cancelled").attempts == 1
    assert not is_alive(pid)
    assert toys.endings() == [(str(job), "cancelled")]
    assert toys.effects() == []


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_worker_told_to_stop_gives_its_jobs_back(toys: Toys, tmp_path: Path) -> None:
    first = toys.start_worker()
    job = toys.submit("wait_for_file", started=str(tmp_path / "started"), goal=str(tmp_path / "goal"))
    pid = _pid_of(tmp_path / "started-1")
    first.terminate()
    assert first.wait() == 0
    row = toys.job(job)
    assert (row.status, row.deaths, row.attempts) == ("queued", 0, 1)
    assert not is_alive(pid)
    (tmp_path / "goal").touch()
    toys.start_worker()
    assert toys.wait(job, "succeeded").attempts == 2


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_nothing_of_an_embedded_worker_outlives_its_server(toys: Toys, tmp_path: Path) -> None:
    job = toys.submit("wait_for_file", started=str(tmp_path / "started"), goal=str(tmp_path / "goal"))
    start = f"import os, subprocess; subprocess.run([*{toys.worker_command()!r}, str(os.getpid())])"
    server = subprocess.Popen([sys.executable, "-c", start])
    _pid_of(tmp_path / "started-1")
    family = descendants_of(server.pid)
    assert len(family) >= 4, "worker, resource tracker, fork server, attempt"
    server.kill()
    server.wait()
    wait_until(lambda: not any(map(is_alive, family)))
    (tmp_path / "goal").touch()
    toys.start_worker()
    row = toys.wait(job, "succeeded")
    assert (row.attempts, row.deaths) == (2, 0)


@pytest.mark.parametrize("victim", ["worker", "fork server", "attempt"])
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_an_attempt_ends_with_those_it_works_for_and_is_made_again(toys: Toys, tmp_path: Path, victim: str) -> None:
    worker = toys.start_worker()
    job = toys.submit("wait_for_file", started=str(tmp_path / "started"), goal=str(tmp_path / "goal"))
    attempt = _pid_of(tmp_path / "started-1")
    fork_server = next(pid for pid in children_of(worker.pid) if attempt in children_of(pid))
    assert len(list(Path(f"/proc/{fork_server}/task").iterdir())) == 1, "only one thread can be forked safely"
    kill({"worker": worker.pid, "fork server": fork_server, "attempt": attempt}[victim])
    wait_until(lambda: not is_alive(attempt))
    if victim == "worker":
        worker.wait()
        wait_until(lambda: not is_alive(fork_server))
        toys.start_worker()
    (tmp_path / "goal").touch()
    row = toys.wait(job, "succeeded")
    assert (row.attempts, row.deaths) == (2, 1 if victim == "attempt" else 0)
    assert toys.effects() == [(str(job), 2)]


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_an_attempt_that_finds_the_database_locked_gives_its_job_back_which_is_no_death(
    toys: Toys, tmp_path: Path
) -> None:
    toys.start_worker()
    refused, goal = tmp_path / "refused", tmp_path / "goal"
    job = toys.submit("wait_for_no_lock", started=str(tmp_path / "started"), goal=str(goal), refused=str(refused))
    _pid_of(tmp_path / "started-1")
    with toys.database.writing() as session:
        session.execute(text("SELECT 1"))
        goal.touch()
        wait_until(refused.exists)
    row = toys.wait(job, "succeeded")
    assert (row.attempts, row.deaths) == (2, 0)
    assert toys.effects() == [(str(job), 2)]


@pytest.mark.parametrize("end", ["failure", "cancel", "death of the attempt", "death of the worker"])
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_an_attempt_that_is_over_leaves_nothing_staged(toys: Toys, tmp_path: Path, end: str) -> None:
    worker = toys.start_worker()
    job = toys.submit("stage", started=str(tmp_path / "started"), goal=str(tmp_path / "goal"))
    attempt = _pid_of(tmp_path / "started-1")
    staged = toys.settings.home / "staging" / f"{job}-1"
    assert staged.is_dir()
    match end:
        case "failure":
            (tmp_path / "goal").touch()
        case "cancel":
            toys.cancel(job)
        case "death of the attempt":
            kill(attempt)
        case _:
            kill(worker.pid)
            toys.start_worker()
    wait_until(lambda: not staged.exists())
    (tmp_path / "goal").touch()
    toys.wait(job, "cancelled" if end == "cancel" else "failed")
    wait_until(lambda: not any((toys.settings.home / "staging").iterdir()))


@sqlite_first
def test_a_frozen_owners_late_write_is_refused(toys: Toys, tmp_path: Path) -> None:
    frozen = toys.start_worker(lease_seconds=2)
    job = toys.submit("wait_for_file", started=str(tmp_path / "started"), goal=str(tmp_path / "goal"))
    first = _pid_of(tmp_path / "started-1")
    kill(first, signal.SIGSTOP)
    kill(frozen.pid, signal.SIGSTOP)
    toys.start_worker(lease_seconds=2)
    _pid_of(tmp_path / "started-2")
    (tmp_path / "goal").touch()
    row = toys.wait(job, "succeeded")
    kill(first, signal.SIGCONT)
    wait_until(lambda: not is_alive(first))
    kill(frozen.pid, signal.SIGCONT)
    assert toys.effects() == [(str(job), 2)]
    after = toys.job(job)
    assert (row.fence, after.fence, after.result, after.revision) == (2, 2, {"fence": 2}, row.revision)


def _pid_of(path: Path) -> int:
    """The pid that an attempt wrote, once it did."""
    wait_until(lambda: path.exists() and bool(path.read_text()))
    return int(path.read_text())

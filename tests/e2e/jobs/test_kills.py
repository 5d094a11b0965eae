from __future__ import annotations

import random
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.e2e.jobs.conftest import Toys, children_of, is_alive, kill


def test_every_job_ends_once_whatever_is_killed(toys: Toys) -> None:
    _kill_while_jobs_run(toys, jobs=8, kills=6, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_every_job_ends_once_whatever_is_killed_many_times(toys: Toys, seed: int) -> None:
    _kill_while_jobs_run(toys, jobs=60, kills=60, seed=seed)


def _kill_while_jobs_run(toys: Toys, jobs: int, kills: int, seed: int) -> None:
    """Kill attempts, fork servers and workers with SIGKILL at random moments, replacing dead workers, then let all end."""
    chance = random.Random(seed)
    models = [toys.new_model() for _ in range(4)]
    submitted = [toys.submit_about(chance.choice(models), "have_an_effect", steps=10) for _ in range(jobs)]
    workers = [toys.start_worker() for _ in range(2)]
    landed: Counter[str] = Counter()
    while landed.total() < kills or not toys.all_ended():
        if toys.all_ended():
            submitted.append(toys.submit_about(models[0], "have_an_effect", steps=10))
        workers = [toys.start_worker() if worker.poll() is not None else worker for worker in workers]
        time.sleep(chance.uniform(0.02, 0.3))
        family = [_family(worker.pid) for worker in workers]
        # Once an attempt runs, so that the kill hits work; rarely the worker, whose successor must load everything anew.
        targets = [member for members in family if members["attempt"] for member in members.items()]
        if targets and landed.total() < kills:
            name, pids = chance.choices(
                targets, [{"attempt": 6, "fork server": 2, "worker": 2}[n] for n, _ in targets]
            )[0]
            kill(chance.choice(pids))
            landed[name] += 1
    _assert_ended_exactly_once(toys, [str(job) for job in submitted])
    assert sum(toys.job(job).attempts for job in submitted) > len(submitted), "no kill landed"


def _assert_ended_exactly_once(toys: Toys, jobs: list[str]) -> None:
    effects, endings = toys.effects(), toys.endings()
    # Whom five kills of its own attempts hit, has failed; every other job has had its effect.
    assert sorted([job for job, _ in effects] + [job for job, _ in endings]) == sorted(jobs)
    assert {status for _, status in endings} <= {"failed"}


def _family(worker: int) -> dict[str, list[int]]:
    """The living processes of a worker: itself, its fork server, and the attempts forked from that."""
    fork_servers = [pid for pid in children_of(worker) if "forkserver" in _command_line(pid)]
    attempts = [pid for server in fork_servers for pid in children_of(server) if is_alive(pid)]
    return {"worker": [worker], "fork server": fork_servers, "attempt": attempts}


def _command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""

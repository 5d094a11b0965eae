from __future__ import annotations

import random
import time

import pytest

from tests.e2e.jobs.conftest import Toys, sqlite_first
from tests.e2e.processes import assert_no_process_is_left, family_of, freeze, kill, thaw
from tests.waiting import wait_until


@sqlite_first
def test_every_job_ends_once_whatever_is_killed(toys: Toys) -> None:
    _kill_while_jobs_run(toys, jobs=8, kills=6, seed=1)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(3))
def test_every_job_ends_once_whatever_is_killed_many_times(toys: Toys, seed: int) -> None:
    _kill_while_jobs_run(toys, jobs=60, kills=60, seed=seed)


@pytest.mark.slow
def test_every_job_ends_once_whatever_is_killed_while_it_starts(toys: Toys) -> None:
    _kill_what_starts(toys, rounds=1, seed=1)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(3))
def test_every_job_ends_once_whatever_is_killed_while_it_starts_many_times(toys: Toys, seed: int) -> None:
    _kill_what_starts(toys, rounds=12, seed=seed)


def _kill_what_starts(toys: Toys, rounds: int, seed: int) -> None:
    """Kill workers, fork servers and attempts with SIGKILL a random moment after they came to be, then let all end."""
    chance = random.Random(seed)
    model = toys.new_model()
    submitted = []
    for victim in ("worker", "fork server", "attempt") * rounds:
        submitted.append(toys.submit_about(model, "have_an_effect", steps=10))
        worker = toys.start_worker().pid
        kill(_just_started(worker, victim, chance))
        if victim == "worker":
            toys.wait_for_worker(worker)
        toys.replace_dead_workers()
        wait_until(toys.all_ended)
        toys.stop_workers()
    assert_no_process_is_left(toys.settings.home)
    _assert_ended_exactly_once(toys, [str(job) for job in submitted])


def _just_started(worker: int, victim: str, chance: random.Random) -> int:
    """The process to kill, which may be importing, waiting or at work by now."""
    match victim:
        case "worker":
            time.sleep(chance.uniform(0, 4))
            return worker
        case "fork server":
            wait_until(lambda: bool(family_of(worker).fork_servers))
            (started, *_), most = family_of(worker).fork_servers, 3.0
        case _:
            wait_until(lambda: bool(family_of(worker).attempts))
            (started, *_), most = family_of(worker).attempts, 0.3
    time.sleep(chance.uniform(0, most))
    return started


def _kill_while_jobs_run(toys: Toys, jobs: int, kills: int, seed: int) -> None:
    """Kill attempts, fork servers and workers with SIGKILL at random moments, replacing dead workers, then let all end."""
    chance = random.Random(seed)
    models = [toys.new_model() for _ in range(4)]
    submitted = [toys.submit_about(chance.choice(models), "have_an_effect", steps=10) for _ in range(jobs)]
    victims = [kind for kind, weight in (("attempt", 6), ("fork server", 2), ("worker", 2)) for _ in range(weight)]
    for _ in range(2):
        toys.start_worker()
    killed = landed = 0
    while killed < kills or not toys.all_ended():
        if toys.all_ended():
            submitted.append(toys.submit_about(models[0], "have_an_effect", steps=10))
        toys.replace_dead_workers()
        time.sleep(chance.uniform(0.02, 0.3))
        if killed < kills and (hits := _kill_at_work(toys, chance, chance.choice(victims))):
            killed, landed = killed + 1, landed + hits
    _assert_ended_exactly_once(toys, [str(job) for job in submitted])
    # Every attempt was lost or had its job's effect; a job that failed has lost all of its attempts.
    assert sum(toys.job(job).attempts for job in submitted) - len(toys.effects()) >= landed


def _kill_at_work(toys: Toys, chance: random.Random, victim: str) -> int:
    """Kill one process of a worker whose attempts are in mid-work; how many jobs lost their attempt, 0 for no kill.

    The attempts are frozen first, and all must be at work: one that is about to commit may already have asked the
    database server for it, which frozen or killed it cannot take back.
    """
    families = [family_of(worker.pid) for worker in toys.workers if worker.poll() is None]
    attempts = [pid for family in families for pid in family.attempts]
    freeze(attempts)
    running = toys.running()
    if not attempts or len(attempts) != len(running) or set(running.values()) != {"working"}:
        thaw(attempts)
        return 0
    family = chance.choice([family for family in families if family.attempts])
    match victim:
        case "attempt":
            kill(chance.choice(family.attempts))
        case "fork server":
            kill(family.fork_servers[0])
        case _:
            kill(family.worker)
            toys.wait_for_worker(family.worker)
    thaw(attempts)
    toys.replace_dead_workers()
    wait_until(lambda: not running.keys() & toys.running().keys())  # every one has ended, or began again
    return 1 if victim == "attempt" else len(family.attempts)


def _assert_ended_exactly_once(toys: Toys, jobs: list[str]) -> None:
    effects, endings = toys.effects(), toys.endings()
    # Whom five kills of its own attempts hit, has failed; every other job has had its effect.
    assert sorted([job for job, _ in effects] + [job for job, _ in endings]) == sorted(jobs)
    assert {status for _, status in endings} <= {"failed"}

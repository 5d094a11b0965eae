"""How many threads a job takes, by network, cores, quotas and the jobs beside it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.jobs.threads import is_small, job_threads, usable_cores
from app.specs.architectures import Architecture, Cnn, Gru, Mlp, Torchvision


@pytest.mark.parametrize(
    ("architecture", "small"),
    [
        (Mlp(hidden=(128,)), True),
        (Mlp(hidden=()), True),
        (Mlp(hidden=(128, 2048)), False),
        (Cnn(channels=(16, 32), hidden=128), True),
        (Cnn(channels=(16, 32), hidden=4096), False),
        (Gru(hidden=(64,)), True),
        (Torchvision("resnet18"), False),
    ],
)
def test_small_networks_are_those_without_a_wide_layer(architecture: Architecture, *, small: bool) -> None:
    assert is_small(architecture) is small


@pytest.mark.parametrize(("cores", "at_once", "threads"), [(1, 2, 1), (2, 2, 1), (9, 2, 4), (64, 2, 31), (9, 1, 8)])
def test_large_networks_share_the_cores_that_predictions_leave(cores: int, at_once: int, threads: int) -> None:
    assert job_threads(Torchvision("resnet18"), jobs_at_once=at_once, cores=cores) == threads
    assert job_threads(Mlp(hidden=(128,)), jobs_at_once=at_once, cores=cores) == 1


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """Where the kernel says in which cgroup this process is."""
    file = tmp_path / "own"
    file.write_text("0::/service/worker\n")
    return file


def quota(folder: Path, content: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cpu.max").write_text(content)


def test_a_quota_of_the_cgroup_or_of_one_around_it_bounds_the_cores(tmp_path: Path, own: Path) -> None:
    cgroups = tmp_path / "cgroup"
    here = len(os.sched_getaffinity(0))
    assert usable_cores(cgroups, own) == here
    quota(cgroups / "service/worker", "max 100000\n")
    assert usable_cores(cgroups, own) == here
    quota(cgroups / "service", "50000 100000\n")
    assert usable_cores(cgroups, own) == 1
    quota(cgroups / "service", f"{here * 100000 + 50000} 100000\n")
    assert usable_cores(cgroups, own) == here
    quota(cgroups / "service/worker", "100000 100000\n")
    assert usable_cores(cgroups, own) == 1


def test_a_quota_of_the_first_kind_of_cgroups_bounds_the_cores(tmp_path: Path, own: Path) -> None:
    folder = tmp_path / "cgroup/cpu"
    folder.mkdir(parents=True)
    (folder / "cpu.cfs_period_us").write_text("100000\n")
    (folder / "cpu.cfs_quota_us").write_text("100000\n")
    assert usable_cores(tmp_path / "cgroup", own) == 1
    (folder / "cpu.cfs_quota_us").write_text("-1\n")
    assert usable_cores(tmp_path / "cgroup", own) == len(os.sched_getaffinity(0))


def test_affinity_bounds_the_cores() -> None:
    core = min(os.sched_getaffinity(0))
    program = f"import os; os.sched_setaffinity(0, {{{core}}}); from app.jobs.threads import usable_cores; print(usable_cores())"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout == "1\n"

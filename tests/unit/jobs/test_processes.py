from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from app.jobs.processes import is_dead, name_of, parent_of


def test_a_living_process_is_not_dead() -> None:
    assert not is_dead(name_of(os.getpid()))


def test_a_process_that_ended_is_dead_also_before_it_is_waited_for() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        name = name_of(process.pid)
        assert parent_of(process.pid) == os.getpid()
        process.kill()
        while not is_dead(name):
            time.sleep(0.001)
        assert process.returncode is None
    assert is_dead(name)
    with pytest.raises(ProcessLookupError):
        name_of(process.pid)


def test_a_process_that_reuses_the_pid_is_another_one() -> None:
    host, pid, started, place = name_of(os.getpid()).split(":", 3)
    assert is_dead(f"{host}:{pid}:{int(started) - 1}:{place}")


@pytest.mark.parametrize("part", [0, 3])
def test_of_a_process_elsewhere_nothing_is_known(part: int) -> None:
    parts = name_of(os.getpid()).split(":", 3)
    parts[2] = "1"
    assert is_dead(":".join(parts))
    parts[part] = "elsewhere"
    assert not is_dead(":".join(parts))

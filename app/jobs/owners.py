"""Who owns a running job: a process named so that another process can tell whether it still lives."""

from __future__ import annotations

import socket
from functools import cache
from pathlib import Path

_PROC = Path("/proc")


def owner_of(pid: int) -> str:
    """The name of a living process: host, pid, start time, boot and pid namespace; ProcessLookupError if it is dead."""
    started = started_at(pid)
    if started is None:
        raise ProcessLookupError(pid)
    return f"{socket.gethostname()}:{pid}:{started}:{_machine()}"


def is_dead(owner: str) -> bool:
    """Whether that process is surely dead; False for one on another machine or in another container, where we cannot look."""
    host, pid, started, machine = owner.split(":", 3)
    if (host, machine) != (socket.gethostname(), _machine()):
        return False
    return started_at(int(pid)) != int(started)


def started_at(pid: int) -> int | None:
    """When a process started, in clock ticks since boot; None for none and for a zombie. Tells a reused pid apart."""
    fields = _status(pid)
    return None if fields is None or fields[0] in "ZX" else int(fields[19])


def parent_of(pid: int) -> int | None:
    """The pid of a process's parent; None if there is no such process."""
    fields = _status(pid)
    return None if fields is None else int(fields[1])


def _status(pid: int) -> list[str] | None:
    """Fields 3 (state) and up of /proc/pid/stat, see proc_pid_stat(5); the name in field 2 may hold anything."""
    try:
        return (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


@cache
def _machine() -> str:
    """One boot of one kernel, and the pid namespace in which our numbers mean something."""
    boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
    return f"{boot}:{Path('/proc/self/ns/pid').readlink()}"

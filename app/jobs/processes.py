"""Processes by a name that is never reused, so that any process can tell whether another one still lives."""

from __future__ import annotations

import os
import socket
from functools import cache
from pathlib import Path

_PROC = Path("/proc")


def name_of(pid: int) -> str:
    """Host, pid, start time, boot and pid namespace of a living process; ProcessLookupError if it is dead."""
    started = _started_at(pid)
    if started is None:
        raise ProcessLookupError(pid)
    return f"{socket.gethostname()}:{pid}:{started}:{_place()}"


def is_dead(name: str) -> bool:
    """Whether the process is surely dead; False where we cannot look: another machine, another container."""
    host, pid, started, place = name.split(":", 3)
    if (host, place) != (socket.gethostname(), _place()):
        return False
    return _started_at(int(pid)) != int(started) and not _is_hidden(int(pid))


def parent_of(pid: int) -> int:
    """The pid of a living process's parent; ProcessLookupError if the process is dead."""
    fields = _status(pid)
    if fields is None:
        raise ProcessLookupError(pid)
    return int(fields[1])


def _started_at(pid: int) -> int | None:
    """When a process started, in clock ticks since boot, which tells a reused pid apart; None if dead or a zombie."""
    fields = _status(pid)
    return None if fields is None or fields[0] in "ZX" else int(fields[19])


def _status(pid: int) -> list[str] | None:
    """Fields 3 (state) and up of /proc/pid/stat, see proc_pid_stat(5); the name in field 2 may hold anything."""
    try:
        return (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def _is_hidden(pid: int) -> bool:
    """Whether the process belongs to another user, whose processes a /proc mounted with hidepid does not show."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except ProcessLookupError:
        return False
    return False


@cache
def _place() -> str:
    """The name of one boot of one kernel, and of the pid namespace in which our numbers mean something."""
    boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
    return f"{boot}:{Path('/proc/self/ns/pid').readlink()}"

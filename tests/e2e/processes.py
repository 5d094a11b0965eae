"""Processes seen from outside: who belongs to whom, who lives, and what a worker consists of."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.waiting import wait_until


def children_of(pid: int) -> list[int]:
    """The pids of a process's children."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def descendants_of(pid: int) -> list[int]:
    """The pids of a process's children, their children and so on: resource tracker, fork server, attempts."""
    return [found for child in children_of(pid) for found in (child, *descendants_of(child))]


def command_line_of(pid: int) -> list[str]:
    """The words that the process was started with; none if it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
    except (FileNotFoundError, ProcessLookupError):
        return []


def modules_of(pid: int) -> dict[str, int]:
    """The pids of a process's children by the module that each runs."""
    commands = {child: command_line_of(child) for child in children_of(pid)}
    return {command[command.index("-m") + 1]: child for child, command in commands.items() if "-m" in command}


def state_of(pid: int) -> str:
    """One letter, see proc_pid_stat(5); X if the process is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "X"


def is_alive(pid: int) -> bool:
    """Whether the process exists and is no zombie."""
    return state_of(pid) not in "ZX"


def kill(pid: int, number: signal.Signals = signal.SIGKILL) -> None:
    """Signal a process that may be gone."""
    with suppress(ProcessLookupError):
        os.kill(pid, number)


@dataclass(frozen=True)
class Family:
    """A worker, its fork servers (one, but for a moment after a death), and the attempts that run."""

    worker: int
    fork_servers: list[int]
    attempts: list[int]


def family_of(worker: int) -> Family:
    """The living processes of a worker."""
    fork_servers = [pid for pid in children_of(worker) if any("forkserver" in word for word in command_line_of(pid))]
    attempts = [pid for server in fork_servers for pid in children_of(server) if is_alive(pid)]
    return Family(worker, fork_servers, attempts)


def freeze(pids: list[int]) -> None:
    """Stop processes where they are; returns when none of them computes any more."""
    for pid in pids:
        kill(pid, signal.SIGSTOP)
    wait_until(lambda: all(state_of(pid) in "TZX" for pid in pids))


def thaw(pids: list[int]) -> None:
    """Let frozen processes go on."""
    for pid in pids:
        kill(pid, signal.SIGCONT)


def processes_of(home: Path) -> dict[int, list[str]]:
    """The command lines of the living processes whose environment names this home, by pid."""
    found = {}
    for folder in Path("/proc").iterdir():
        with suppress(FileNotFoundError, PermissionError, ProcessLookupError):
            named = folder.name.isdigit() and int(folder.name) != os.getpid()
            if named and f"FORGETTERY_HOME={home}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                found[int(folder.name)] = command_line_of(int(folder.name))
    return found


def assert_no_process_is_left(home: Path) -> None:
    """All end. The fork server of a worker does so by itself, but only when it has loaded torch."""
    wait_until(lambda: not processes_of(home))

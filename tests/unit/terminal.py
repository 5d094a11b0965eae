"""A command with a terminal of a given width for its standard output."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.unit.recorder import Recorder
from tests.waiting import HANGS_AFTER

ROOT = Path(__file__).parents[2]


def on_terminal(recorder: Recorder, *arguments: str, columns: int = 80) -> list[str]:
    """The lines that a command prints for whoever sits in front of it."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "app.cli", *arguments, "--url", recorder.url],
        cwd=ROOT,
        env=os.environ | {"COLUMNS": str(columns), "TERM": "dumb"},
        stdin=subprocess.DEVNULL,
        stdout=slave,
        stderr=subprocess.PIPE,
    )
    os.close(slave)
    printed = b""
    with process, os.fdopen(master, "rb", buffering=0) as screen:
        try:
            while part := screen.read(4096):
                printed += part
        except OSError:
            pass  # how Linux says that the other end of a terminal is closed
        assert process.stderr is not None
        said = process.stderr.read().decode()
    assert process.returncode == 0, said
    return printed.decode().splitlines()


def interrupted(recorder: Recorder, *arguments: str, when: Callable[[], bool]) -> tuple[int, str]:
    """Exit code and standard error of a command to which Ctrl-C is sent once `when` holds."""
    process = subprocess.Popen(
        [sys.executable, "-m", "app.cli", *arguments, "--url", recorder.url],
        cwd=ROOT,
        env=os.environ | {"COLUMNS": "200"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not when():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=HANGS_AFTER)
    return process.returncode, said

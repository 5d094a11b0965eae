"""Processes that do not outlive the one they work for."""

from __future__ import annotations

import ctypes
import fcntl
import os
import select
import signal
import sys

_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
_ORPHANED = 97
"""Exit status of a process whose parent was gone before the guard stood."""

_libc = ctypes.CDLL(None, use_errno=True)


def end_with_parent(parent: int) -> None:
    """Have the kernel kill this process when the thread that made it ends; `parent` is the pid it must belong to.

    To be called before anything slow is done, with a pid that the parent itself has told: once the parent is dead,
    `os.getppid()` names another process. See PR_SET_PDEATHSIG(2const). Start such a process only from a thread that
    lives as long as the starting process itself. Other systems than Linux only tell whether the parent is already
    gone.
    """
    if sys.platform == "linux" and _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent:  # it died before the signal was armed
        os._exit(_ORPHANED)


def end_with_writer(descriptor: int) -> None:
    """Have the kernel kill this process when the other end of a pipe is closed, also while C code holds the GIL.

    Linux only. See F_SETSIG(2const): O_ASYNC sends the signal to the owner of the descriptor when it becomes readable.
    """
    fcntl.fcntl(descriptor, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(descriptor, fcntl.F_SETFL, fcntl.fcntl(descriptor, fcntl.F_GETFL) | os.O_ASYNC)
    closed = select.poll()
    closed.register(descriptor, select.POLLIN)
    if closed.poll(0):  # it was closed before the signal was armed
        os._exit(_ORPHANED)

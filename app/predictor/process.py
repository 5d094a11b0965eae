"""The predictor process: `python -m app.predictor.process <socket> <parent> <home>`."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import sys
from pathlib import Path

import structlog

from app import logs

_PR_SET_PDEATHSIG = 1

_logger = structlog.get_logger(__name__)


def die_with(parent: int) -> None:
    """End this process with its parent, also when it is killed and even while a long C call runs.

    Before anything slow is done. The check afterwards closes the gap in which the parent died before this was armed.
    On other systems than Linux the closed connection ends the loop, after the batch in work.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(0)


def main(connection: int, parent: int, home: Path) -> None:
    """Serve the models under `home` over an inherited socket."""
    die_with(parent)
    # Ctrl-C and a service manager's SIGTERM go to the whole group; the server drains first, then closes the connection.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    logs.configure("warning")  # the process has nothing else to say: requests are logged by the server
    from app.predictor.loaded import LoadedVersions, one_thread  # noqa: PLC0415  torch takes seconds: not before that
    from app.predictor.loop import Loop  # noqa: PLC0415  likewise

    one_thread()
    try:
        Loop(socket.socket(fileno=connection), LoadedVersions(home)).run()
    except Exception:
        _logger.exception("predictor_failed")
        sys.exit(1)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))

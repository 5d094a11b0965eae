"""The predictor process: `python -m app.prediction.process <socket> <parent> <home>`."""

from __future__ import annotations

import signal
import socket
import sys
from pathlib import Path

import structlog

from app import logs
from app.processes.lifelines import end_with_parent

_logger = structlog.get_logger(__name__)


def main(connection: int, parent: int, home: Path) -> None:
    """Serve the models under `home` over an inherited socket.

    Where the kernel does not end it with its parent, the closed connection ends the loop, after the batch in work.
    """
    end_with_parent(parent)
    # Ctrl-C and a service manager's SIGTERM go to the whole group; the server drains first, then closes the connection.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    logs.configure("warning")  # the process has nothing else to say: requests are logged by the server
    from app.prediction.loaded import LoadedVersions, one_thread  # noqa: PLC0415  torch takes seconds: not before that
    from app.prediction.loop import Loop  # noqa: PLC0415  for the same reason

    one_thread()
    try:
        Loop(socket.socket(fileno=connection), LoadedVersions(home)).run()
    except Exception:
        _logger.exception("predictor_failed")
        sys.exit(1)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))

"""The worker that a server starts for itself: `python -m app.service.worker_process <server>`, with the server's pid."""

from __future__ import annotations

import sys

from app.processes.lifelines import end_with_parent


def main(server: int) -> None:
    """Compute jobs until SIGTERM or the end of the server, also while this process is still starting."""
    end_with_parent(server)
    from app.service.worker import work  # noqa: PLC0415  for the same reason
    from app.settings import Settings  # noqa: PLC0415  the imports take seconds: not before the lifeline is tied

    work(Settings())


if __name__ == "__main__":
    main(int(sys.argv[1]))

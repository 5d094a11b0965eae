"""A server at rest and its first work: start, memory when idle, and how long a job takes from request to effect."""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx

from app.jobs.processes import parent_of
from benchmarks.serving.jobs import measure_waits
from benchmarks.serving.running import running_server, wait
from benchmarks.study import Study, machine
from benchmarks.writing import section, table, write

STUDY = Study(
    "serving.server",
    "a server's start, its memory when idle, and how long jobs wait and take",
    "docs/benchmarks/server.md and server.json",
    minutes=3,
    gibibytes=2,
)

_IDLE_SECONDS = 5.0


def measure_start(home: Path) -> dict[str, Any]:
    """Seconds from the command to each kind of readiness, and the memory of every process when all are idle."""
    started = time.perf_counter()
    with running_server(home) as url, httpx.Client(base_url=url) as http:
        alive = _until(http, "/healthz", started)
        ready = _until(http, "/readyz", started)
        time.sleep(_IDLE_SECONDS)
        server = int(json.loads((home / "server.json").read_text())["pid"])
        memory = {_role(pid): _memory(pid) for pid in _family(server)}
    return {"alive_seconds": alive, "ready_seconds": ready, "memory_mib": memory}


def _until(http: httpx.Client, path: str, started: float) -> float:
    while http.get(path).status_code != httpx.codes.OK:
        time.sleep(0.02)
    return round(time.perf_counter() - started, 2)


def _family(ancestor: int) -> list[int]:
    """The process and all that descend from it."""
    parents = {int(folder.name): parent_of(int(folder.name)) for folder in Path("/proc").glob("[0-9]*")}
    family = [ancestor]
    for pid in family:
        family += [child for child, parent in parents.items() if parent == pid]
    return family


def _role(pid: int) -> str:
    command = (Path("/proc") / str(pid) / "cmdline").read_text().replace("\0", " ")
    roles = {"app.prediction": "predictor", "worker_process": "worker", "forkserver": "fork server", " serve": "API"}
    return next((role for mark, role in roles.items() if mark in command), "resource tracker")


def _memory(pid: int) -> dict[str, float]:
    """MiB, from proc_pid_smaps(5)."""
    lines = (Path("/proc") / str(pid) / "smaps_rollup").read_text().splitlines()[1:]
    kibibytes = {line.split()[0]: int(line.split()[1]) for line in lines}
    return {"resident": round(kibibytes["Rss:"] / 1024, 1), "own_share": round(kibibytes["Pss:"] / 1024, 1)}


def measure_work(home: Path) -> dict[str, float]:
    """Seconds of the default training and the default forget request, as who asks over HTTP sees them."""
    with running_server(home) as url, httpx.Client(base_url=url, timeout=60) as http:
        _until(http, "/readyz", time.perf_counter())
        trained = _seconds_of(http, "/v1/models", {"name": "digits", "dataset": "mnist"})
        forgotten = _seconds_of(http, "/v1/models/digits/forget", {"target": {"classes": [2]}})
        zeroed = _seconds_of(http, "/v1/models/digits/forget", {"target": {"classes": [5]}, "refusal": "calibrate"})
    return {"train": trained, "forget by push": forgotten, "forget by calibrate": zeroed}


def _seconds_of(http: httpx.Client, path: str, body: dict[str, Any]) -> float:
    started = time.perf_counter()
    job = http.post(path, json=body).raise_for_status().json()["job"]
    wait(http, f"/v1/jobs/{job['id']}", seconds=0.02)
    return round(time.perf_counter() - started, 2)


def report(figures: dict[str, Any]) -> str:
    """The figures as Markdown."""
    starts, waits = figures["starts"], figures["waits"]
    memory = [[role, *found.values()] for role, found in starts[-1]["memory_mib"].items()]
    lines = [
        *section(
            "# The server",
            f"{figures['cores']} cores, SQLite. Written by `{STUDY.command}`; raw figures:\n[server.json](server.json).",
        ),
        *section(
            "## Start",
            f"Median of {len(starts)}: {_median(starts, 'alive_seconds')} s from the command to the first answer,\n"
            f"{_median(starts, 'ready_seconds')} s until predictor and worker are ready, too.",
        ),
        *section("## Memory when idle", "MiB. *Own share* counts a page that several processes share in parts (PSS)."),
        *table(["process", "resident", "own share"], memory),
        *section(
            "## Jobs",
            f"From the commit that queued a job to the end of its first torch operation, {waits['jobs']} jobs, one at a time:\n"
            f"p50 {waits['p50_ms']} ms, p99 {waits['p99_ms']} ms; the first one, which waits for torch to be loaded,\n"
            f"{waits['first_seconds']} s.",
            "Default requests over HTTP (mlp, MNIST), from sending to the end of the job, data set and measuring included:",
        ),
        *table(["request", "seconds"], figures["work"].items()),
    ]
    return "\n".join(lines)


def _median(starts: list[dict[str, Any]], name: str) -> float:
    return round(float(statistics.median(start[name] for start in starts)), 2)


def main() -> None:
    """Measure and write."""
    parser = STUDY.parser("docs/benchmarks")
    parser.add_argument("--starts", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=50)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        homes = [Path(folder) / str(number) for number in range(asked.starts + 2)]
        for home in homes:
            home.mkdir()
        figures = {
            "cores": machine()["cores"],
            "starts": [measure_start(home) for home in homes[2:]],
            "waits": measure_waits(str(homes[0]), asked.jobs),
            "work": measure_work(homes[1]),
        }
    write(asked.output / "server.json", figures)
    write(asked.output / "server.md", report(figures))


if __name__ == "__main__":
    main()

"""What Prometheus is told, in a registry of this application alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from app.schemas import JobStatus


class Metrics:
    """Counters of one server process; `jobs` is read from the database when somebody asks."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        labels = ["route", "method", "status"]
        self._requests = Counter(
            "forgettery_requests", "Requests answered, by route template.", labels, registry=self._registry
        )
        self._seconds = Histogram(
            "forgettery_request_seconds",
            "Seconds until the whole answer was sent, by route template.",
            ["route", "method"],
            registry=self._registry,
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
        )
        self._predictions = Counter(
            "forgettery_predictions",
            "Inputs classified, by whether the answer was that their class is forgotten.",
            ["forgotten"],
            registry=self._registry,
        )
        self._jobs = Gauge("forgettery_jobs", "Jobs in the database, by status.", ["status"], registry=self._registry)

    def request(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count one answered request."""
        self._requests.labels(route, method, status).inc()
        self._seconds.labels(route, method).observe(seconds)

    def predictions(self, *, forgotten: int, known: int) -> None:
        """Count classified inputs."""
        self._predictions.labels("true").inc(forgotten)
        self._predictions.labels("false").inc(known)

    def render(self, jobs: Mapping[str, int]) -> bytes:
        """Everything in Prometheus's text format, with these numbers of jobs by status."""
        for status in get_args(JobStatus):
            self._jobs.labels(status).set(jobs.get(status, 0))
        return generate_latest(self._registry)

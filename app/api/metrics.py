"""What Prometheus is told, in a registry of this application alone."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from typing import get_args

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    Info,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from app import __version__
from app.contract.jobs import JobStatus
from app.contract.verifying import Verdict
from app.operations.administration.figures import BOUNDS, Figures


class Metrics:
    """Counters of one server process; figures of the database are looked up when somebody asks."""

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
        build = Info("forgettery_build", "The version of Forgettery and of Python.", registry=self._registry)
        build.info({"version": __version__, "python": platform.python_version()})
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)

    def request(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count one answered request."""
        self._requests.labels(route, method, status).inc()
        self._seconds.labels(route, method).observe(seconds)

    def predictions(self, *, forgotten: int, known: int) -> None:
        """Count classified inputs."""
        self._predictions.labels("true").inc(forgotten)
        self._predictions.labels("false").inc(known)

    def render(self, figures: Figures) -> bytes:
        """Everything in Prometheus's text format, with these figures of the database."""
        of_the_database = CollectorRegistry()
        of_the_database.register(_OfTheDatabase(figures))
        return generate_latest(self._registry) + generate_latest(of_the_database)


class _OfTheDatabase(Collector):
    """The figures of one look, the same whichever server is asked."""

    def __init__(self, figures: Figures) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        """Every family."""
        yield self._jobs()
        yield self._durations()
        yield GaugeMetricFamily(
            "forgettery_queue_age_seconds",
            "Seconds since the oldest job was asked for that could run and waits for a worker; 0: there is none.",
            value=self._figures.queue_age,
        )
        yield self._verdicts()

    def _jobs(self) -> Metric:
        family = GaugeMetricFamily("forgettery_jobs", "Jobs in the database, by status.", labels=["status"])
        for status in get_args(JobStatus):
            family.add_metric([status], self._figures.jobs.get(status, 0))
        return family

    def _durations(self) -> Metric:
        family = HistogramMetricFamily(
            "forgettery_job_seconds",
            "Seconds from a job's first start to its end, of all jobs in the database, by kind and outcome.",
            labels=["kind", "outcome"],
        )
        for found in self._figures.durations:
            bounds = [(str(float(bound)), count) for bound, count in zip(BOUNDS, found.up_to, strict=True)]
            family.add_metric([found.kind, found.outcome], [*bounds, ("+Inf", found.count)], found.seconds)
        return family

    def _verdicts(self) -> Metric:
        family = CounterMetricFamily(
            "forgettery_verdicts", "Verdicts in the database, by what was judged.", labels=["of", "verdict"]
        )
        for judged in ("forget_request", "verification"):
            for verdict in get_args(Verdict):
                family.add_metric([judged, verdict], self._figures.verdicts.get((judged, verdict), 0))
        return family

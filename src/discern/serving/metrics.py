"""What a server counts and times, for Prometheus."""

import os

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    multiprocess,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from discern import __version__

SECONDS = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 5, 10, 30)
WAITS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
BATCHES = (1, 2, 4, 8, 16, 32, 64, 128)


class Metrics:
    """One server's numbers, in a registry of their own.

    Where a server has several processes (`processes.py`), they share what they have counted.
    """

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)  # memory, cores, open files
        build = Gauge(
            "discern_build_info",
            "The version running.",
            ["version"],
            registry=registry,
            multiprocess_mode="livemax",
        )
        build.labels(__version__).set(1)
        self._requests = Counter(
            "discern_requests", "Requests answered.", ["route", "status"], registry=registry
        )
        self._seconds = Histogram(
            "discern_request_seconds",
            "From a request's head to its answer.",
            ["route"],
            buckets=SECONDS,
            registry=registry,
        )
        self._errors = Counter(
            "discern_errors",
            "Requests or pictures refused or failed.",
            ["kind"],
            registry=registry,
        )
        self._waits = Histogram(
            "discern_queue_seconds",
            "How long work waited for a thread.",
            buckets=WAITS,
            registry=registry,
        )
        self._batches = Histogram(
            "discern_batch_size",
            "Pictures that went through the engine together.",
            buckets=BATCHES,
            registry=registry,
        )
        self._pictures = Counter(
            "discern_pictures", "Pictures answered.", ["model", "version"], registry=registry
        )
        self._unknown = Counter(
            "discern_unknown_pictures",
            "Pictures that are none of the classes.",
            ["model", "version"],
            registry=registry,
        )
        self._models = Gauge(
            "discern_model_info",
            "The versions served.",
            ["model", "version"],
            registry=registry,
            multiprocess_mode="livemax",
        )
        self._failures = Counter(
            "discern_model_load_failures",
            "Versions that were not taken.",
            ["model"],
            registry=registry,
        )

    def answered(self, route: str, status: str, seconds: float) -> None:
        """A request got its answer; `status` is HTTP's number or gRPC's name."""
        self._requests.labels(route, status).inc()
        self._seconds.labels(route).observe(seconds)

    def failed(self, kind: str) -> None:
        """A request or a picture could not be answered; `kind` as in `statuses`."""
        self._errors.labels(kind).inc()

    def waited(self, seconds: float) -> None:
        """Work stood in line for so long."""
        self._waits.observe(seconds)

    def batched(self, pictures: int) -> None:
        """So many pictures went through the engine together."""
        self._batches.observe(pictures)

    def predicted(self, model: str, version: str, pictures: int) -> None:
        """So many pictures got an answer from this version."""
        self._pictures.labels(model, version).inc(pictures)

    def unknown(self, model: str, version: str) -> None:
        """A picture was none of this version's classes."""
        self._unknown.labels(model, version).inc()

    def loaded(self, model: str, version: str) -> None:
        """A version is served from now on; its counts begin at 0, so that the first one shows."""
        self._models.labels(model, version).set(1)
        self._pictures.labels(model, version)
        self._unknown.labels(model, version)
        self._failures.labels(model)

    def unloaded(self, model: str, version: str) -> None:
        """A version is not served any more."""
        self._models.remove(model, version)

    def load_failed(self, model: str) -> None:
        """A version was not taken."""
        self._failures.labels(model).inc()

    def text(self) -> bytes:
        """All numbers in Prometheus' text format."""
        if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
            return generate_latest(self._registry)
        of_all = CollectorRegistry()
        multiprocess.MultiProcessCollector(of_all)  # type: ignore[no-untyped-call]
        return generate_latest(of_all)

"""Prometheus metrics, in a registry of their own so that several apps can live in one process."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

if TYPE_CHECKING:
    from service.models import ServedModel

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """All that is counted. Labels come from a fixed set (routes, models), never from a request."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        self._requests = Counter(
            "interlinear_http_requests", "HTTP requests.", ["method", "route", "status"], registry=registry
        )
        self._request_seconds = Histogram(
            "interlinear_http_request_seconds", "Time to answer.", ["route"], buckets=_SECONDS, registry=registry
        )
        self.queue = Gauge("interlinear_queue_requests", "Requests that wait for the model.", registry=registry)
        self._ended = Counter(
            "interlinear_engine_requests",
            "Requests by how they ended: result, error, deadline, cancelled, refused.",
            ["outcome"],
            registry=registry,
        )
        self._batch_texts = Histogram(
            "interlinear_batch_texts", "Texts in a batch.", buckets=(1, 2, 4, 8, 16, 32, 64, 128), registry=registry
        )
        self._batch_seconds = Histogram(
            "interlinear_batch_seconds", "Time of a batch.", ["model"], buckets=_SECONDS, registry=registry
        )
        self._characters = Counter(
            "interlinear_source_characters", "Characters translated.", ["model"], registry=registry
        )
        self._models = Gauge(
            "interlinear_model_info", "Served models.", ["model", "version", "sha256", "device"], registry=registry
        )

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count an HTTP request."""
        self._requests.labels(method, route, status).inc()
        self._request_seconds.labels(route).observe(seconds)

    def ended(self, outcome: str) -> None:
        """Count how a request to the engine ended."""
        self._ended.labels(outcome).inc()

    def batch(self, model: str, texts: Sequence[str], seconds: float) -> None:
        """Count a translated batch."""
        self._batch_texts.observe(len(texts))
        self._batch_seconds.labels(model).observe(seconds)
        self._characters.labels(model).inc(sum(map(len, texts)))

    def models(self, served: Iterable[ServedModel]) -> None:
        """Show the models that are served now."""
        self._models.clear()
        for model in served:
            self._models.labels(model.name, model.version, model.sha256, model.device).set(1)

    def render(self) -> bytes:
        """The text format of Prometheus."""
        return generate_latest(self.registry)

"""Prometheus metrics, in a registry of their own so that several apps can live in one process."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

if TYPE_CHECKING:
    from service.models import ServedModel

_STEP_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1)
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
        self.queue = Gauge("interlinear_queue_requests", "Requests that wait for room.", registry=registry)
        self.queue_units = Gauge("interlinear_queue_units", "Source units that wait for room.", registry=registry)
        self._ended = Counter(
            "interlinear_engine_requests",
            "Requests by how they ended: result, error, deadline, cancelled, refused.",
            ["outcome"],
            registry=registry,
        )
        self._steps = Histogram(
            "interlinear_step_seconds", "Time of a step.", ["model"], buckets=_STEP_SECONDS, registry=registry
        )
        self._rows = Histogram(
            "interlinear_step_rows",
            "Hypotheses that a step extended: the batch occupancy.",
            ["model"],
            buckets=(1, 2, 5, 10, 20, 40, 80, 160, 240, 320, 640),
            registry=registry,
        )
        self._of_model: dict[str, tuple[Histogram, Histogram]] = {}
        self._sentences = Counter(
            "interlinear_sentences",
            "Sentences searched: translated, scored, asked for alternatives.",
            ["model"],
            registry=registry,
        )
        self._source = Counter(
            "interlinear_source_units", "Source units (tokens) of those.", ["model"], registry=registry
        )
        self._target = Counter(
            "interlinear_target_units", "Target units (tokens) of their best candidates.", ["model"], registry=registry
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

    def step(self, model: str, rows: int, seconds: float) -> None:
        """Count a step of a model's running set."""
        if model not in self._of_model:  # looking a label up takes longer than counting
            self._of_model[model] = self._steps.labels(model), self._rows.labels(model)
        steps, occupancy = self._of_model[model]
        steps.observe(seconds)
        occupancy.observe(rows)

    def sentence(self, model: str, source: int, target: int) -> None:
        """Count a sentence of so many source and target units, translated or searched for another reason."""
        self._sentences.labels(model).inc()
        self._source.labels(model).inc(source)
        self._target.labels(model).inc(target)

    def models(self, served: Iterable[ServedModel]) -> None:
        """Show the models that are served now."""
        self._models.clear()
        for model in served:
            self._models.labels(model.name, model.version, model.sha256, model.device).set(1)

    def render(self) -> bytes:
        """The text format of Prometheus."""
        return generate_latest(self.registry)

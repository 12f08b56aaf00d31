"""What an operator learns of each request: numbers for Prometheus, and one line in the log.

Neither holds what was looked for, nor a key.
"""

from __future__ import annotations

import logging
import time

from flask import Flask, Response, g, request
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    generate_latest,
)

from query_api.edge.identity import request_id
from query_api.openapi import operations
from query_api.openapi.describe import described
from query_api.stages import Record, record

logger = logging.getLogger("maxcos.requests")

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
EVENTS = {
    "vectors remembered": "Terms whose vectors were remembered.",
    "vectors made": "Terms that had to be encoded.",
    "degraded": "Answers that had to do without a modality, because its encoder failed.",
    "partial": "Answers that are not whole, because the engine's time was over.",
    "engine not asked": "Requests refused at once, because the engine did not answer those before.",
}
"""By the event's name; "vectors made" is counted as maxcos_vectors_made_total."""


class _Numbers:
    """The metrics of one application. Prometheus's own registry is global, and two applications would share it."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.requests = Counter(
            "maxcos_requests", "Requests by route and status.", ("route", "method", "status"), registry=self.registry
        )
        self.latency = Histogram(
            "maxcos_request_seconds",
            "From the request to its answer.",
            ("route",),
            buckets=SECONDS,
            registry=self.registry,
        )
        self.stages = Histogram(
            "maxcos_stage_seconds",
            "Parts of answering: parse, encode by modality, engine, and of it attribution where it is a request.",
            ("stage", "modality"),
            buckets=SECONDS,
            registry=self.registry,
        )
        self.events = {
            name: Counter(f"maxcos_{name.replace(' ', '_')}", text, ("modality",), registry=self.registry)
            for name, text in EVENTS.items()
        }

    def add(self, route: str, status: int, seconds: float, kept: Record) -> None:
        self.requests.labels(route, request.method, status).inc()
        self.latency.labels(route).observe(seconds)
        for (name, modality), took in kept.seconds.items():
            self.stages.labels(name, modality).observe(took)
        for (name, modality), count in kept.events.items():
            self.events[name].labels(modality).inc(count)


def tell_operators(app: Flask) -> CollectorRegistry:
    """Count and log every request, and add `/metrics`; more numbers may be registered for it."""
    numbers = _Numbers()

    @app.before_request
    def begin() -> None:
        g.started = time.perf_counter()
        g.record = record()

    @app.after_request
    def end(response: Response) -> Response:
        if "started" not in g:  # the request was refused before it began
            return response
        seconds = time.perf_counter() - g.started
        route = request.url_rule.rule if request.url_rule is not None else "none"
        numbers.add(route, response.status_code, seconds, g.record)
        logger.info(
            "request",
            extra={
                "request_id": request_id(),
                "method": request.method,
                "path": request.path,
                "status": response.status_code,
                "ms": round(seconds * 1000, 2),
                "key": g.get("key_id"),
                "stages": {_label(*name): round(took * 1000, 2) for name, took in g.record.seconds.items()},
                "events": {_label(*name): count for name, count in g.record.events.items()},
            },
        )
        return response

    @app.get("/metrics")
    @described(operations.METRICS)
    def metrics() -> Response:
        """Numbers for Prometheus, of this process."""
        return Response(generate_latest(numbers.registry), content_type=CONTENT_TYPE_LATEST)

    return numbers.registry


def _label(name: str, modality: str) -> str:
    return f"{name} {modality}" if modality else name

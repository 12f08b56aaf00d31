"""Where traces go: OpenTelemetry's own environment variables say it, and nothing of it is imported before they do.

https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

NAME = "maxcos"
ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


def wanted(environment: Mapping[str, str]) -> bool:
    """Whether traces are to be sent by OTLP: there is an address for them, or the exporter is named."""
    if environment.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    exporter = environment.get("OTEL_TRACES_EXPORTER")
    return exporter == "otlp" or (exporter is None and any(environment.get(name) for name in ENDPOINTS))


def tracer(say: Callable[[str], object]) -> Tracer | None:
    """A tracer that sends by OTLP over HTTP, in this process; None where none is wanted or the extra `otel` missing.

    The engine's client finds it too, and adds its requests. Starts a thread: to be called after a fork.
    """
    if not wanted(os.environ):
        return None
    try:
        from opentelemetry import trace
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import SERVICE_NAME, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        say(f"no traces are sent: the package of {error.name!r} is missing: install the extra 'otel'")
        return None
    named = Resource.create()
    if str(named.attributes[SERVICE_NAME]).startswith("unknown_service"):  # no variable has a name for it
        named = named.merge(Resource({SERVICE_NAME: NAME}))
    provider = TracerProvider(resource=named)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    return trace.get_tracer(NAME)

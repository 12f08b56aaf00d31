"""OpenTelemetry: a span for each request, and inside it one for each part of answering.

Nothing of what was asked is in them: of the address the route alone, of an error its status.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from flask import Flask, Response, g, request

from query_api.edge.identity import request_id
from query_api.stages import surround

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer


def trace_requests(app: Flask, tracer: Tracer) -> None:
    """Continue the caller's trace (W3C traceparent), or begin one."""
    from opentelemetry import context, propagate, trace

    def part(name: str, modality: str) -> AbstractContextManager[object]:
        label = f"{name} {modality}" if modality else name
        # An exception's message may quote what was asked.
        return tracer.start_as_current_span(label, record_exception=False, set_status_on_exception=False)

    @app.before_request
    def begin() -> None:
        route = request.url_rule.rule if request.url_rule is not None else ""
        g.span = tracer.start_span(
            f"{request.method} {route}".rstrip(),
            propagate.extract(request.headers),
            trace.SpanKind.SERVER,
            {"http.request.method": request.method, "maxcos.request_id": request_id()}
            | ({"http.route": route} if route else {}),
        )
        g.attached = context.attach(trace.set_span_in_context(g.span))
        surround(part)

    @app.after_request
    def tell(response: Response) -> Response:
        if "span" in g:
            g.span.set_attribute("http.response.status_code", response.status_code)
            if response.status_code >= 500:
                g.span.set_status(trace.StatusCode.ERROR)
        return response

    @app.teardown_request
    def end(_: BaseException | None) -> None:
        if "span" in g:
            surround(None)
            context.detach(g.attached)
            g.span.end()

"""Traces: the caller's goes on through the service to the engine, and nobody's words are in them."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from es_mappings.settings import Settings
from maxcos.tracing import wanted
from served import running

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER = "00f067aa0ba902b7"
SECRET = "zebrawood"


@contextmanager
def collector() -> Iterator[tuple[str, list[ExportTraceServiceRequest]]]:
    """The address of a receiver of OTLP over HTTP, and what it gets."""
    got: list[ExportTraceServiceRequest] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/v1/traces"
            got.append(ExportTraceServiceRequest.FromString(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *arguments: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", got
        server.shutdown()


def spans(got: list[ExportTraceServiceRequest]) -> list[Span]:
    """Those of the caller's trace."""
    found = [
        s for sent in got for resource in sent.resource_spans for scope in resource.scope_spans for s in scope.spans
    ]
    return [span for span in found if span.trace_id.hex() == TRACE]


def attributes(span: Span) -> dict[str, object]:
    return {a.key: a.value.string_value or a.value.int_value for a in span.attributes}


def test_a_caller_s_trace_goes_on_to_the_engine(shop_on_cluster: Settings, shop_folder: Path) -> None:
    variables = {"OTEL_BSP_SCHEDULE_DELAY": "50"}
    headers = {"traceparent": f"00-{TRACE}-{CALLER}-01", "X-Request-Id": "walk-1"}
    with (
        collector() as (address, got),
        running(shop_on_cluster, shop_folder / "maxcos.toml", OTEL_EXPORTER_OTLP_ENDPOINT=address, **variables) as (
            url,
            _,
        ),
    ):
        asked = requests.get(f"{url}/v1/search", {"q": SECRET}, headers=headers, timeout=60)
        refused = requests.get(f"{url}/v1/items/{SECRET}", headers=headers, timeout=60)
        for _ in range(100):
            if sum(span.kind == Span.SPAN_KIND_SERVER for span in spans(got)) == 2:
                break
            time.sleep(0.1)
    assert (asked.status_code, refused.status_code) == (200, 404)
    found = spans(got)
    roots = {attributes(s)["http.route"]: s for s in found if s.kind == Span.SPAN_KIND_SERVER}
    root = roots["/v1/search"]
    assert (root.name, root.parent_span_id.hex()) == ("GET /v1/search", CALLER)
    assert attributes(root) == {
        "http.request.method": "GET",
        "http.route": "/v1/search",
        "http.response.status_code": 200,
        "maxcos.request_id": "walk-1",
    }
    parts = {span.name: span for span in found if span.parent_span_id == root.span_id}
    assert {"parse", "encode text", "encode image", "encode graph", "engine"} <= parts.keys()
    asking = [s for s in found if s.parent_span_id == parts["engine"].span_id]
    assert [attributes(s)["db.system"] for s in asking] == ["elasticsearch"] * len(asking) != []
    assert attributes(roots["/v1/items/<path:identifier>"])["http.response.status_code"] == 404
    names = {a.key: a.value.string_value for sent in got for r in sent.resource_spans for a in r.resource.attributes}
    assert names["service.name"] == "maxcos"
    assert SECRET not in str(got)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector:4318/v1/traces"}, True),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318", "OTEL_TRACES_EXPORTER": "none"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318", "OTEL_SDK_DISABLED": "true"}, False),
    ],
)
def test_the_standard_variables_decide(environment: dict[str, str], expected: bool) -> None:
    assert wanted(environment) == expected


def test_nothing_is_imported_unless_it_is_wanted() -> None:
    code = (
        "import sys\nfrom maxcos.tracing import tracer\nimport query_api.app\n"
        "assert tracer(print) is None\nprint([m for m in sys.modules if m.startswith('opentelemetry.sdk')])"
    )
    done = subprocess.run([sys.executable, "-c", code], env={"PATH": "/usr/bin"}, capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


def test_a_missing_extra_is_said_and_stops_nothing() -> None:
    code = (
        "import sys\nsys.modules['opentelemetry.sdk'] = None\nfrom maxcos.tracing import tracer\nprint(tracer(print))"
    )
    variables = {"PATH": "/usr/bin", "OTEL_TRACES_EXPORTER": "otlp"}
    done = subprocess.run([sys.executable, "-c", code], env=variables, capture_output=True, text=True)
    told = done.stdout.splitlines()
    assert (told[0].startswith("no traces are sent"), told[1:]) == (True, ["None"]), done.stderr

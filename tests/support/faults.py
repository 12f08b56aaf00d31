"""A proxy before a real engine that has bad days: it refuses, cuts and half-answers bulk requests."""

from __future__ import annotations

import http.client
import json
import random
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

FAULTS = ("429", "503", "some 429", "cut before", "cut after")
"""Refused whole; every other action refused; the connection cut before the engine heard of it, and after it did."""
TOO_MANY = {"type": "es_rejected_execution_exception", "reason": "rejected execution of coordinating operation"}


@dataclass
class Faulty:
    """url: of the proxy. share: of bulk requests that meet a fault. most: actions in a request; more are 413."""

    engine: str
    url: str = ""
    share: float = 0.5
    most: int = 1000
    drawn: random.Random = field(default_factory=lambda: random.Random(0))
    met: Counter[str] = field(default_factory=Counter)


@contextmanager
def faulty(engine: str) -> Iterator[Faulty]:
    proxy = Faulty(engine)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            if not self.path.startswith("/_bulk"):
                self.reply(*self.forward(body))
                return
            lines = body.splitlines(keepends=True)
            fault = proxy.drawn.choice(FAULTS) if proxy.drawn.random() < proxy.share else ""
            if len(lines) // 2 > proxy.most:
                fault = "413"
            proxy.met[fault] += 1
            match fault:
                case "429" | "503" | "413":
                    self.reply(
                        int(fault), "application/json", json.dumps({"error": TOO_MANY, "status": int(fault)}).encode()
                    )
                case "cut before":
                    self.cut()
                case "cut after":
                    self.forward(body)
                    self.cut()
                case "some 429":
                    self.reply(*self.forward_half(lines))
                case _:
                    self.reply(*self.forward(body))

        do_POST = do_PUT = do_HEAD = do_DELETE = do_GET

        def forward(self, body: bytes) -> tuple[int, str, bytes]:
            connection = http.client.HTTPConnection(urlsplit(proxy.engine).netloc, timeout=60)
            headers = {
                name: value for name, value in self.headers.items() if name.lower() in {"content-type", "accept"}
            }
            connection.request(self.command, self.path, body or None, headers)
            answer = connection.getresponse()
            data = answer.read()
            connection.close()
            return answer.status, answer.getheader("content-type", "application/json"), data

        def forward_half(self, lines: list[bytes]) -> tuple[int, str, bytes]:
            """Every other action goes on; the rest are refused, in their places of the answer."""
            pairs = [lines[i : i + 2] for i in range(0, len(lines), 2)]
            code, kind, data = self.forward(b"".join(line for pair in pairs[::2] for line in pair))
            answer = json.loads(data)
            done = iter(answer["items"])
            answer["items"] = [next(done) if i % 2 == 0 else refused(pair[0]) for i, pair in enumerate(pairs)]
            return code, kind, json.dumps(answer | {"errors": True}).encode()

        def reply(self, code: int, kind: str, data: bytes) -> None:
            self.send_response(code)
            self.send_header("content-type", kind)
            self.send_header("x-elastic-product", "Elasticsearch")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

        def cut(self) -> None:
            self.close_connection = True
            self.connection.close()

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: Any, client_address: Any) -> None:
            """A client that went away is one of the faults."""

    server = Server(("127.0.0.1", 0), Handler)
    proxy.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()


def refused(line: bytes) -> dict[str, Any]:
    ((operation, meta),) = json.loads(line).items()
    return {operation: {**meta, "status": 429, "error": TOO_MANY}}

"""An HTTP proxy in front of a real engine that spoils some of its bulk requests."""

from __future__ import annotations

import http.client
import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal
from urllib.parse import urlsplit

Fault = Literal["429", "503", "413", "cut before", "cut after", "items"]
"""An answer instead of the engine's; a connection that ends before the engine got the request, or after it has done it;
every third operation of an answer turned into a 429 (the engine does not get those).
"""


@dataclass
class Proxy:
    """decide: which fault befalls the bulk request of that number and body. faults: those that did."""

    url: str
    decide: Callable[[int, bytes], Fault | None]
    bulks: int = 0
    sizes: list[int] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def next(self, body: bytes) -> Fault | None:
        with self.lock:
            fault = self.decide(self.bulks, body)
            self.bulks += 1
            self.sizes.append(body.count(b"\n") // 2)
            if fault:
                self.faults.append(fault)
            return fault


@contextmanager
def proxied(engine: str, decide: Callable[[int, bytes], Fault | None]) -> Iterator[Proxy]:
    address = urlsplit(engine)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            bulk = self.path.startswith("/_bulk")
            fault = proxy.next(body) if bulk else None
            if fault in {"429", "503", "413"}:
                error = {"type": "played_exception", "reason": "played"}
                self.answer(int(fault), json.dumps({"error": {**error, "root_cause": [error]}}).encode())
            elif fault == "cut before":
                self.cut()
            else:
                kept = without_thirds(body) if fault == "items" else body
                try:
                    code, answer = self.forward(kept)
                except (OSError, http.client.HTTPException):  # the engine itself is gone
                    self.cut()
                    return
                if fault == "cut after":
                    self.cut()
                else:
                    self.answer(code, with_thirds(answer, body) if fault == "items" else answer)

        do_POST = do_PUT = do_HEAD = do_DELETE = do_GET

        def forward(self, body: bytes) -> tuple[int, bytes]:
            assert address.hostname
            connection = http.client.HTTPConnection(address.hostname, address.port, timeout=60)
            headers = {k: v for k, v in self.headers.items() if k.lower() in {"accept", "content-type"}}
            connection.request(self.command, self.path, body or None, headers)
            answer = connection.getresponse()
            self.kind = answer.getheader("content-type") or "application/json"
            data = answer.read()
            connection.close()
            return answer.status, data

        def answer(self, code: int, data: bytes) -> None:
            self.send_response(code)
            self.send_header("content-type", getattr(self, "kind", "application/json"))
            self.send_header("x-elastic-product", "Elasticsearch")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            if self.command != "HEAD":
                with suppress(ConnectionError):  # whoever asked has been killed
                    self.wfile.write(data)

        def cut(self) -> None:
            """Reset the connection, as a machine that goes away does."""
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            self.connection.close()

        def log_message(self, format: str, *arguments: object) -> None: ...

        def finish(self) -> None:
            if not self.wfile.closed and self.connection.fileno() >= 0:
                super().finish()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    proxy = Proxy(f"http://127.0.0.1:{server.server_address[1]}", decide)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()


def without_thirds(body: bytes) -> bytes:
    lines = body.splitlines(keepends=True)
    pairs = [b"".join(lines[i : i + 2]) for i in range(0, len(lines), 2)]
    return b"".join(pair for number, pair in enumerate(pairs) if number % 3 != 2)


def with_thirds(answer: bytes, body: bytes) -> bytes:
    told = json.loads(answer) if answer else {"items": []}
    done = iter(told.get("items", []))
    headers = body.splitlines()[::2]
    busy = {"status": 429, "error": {"type": "rejected_execution_exception", "reason": "played"}}
    items = [
        {kind: {"_id": operation["_id"], **busy}} if number % 3 == 2 else next(done)
        for number, header in enumerate(headers)
        for kind, operation in json.loads(header).items()
    ]
    return json.dumps({"took": 1, "errors": True, "items": items}).encode()

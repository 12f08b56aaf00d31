"""A line to an engine that can be switched off, as a machine that hangs: it takes connections and never answers.

Or it breaks, as a process that ends: connections end, and new ones do at once.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass
class Switch:
    url: str
    on: threading.Event = field(default_factory=threading.Event)
    connections: int = 0
    broken: threading.Event = field(default_factory=threading.Event)
    opened: list[socket.socket] = field(default_factory=list)

    def break_off(self) -> None:
        self.broken.set()
        for end in self.opened:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@contextmanager
def switched(engine: str) -> Iterator[Switch]:
    address = urlsplit(engine)
    listener = socket.create_server(("127.0.0.1", 0))
    switch = Switch(f"http://127.0.0.1:{listener.getsockname()[1]}")
    switch.on.set()

    def pump(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                if switch.on.is_set():
                    sink.sendall(data)
        for end in (source, sink):
            end.close()

    def accept() -> None:
        with suppress(OSError):
            while True:
                near, _ = listener.accept()
                switch.connections += 1
                if switch.broken.is_set():
                    near.close()
                    continue
                far = socket.create_connection((address.hostname, address.port))
                switch.opened.extend((near, far))
                for ends in ((near, far), (far, near)):
                    threading.Thread(target=pump, args=ends, daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield switch
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()
        for end in switch.opened:
            end.close()

"""Running the application: gunicorn, one process with threads, so that every thread shares one set of models."""

from __future__ import annotations

import os
from collections.abc import Callable
from socket import socket
from typing import Any
from uuid import uuid4

from es_mappings.errors import EncoderError, MaxcosError, SettingsError
from es_mappings.settings import Settings

SPARE_THREADS = 4
"""More than may wait for the engine at once."""
LONGEST_LINE = 8190
"""Bytes of a request's first line, the most that gunicorn bounds: 500 characters of any script have room, escaped."""


def run(settings: Settings, host: str, port: int, say: Callable[[str], object]) -> None:
    """Serve until a signal ends it, running requests finished first.

    Raises EncoderError without the packages of the extra `serve`, and SettingsError where other machines could ask and
    there are no keys, or for a query log that cannot be.
    """
    bound_threads()
    try:
        from gunicorn.app.base import BaseApplication
        from gunicorn.glogging import Logger

        from maxcos import logs, tracing
    except ImportError as error:
        raise EncoderError(f"serving needs the package {error.name!r}: install the extra 'serve'") from error
    from query_api.app import create_app
    from query_api.querylog.writer import check_log, open_log
    from query_api.searchers.watched import PLACES
    from query_api.service import SearchService

    keys = _keys(settings, host)
    check_log(settings)

    class Log(Logger):
        def access(self, *_: Any) -> None:
            """Nothing, and nothing is put together for it: each request has its line by `query_api.edge.telling`."""

    class Server(BaseApplication):
        def load_config(self) -> None:
            self.cfg.set("bind", f"{host}:{port}")
            self.cfg.set("worker_class", "gthread")
            self.cfg.set("workers", 1)
            self.cfg.set("threads", PLACES + SPARE_THREADS)
            # The engine is given up first.
            self.cfg.set("graceful_timeout", int(settings.engine.timeout) + 10)
            self.cfg.set("timeout", 120)
            self.cfg.set("limit_request_line", LONGEST_LINE)
            self.cfg.set("logger_class", Log)
            self.cfg.set("logconfig_dict", logs.settings())

        def load(self) -> Any:
            _refuse_by_problems()
            # In the worker: models and the engine's connections do not survive a fork.
            service = SearchService.from_settings(settings)
            _report(service, f"http://{host}:{port}", say)
            service.warm()
            log = open_log(settings, service.schema)
            if log is not None:
                self.cfg.set("worker_exit", lambda _, __: log.close())
            return create_app(settings, service, keys, log, tracing.tracer(say))

    Server().run()


def bound_threads() -> None:
    """One thread for each request that is encoded: torch would start as many as there are cores, for each of them.

    To be called before torch is imported; who sets OMP_NUM_THREADS decides otherwise.
    """
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def _keys(settings: Settings, host: str) -> Any:
    """The keys that the service asks for: None on loopback as long as there are none."""
    from query_api.edge.access import is_loopback
    from query_api.keys import KeyRing

    ring = KeyRing(settings.service.keys)
    if ring.list():
        return ring
    if not is_loopback(host):
        raise SettingsError(
            f"other machines can reach {host}, and there are no keys in {settings.service.keys}: make one with "
            "`maxcos keys create NAME --scope search`, or serve on 127.0.0.1"
        )
    return None


def _refuse_by_problems() -> None:
    """What gunicorn refuses before the application sees it becomes a problem document too; no setting is for that."""
    from gunicorn import util

    from query_api.edge.problems import MIMETYPE, problem

    def write_error(sock: socket, status_int: int, reason: str, mesg: str) -> None:
        name = uuid4().hex
        body = problem(status_int, reason, mesg, name)
        head = (
            f"HTTP/1.1 {status_int} {reason}\r\nConnection: close\r\nContent-Type: {MIMETYPE}\r\n"
            f"X-Request-Id: {name}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        util.write_nonblock(sock, head.encode("latin-1") + body)

    util.write_error = write_error


def _report(service: Any, url: str, say: Callable[[str], object]) -> None:
    try:
        say(f"serving {service.check()} items on {url}")
    except MaxcosError as error:
        say(f"serving on {url}; not ready: {error}")

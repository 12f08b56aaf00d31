"""Running the application: gunicorn, one process with threads, so that every thread shares one set of models."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from es_mappings.errors import EncoderError, MaxcosError
from es_mappings.settings import Settings

THREADS = 8


def run(settings: Settings, host: str, port: int, say: Callable[[str], object]) -> None:
    """Serve until a signal ends it, running requests finished first. Raises EncoderError without gunicorn."""
    try:
        from gunicorn.app.base import BaseApplication
    except ImportError as error:
        raise EncoderError("serving needs gunicorn: install the extra 'serve'") from error
    from query_api.app import create_app
    from query_api.service import SearchService

    class Server(BaseApplication):
        def load_config(self) -> None:
            self.cfg.set("bind", f"{host}:{port}")
            self.cfg.set("worker_class", "gthread")
            self.cfg.set("workers", 1)
            self.cfg.set("threads", THREADS)
            self.cfg.set("graceful_timeout", 30)
            self.cfg.set("timeout", 120)
            self.cfg.set("loglevel", "warning")

        def load(self) -> Any:
            # In the worker: models and the engine's connections do not survive a fork.
            service = SearchService.from_settings(settings)
            _report(service, f"http://{host}:{port}", say)
            service.warm()
            return create_app(settings, service)

    Server().run()


def _report(service: Any, url: str, say: Callable[[str], object]) -> None:
    try:
        say(f"serving {service.check()} items on {url}")
    except MaxcosError as error:
        say(f"serving on {url}; not ready: {error}")

"""Logs as lines of JSON on standard output, each with the name of the request that it belongs to."""

from __future__ import annotations

import logging
import os
from typing import Any

import structlog
from flask import has_request_context

from query_api.edge.identity import request_id

Event = dict[str, Any]


STDOUT = 1


class Lines(logging.Handler):
    """Each line by one call of the system, which keeps it whole, so that no thread waits for another's.

    A lock would be held while the interpreter's own is given up for that call and waited for again, milliseconds under
    load, and all requests would queue for it. A pipe keeps 4 KB whole; of longer lines, as of those of several
    processes, parts may come in turns.
    """

    def handle(self, record: logging.LogRecord) -> bool:
        """As logging's, without its lock."""
        passed = bool(self.filter(record))
        if passed:
            self.emit(record)
        return passed

    def emit(self, record: logging.LogRecord) -> None:
        try:
            os.write(STDOUT, f"{self.format(record)}\n".encode())
        except Exception:
            self.handleError(record)


def settings() -> Event:
    """A logging configuration (`logging.config.dictConfig`) for gunicorn, its workers, and whatever runs in them."""
    processors = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _named,
    ]
    formatter = {
        "()": structlog.stdlib.ProcessorFormatter,
        "foreign_pre_chain": processors,
        "processors": [
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
    }
    handler = {"()": Lines, "formatter": "json"}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": formatter},
        "handlers": {"out": handler},
        "root": {"level": "WARNING", "handlers": ["out"]},
        "loggers": {
            "maxcos": {"level": "INFO"},
            "gunicorn.error": {"level": "WARNING", "handlers": [], "propagate": True},
            "gunicorn.access": {"level": "WARNING", "handlers": [], "propagate": True},
        },
    }


def _named(_: Any, __: str, event: Event) -> Event:
    if has_request_context():
        event.setdefault("request_id", request_id())
    return event

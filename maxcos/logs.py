"""Logs as lines of JSON on standard output, each with the name of the request that it belongs to."""

from __future__ import annotations

from typing import Any

import structlog
from flask import has_request_context

from query_api.edge.identity import request_id

Event = dict[str, Any]


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
    handler = {"class": "logging.StreamHandler", "formatter": "json", "stream": "ext://sys.stdout"}
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

"""Between the application and the query log: each answered search becomes an entry."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

from flask import Flask, Response, g, request
from prometheus_client import CollectorRegistry

from query_api.edge.identity import request_id
from query_api.querylog.entry import TIME, entry
from query_api.querylog.heard import listen
from query_api.querylog.writer import QueryLog

logger = logging.getLogger(__name__)


def log_searches(app: Flask, log: QueryLog, registry: CollectorRegistry) -> None:
    """Add an entry for every search that is answered, and the log's own numbers to the metrics."""
    registry.register(log)

    @app.before_request
    def begin() -> None:
        g.searches = listen()

    @app.after_request
    def end(response: Response) -> Response:
        for search in g.get("searches", ()):
            about = {
                TIME: datetime.now(UTC).isoformat(timespec="milliseconds"),
                "request_id": request_id(),
                "route": request.url_rule.rule if request.url_rule is not None else None,
                "key": g.get("key_name"),
            }
            try:
                log.add(entry(search, g.record, log.written, about), search.entities)
            except Exception:  # whatever is wrong with an entry, the answer is right
                log.count("lost")
                logger.exception("a search is not in the query log")
        return response

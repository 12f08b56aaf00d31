"""Every error as an RFC 9457 problem document."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence

from flask import Flask, Response
from werkzeug.exceptions import HTTPException

from es_mappings.errors import FieldProblem, InvalidRequest, KeyRefused, MaxcosError, TooManyRequests
from query_api.edge.identity import request_id

MIMETYPE = "application/problem+json"
RETRY_SECONDS = 5
"""After how many seconds an engine that is busy, or was not there, is worth another try."""
FAILED = "the service failed; its log has the reason under this request_id"

logger = logging.getLogger(__name__)


def answer_with_problems(app: Flask) -> None:
    @app.errorhandler(MaxcosError)
    def refuse(error: MaxcosError) -> Response:
        problems = error.problems if isinstance(error, InvalidRequest) else ()
        if error.status >= 500:
            logger.warning("%s: %s", error.title, error)
        response = _problem(error.status, error.title, error.told or FAILED, problems)
        if isinstance(error, KeyRefused):
            response.headers["WWW-Authenticate"] = "Bearer"
        if isinstance(error, TooManyRequests):
            response.headers["Retry-After"] = str(error.seconds)
        elif error.retryable:
            response.headers["Retry-After"] = str(RETRY_SECONDS)
        return response

    @app.errorhandler(HTTPException)
    def refuse_http(error: HTTPException) -> Response:
        response = _problem(error.code or 500, error.name, error.description or error.name)
        for name, value in error.get_headers():
            if name.lower() not in {"content-type", "content-length"}:
                response.headers[name] = value
        return response

    @app.errorhandler(Exception)
    def fail(error: Exception) -> Response:
        logger.error("request %s failed", request_id(), exc_info=error)
        return _problem(500, "Internal error", FAILED)


def _problem(status: int, title: str, detail: str, problems: Sequence[FieldProblem] = ()) -> Response:
    return Response(problem(status, title, detail, request_id(), problems), status, mimetype=MIMETYPE)


def problem(status: int, title: str, detail: str, request: str, problems: Sequence[FieldProblem] = ()) -> bytes:
    """The document itself. request: the name of the request."""
    body = {
        "type": "about:blank",
        "title": title,
        "status": status,
        "detail": detail,
        "errors": [{"field": p.field, "message": p.message} for p in problems],
        "request_id": request,
    }
    return json.dumps(body, ensure_ascii=False).encode("utf-8", "backslashreplace")

"""Each request has a name, which its answer, its problem documents and its log lines carry."""

from __future__ import annotations

import re
import uuid

from flask import Flask, Response, g, request

HEADER = "X-Request-Id"
GIVEN = re.compile(r"[A-Za-z0-9._-]{1,128}")
"""What a caller may call its request. Anything else would have to be escaped in logs and headers, and is replaced."""


def name_requests(app: Flask) -> None:
    """Take the caller's name for a request, or make one, before anything else looks at it."""

    @app.before_request
    def identify() -> None:
        given = request.headers.get(HEADER, "")
        g.request_id = given if GIVEN.fullmatch(given) else uuid.uuid4().hex

    @app.after_request
    def tell(response: Response) -> Response:
        response.headers[HEADER] = request_id()
        return response


def request_id() -> str:
    """The name of the request that is answered now; empty for one that did not get as far as being named."""
    return str(g.get("request_id", ""))

"""gzip for answers that get smaller by it.

Not Flask-Compress 1.25: it changes the ETag of a file after the comparison with the caller's, so that a compressed
file is never answered 304.
"""

from __future__ import annotations

import gzip

from flask import Flask, Response, request

COMPRESSED = frozenset(
    {
        "application/json",
        "application/problem+json",
        "text/css",
        "text/html",
        "text/javascript",
        "application/javascript",
        "text/plain",
    }
)
LEAST = 1000
"""Bytes; fewer travel in one packet either way."""
LEVEL = 5


def compress_answers(app: Flask) -> None:
    @app.after_request
    def compress(response: Response) -> Response:
        if response.mimetype not in COMPRESSED:
            return response
        response.vary.add("Accept-Encoding")
        if not _wanted(response):
            return response
        response.direct_passthrough = False
        data = response.get_data()
        if len(data) < LEAST:
            return response
        response.set_data(gzip.compress(data, LEVEL, mtime=0))
        response.headers["Content-Encoding"] = "gzip"
        etag, _ = response.get_etag()
        if etag is not None:
            response.set_etag(etag, weak=True)  # the same content in other bytes (RFC 9110, 8.8.1)
        return response


def _wanted(response: Response) -> bool:
    plain = response.status_code in {200, 400, 404, 422} and "Content-Encoding" not in response.headers
    return plain and request.method != "HEAD" and request.accept_encodings["gzip"] > 0

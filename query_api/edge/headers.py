"""What browsers and caches are told beside each answer."""

from __future__ import annotations

from collections.abc import Sequence

from flask import Flask, Response, request

from query_api.edge.identity import HEADER

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
SECURITY = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",  # the address of the page holds what somebody looks for
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), geolocation=(), microphone=(), payment=(), usb=()",
}
UNTOLD = "no-store"
"""Of an answer that no route says anything of: it belongs to who asked, and to this moment."""


def tell_browsers(app: Flask, origins: Sequence[str]) -> None:
    """origins: whose pages may call `/v1` from a browser, by CORS."""
    told = {**SECURITY, "Cache-Control": UNTOLD}
    if origins:
        from flask_cors import CORS

        told["Cross-Origin-Resource-Policy"] = "cross-origin"
        CORS(
            app,
            resources={r"/v1/.*": {"origins": list(origins)}},
            methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type", HEADER],
            expose_headers=[HEADER, "Retry-After"],
            max_age=3600,
        )

    @app.after_request
    def tell(response: Response) -> Response:
        given = {name.lower() for name, _ in response.headers}
        for name, value in told.items():
            if name.lower() not in given:
                response.headers.add(name, value)
        return response


def kept(response: Response, seconds: int = 0) -> Response:
    """The answer with what lets the caller's own cache keep it: for so long unasked, then asking whether it changed.

    An answer that the caller has already becomes 304, without a body.
    """
    response.headers["Cache-Control"] = f"private, max-age={seconds}" if seconds else "private, no-cache"
    if "ETag" not in response.headers and not response.direct_passthrough:
        response.add_etag()
    return response.make_conditional(request)  # type: ignore[return-value]  # itself

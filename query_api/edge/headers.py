"""What browsers and caches are told beside each answer."""

from __future__ import annotations

from flask import Flask, Response, request

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


def tell_browsers(app: Flask) -> None:
    @app.after_request
    def tell(response: Response) -> Response:
        for name, value in SECURITY.items():
            response.headers.setdefault(name, value)
        response.headers.setdefault("Cache-Control", UNTOLD)
        return response


def kept(response: Response, seconds: int = 0) -> Response:
    """The answer with what lets the caller's own cache keep it: for so long unasked, then asking whether it changed.

    An answer that the caller has already becomes 304, without a body.
    """
    response.headers["Cache-Control"] = f"private, max-age={seconds}" if seconds else "private, no-cache"
    if "ETag" not in response.headers and not response.direct_passthrough:
        response.add_etag()
    return response.make_conditional(request)  # type: ignore[return-value]  # itself

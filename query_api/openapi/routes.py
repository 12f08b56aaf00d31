"""`/openapi.json`, and `/docs`, where Swagger UI shows it without a resource from another host."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path

from flask import Flask, Response, jsonify, send_file
from werkzeug.exceptions import NotFound

from query_api.edge.headers import POLICY, kept
from query_api.openapi.document import document

PACKAGE = "flask_openapi3_swagger"
"""It carries Swagger UI's files, and is not imported."""
FILES = {"swagger-ui.css": "css/swagger-ui.css", "swagger-ui-bundle.js": "js/swagger-ui-bundle.js"}
PAGE = Path(__file__).parents[1] / "page"
DAY = 86_400


def add_description(app: Flask, *, keys: bool) -> None:
    """Add the routes. The document is made when it is first asked for, of all routes that there are by then."""

    @cache
    def made() -> dict[str, object]:
        return document(app, keys=keys)

    @app.get("/openapi.json")
    def openapi() -> Response:
        return kept(jsonify(made()))

    @app.get("/docs")
    def docs() -> Response:
        if find_spec(PACKAGE) is None:
            raise NotFound("Swagger UI is not installed: install the extra 'serve'; /openapi.json is there anyhow")
        response = kept(send_file(PAGE / "docs.html"))
        # Swagger UI writes style attributes; its scripts keep to the rule.
        response.headers["Content-Security-Policy"] = POLICY.replace(
            "style-src 'self'", "style-src 'self' 'unsafe-inline'"
        )
        return response

    @app.get("/docs/<name>")
    def docs_file(name: str) -> Response:
        spec = find_spec(PACKAGE)
        if name not in FILES or spec is None or spec.origin is None:
            raise NotFound
        return kept(send_file(Path(spec.origin).parent / "templates" / "swagger" / FILES[name]), DAY)

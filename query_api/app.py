"""The Flask application: routes, and nothing else."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
from flask import Flask, Response, g, jsonify, request, send_from_directory
from flask.json.provider import DefaultJSONProvider
from werkzeug.exceptions import HTTPException

from es_mappings.errors import FieldProblem, InvalidRequest, ItemNotFound, MaxcosError
from es_mappings.schema import lookup
from es_mappings.settings import PageSettings, Settings
from query_api.form import MAX_ITEMS
from query_api.service import SearchService

PAGE = Path(__file__).parent / "page"
MAX_BODY = 32 * 1024 * 1024
PICTURES = {".png", ".jpg", ".jpeg", ".webp", ".gif", ".avif"}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)


def create_app(settings: Settings, service: SearchService | None = None) -> Flask:
    """The application for these settings. Raises SettingsError and EncoderError; no engine is asked yet."""
    app = Flask(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY
    if isinstance(app.json, DefaultJSONProvider):
        app.json.sort_keys = False
        app.json.ensure_ascii = False
    search = service or SearchService.from_settings(settings)
    _add_search(app, search)
    _add_entities(app, search)
    _add_items(app, search, settings.page)
    _add_health(app, search)
    _add_page(app, search, settings)
    _add_edges(app)
    return app


def _add_search(app: Flask, search: SearchService) -> None:
    @app.get("/v1/search")
    def search_by_words() -> Response:
        given = _parameters("q", "size", "from", "fusion", "after")
        body: dict[str, Any] = {"query": given.get("q", "")}
        body |= {name: _number(name) for name in ("size", "from") if name in given}
        body |= {"after": given["after"]} if "after" in given else {}
        body |= {"fusion": {"method": given["fusion"]}} if "fusion" in given else {}
        with _named_as({"fusion.method": "fusion"}):
            return jsonify(search.search(body))

    @app.post("/v1/search")
    def search_by_body() -> Response:
        if request.mimetype == "multipart/form-data":
            return jsonify(search.search(*_multipart()))
        if request.mimetype != "application/json":
            raise InvalidRequest.at("Content-Type", "must be application/json or multipart/form-data")
        return jsonify(search.search(_json(request.get_data(), "body")))

    @app.post("/v1/why")
    def why() -> Response:
        if request.mimetype == "multipart/form-data":
            return jsonify(search.why(*_multipart()))
        if request.mimetype != "application/json":
            raise InvalidRequest.at("Content-Type", "must be application/json or multipart/form-data")
        return jsonify(search.why(_json(request.get_data(), "body")))

    @app.post("/v1/recommend")
    def recommend() -> Response:
        if request.mimetype != "application/json":
            raise InvalidRequest.at("Content-Type", "must be application/json")
        items = {f"query[{position}].item": f"items[{position}]" for position in range(MAX_ITEMS)}
        with _named_as({"query[0].user": "user"} | items):
            return jsonify(search.recommend(_json(request.get_data(), "body")))

    @app.get("/v1/suggest")
    def suggest() -> Response:
        given = _parameters("q", "size")
        size = {"size": _number("size")} if "size" in given else {}
        return jsonify(search.suggest(given.get("q", ""), **size))


def _add_entities(app: Flask, search: SearchService) -> None:
    @app.get("/v1/entities")
    def entities() -> Response:
        given = _parameters("q", "size")
        size = {"size": _number("size")} if "size" in given else {}
        return jsonify(search.entities(given.get("q", ""), **size))


def _parameters(*known: str) -> dict[str, str]:
    """The parameters of the address, each once. Raises InvalidRequest for unknown ones."""
    given = request.args.to_dict(flat=False)
    problems = [FieldProblem(name, f"unknown parameter; there are {', '.join(known)}") for name in {*given} - {*known}]
    problems += [FieldProblem(name, "stands there twice") for name in known if len(given.get(name, ())) > 1]
    if problems:
        raise InvalidRequest(*sorted(problems, key=lambda problem: problem.field))
    return {name: values[0] for name, values in given.items()}


@contextmanager
def _named_as(parameters: Mapping[str, str]) -> Iterator[None]:
    """Refusals speak of the address's parameters instead of the members of a body."""
    try:
        yield
    except InvalidRequest as error:
        problems = (FieldProblem(parameters.get(p.field, p.field), p.message) for p in error.problems)
        raise InvalidRequest(*problems) from error


def _number(name: str) -> int:
    text = request.args[name]
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise InvalidRequest.at(name, "must be a whole number")
    return int(text)


def _multipart() -> tuple[Any, bytes]:
    unknown = sorted(({*request.form, *request.files}) - {"request", "image"})
    if unknown:
        raise InvalidRequest.at(unknown[0], "unknown part; a multipart request has `image` and `request`")
    if "image" not in request.files:
        raise InvalidRequest.at("image", "a multipart request needs a file part of this name")
    body = _json(request.form["request"].encode(), "request") if "request" in request.form else {}
    return body, request.files["image"].read()


def _json(data: bytes, field: str) -> Any:
    try:
        return orjson.loads(data)  # stricter than json: neither NaN nor half of a surrogate pair gets in
    except orjson.JSONDecodeError as error:
        raise InvalidRequest.at(field, f"is not JSON: {error}") from error


def _add_items(app: Flask, search: SearchService, page: PageSettings) -> None:
    @app.get("/v1/items/<path:identifier>/image")
    def image(identifier: str) -> Response:
        item = search.item(identifier)
        path = lookup(item["source"], page.image) if page.image else None
        if not isinstance(path, str) or Path(path).suffix.lower() not in PICTURES:
            raise ItemNotFound(f"the item {identifier!r} has no picture")
        return send_from_directory(page.media, path, max_age=3600)

    @app.get("/v1/items/<path:identifier>/similar")
    def similar(identifier: str) -> Response:
        given = _parameters("size", "from", "modalities")
        wishes: dict[str, Any] = {
            argument: _number(name) for name, argument in (("size", "size"), ("from", "offset")) if name in given
        }
        if "modalities" in given:
            wishes["modalities"] = given["modalities"].split(",")
        with _named_as({"query[0].modalities": "modalities", "query[0].item": "id"}):
            return jsonify(search.similar(identifier, **wishes))

    @app.get("/v1/items/<path:identifier>")
    def item(identifier: str) -> Response:
        return jsonify(search.item(identifier))


def _add_health(app: Flask, search: SearchService) -> None:
    @app.get("/healthz")
    def alive() -> Response:
        return jsonify(status="ok")

    @app.get("/readyz")
    def ready() -> Response:
        return jsonify(status="ready", items=search.check())


def _add_page(app: Flask, search: SearchService, settings: Settings) -> None:
    @app.get("/")
    def page() -> Response:
        return send_from_directory(PAGE, "index.html")

    @app.get("/page/<path:name>")
    def page_file(name: str) -> Response:
        return send_from_directory(PAGE, name)

    @app.get("/v1/config")
    def config() -> Response:
        return jsonify(
            title=settings.engine.index,
            fields={"title": settings.page.title, "image": settings.page.image},
            modalities=list(search.schema.modalities),
            facets=list(search.schema.facets),
            filters={field.name: field.type for field in search.schema.filters},
            languages=list(search.schema.languages),
            image_url="/v1/items/{id}/image",
        )


def _add_edges(app: Flask) -> None:
    @app.before_request
    def identify() -> None:
        g.request_id = uuid.uuid4().hex

    @app.after_request
    def secure(response: Response) -> Response:
        response.headers["X-Request-Id"] = g.get("request_id", "")
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Content-Security-Policy"] = POLICY
        return response

    @app.errorhandler(MaxcosError)
    def refuse(error: MaxcosError) -> Response:
        problems = error.problems if isinstance(error, InvalidRequest) else ()
        return _problem(error.status, error.title, str(error), problems, retry=error.retryable)

    @app.errorhandler(HTTPException)
    def refuse_http(error: HTTPException) -> Response:
        response = _problem(error.code or 500, error.name, error.description or error.name)
        for name, value in error.get_headers():
            if name.lower() not in {"content-type", "content-length"}:
                response.headers[name] = value
        return response

    @app.errorhandler(Exception)
    def fail(error: Exception) -> Response:
        app.logger.error("request %s failed", g.get("request_id", ""), exc_info=error)
        return _problem(500, "Internal error", "the service failed; its log has the reason under this request_id")


def _problem(
    status: int, title: str, detail: str, problems: tuple[FieldProblem, ...] = (), *, retry: bool = False
) -> Response:
    """An RFC 9457 problem document."""
    body = {
        "type": "about:blank",
        "title": title,
        "status": status,
        "detail": detail,
        "errors": [{"field": p.field, "message": p.message} for p in problems],
        "request_id": g.get("request_id", ""),
    }
    response = Response(json.dumps(body, ensure_ascii=False), status, mimetype="application/problem+json")
    if retry:
        response.headers["Retry-After"] = "5"
    return response

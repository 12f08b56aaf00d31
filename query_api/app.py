"""The Flask application: routes, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
from flask import Flask, Response, jsonify, request, send_from_directory

from es_mappings.errors import FieldProblem, InvalidRequest, ItemNotFound
from es_mappings.schema import lookup
from es_mappings.settings import PageSettings, Settings
from query_api.edge.access import guard
from query_api.edge.compression import compress_answers
from query_api.edge.headers import kept, tell_browsers
from query_api.edge.identity import name_requests
from query_api.edge.problems import answer_with_problems
from query_api.edge.serial import Orjson
from query_api.edge.telling import tell_operators
from query_api.edge.tracing import trace_requests
from query_api.keys import KeyRing
from query_api.limits import MAX_BODY, MAX_ITEMS
from query_api.openapi import operations
from query_api.openapi.describe import described, names_of
from query_api.openapi.parameters import EntitiesParameters, SearchParameters, SimilarParameters, SuggestParameters
from query_api.openapi.routes import add_description
from query_api.querylog.recording import log_searches
from query_api.querylog.writer import QueryLog
from query_api.service import SearchService

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

PAGE = Path(__file__).parent / "page"
PICTURE_SECONDS = 3600
PICTURES = {".png", ".jpg", ".jpeg", ".webp", ".gif", ".avif"}


def create_app(
    settings: Settings,
    service: SearchService | None = None,
    keys: KeyRing | None = None,
    log: QueryLog | None = None,
    tracer: Tracer | None = None,
) -> Flask:
    """The application for these settings.

    keys: who may ask; None: whoever is on this machine. log: where searches are written down, see `open_log`. tracer:
    of OpenTelemetry, to tell it of each request.
    Raises SettingsError and EncoderError; no engine is asked yet.
    """
    app = Flask(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY
    app.json = Orjson(app)
    # An id may be an address: http://shop/1.
    app.url_map.merge_slashes = False
    search = service or SearchService.from_settings(settings)
    compress_answers(app)
    tell_browsers(app, settings.service.cors)
    registry = tell_operators(app)
    if log is not None:
        log_searches(app, log, registry)
    name_requests(app)
    if tracer is not None:
        trace_requests(app, tracer)
    guard(app, settings.service, keys)
    answer_with_problems(app)
    _add_search(app, search)
    _add_entities(app, search)
    _add_items(app, search, settings.page)
    _add_health(app, search)
    _add_page(app, search, settings)
    add_description(app, keys=keys is not None)
    return app


def _add_search(app: Flask, search: SearchService) -> None:
    @app.get("/v1/search")
    @described(operations.SEARCH_BY_WORDS)
    def search_by_words() -> Response:
        """Find items by words."""
        given = _parameters(*names_of(SearchParameters))
        body: dict[str, Any] = {"query": given.get("q", "")}
        body |= {name: _number(name) for name in ("size", "from") if name in given}
        body |= {"after": given["after"]} if "after" in given else {}
        body |= {"fusion": {"method": given["fusion"]}} if "fusion" in given else {}
        with _named_as({"fusion.method": "fusion"}):
            return jsonify(search.search(body))

    @app.post("/v1/search")
    @described(operations.SEARCH_BY_BODY)
    def search_by_body() -> Response:
        """Find items by a list of weighted terms: words, pictures, items, entities, vectors, users."""
        if request.mimetype == "multipart/form-data":
            return jsonify(search.search(*_multipart()))
        if request.mimetype != "application/json":
            raise InvalidRequest.at("Content-Type", "must be application/json or multipart/form-data")
        return jsonify(search.search(_json(request.get_data(), "body")))

    @app.post("/v1/why")
    @described(operations.WHY)
    def why() -> Response:
        """Tell which words and which part of its picture made an item a hit."""
        if request.mimetype == "multipart/form-data":
            return jsonify(search.why(*_multipart()))
        if request.mimetype != "application/json":
            raise InvalidRequest.at("Content-Type", "must be application/json or multipart/form-data")
        return jsonify(search.why(_json(request.get_data(), "body")))

    @app.post("/v1/recommend")
    @described(operations.RECOMMEND)
    def recommend() -> Response:
        """Recommend items to a user, or to who likes some items."""
        if request.mimetype != "application/json":
            raise InvalidRequest.at("Content-Type", "must be application/json")
        items = {f"query[{position}].item": f"items[{position}]" for position in range(MAX_ITEMS)}
        with _named_as({"query[0].user": "user"} | items):
            return jsonify(search.recommend(_json(request.get_data(), "body")))

    @app.get("/v1/suggest")
    @described(operations.SUGGEST)
    def suggest() -> Response:
        """Continue what is typed by titles of items."""
        given = _parameters(*names_of(SuggestParameters))
        size = {"size": _number("size")} if "size" in given else {}
        return jsonify(search.suggest(given.get("q", ""), **size))


def _add_entities(app: Flask, search: SearchService) -> None:
    @app.get("/v1/entities")
    @described(operations.ENTITIES)
    def entities() -> Response:
        """Entities of the knowledge graph that a name may mean."""
        given = _parameters(*names_of(EntitiesParameters))
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
    @described(operations.IMAGE)
    def image(identifier: str) -> Response:
        """An item's picture."""
        item = search.item(identifier)
        path = lookup(item["source"], page.image) if page.image else None
        if not isinstance(path, str) or Path(path).suffix.lower() not in PICTURES:
            raise ItemNotFound(f"the item {identifier!r} has no picture")
        return kept(send_from_directory(page.media, path), PICTURE_SECONDS)

    @app.get("/v1/items/<path:identifier>/similar")
    @described(operations.SIMILAR)
    def similar(identifier: str) -> Response:
        """The items nearest to this one by any of its modalities."""
        given = _parameters(*names_of(SimilarParameters))
        wishes: dict[str, Any] = {
            argument: _number(name) for name, argument in (("size", "size"), ("from", "offset")) if name in given
        }
        if "modalities" in given:
            wishes["modalities"] = given["modalities"].split(",")
        with _named_as({"query[0].modalities": "modalities", "query[0].item": "id"}):
            return jsonify(search.similar(identifier, **wishes))

    @app.get("/v1/items/<path:identifier>")
    @described(operations.ITEM_BY_ID)
    def item(identifier: str) -> Response:
        """One item."""
        return kept(jsonify(search.item(identifier)))


def _add_health(app: Flask, search: SearchService) -> None:
    @app.get("/healthz")
    @described(operations.ALIVE)
    def alive() -> Response:
        """Whether the process answers."""
        return jsonify(status="ok")

    @app.get("/readyz")
    @described(operations.READY)
    def ready() -> Response:
        """Whether searches can be answered: the engine answers, the index fits the settings, models are loaded."""
        search.warm()
        return jsonify(status="ready", items=search.check())


def _add_page(app: Flask, search: SearchService, settings: Settings) -> None:
    @app.get("/")
    def page() -> Response:
        return kept(send_from_directory(PAGE, "index.html"))

    @app.get("/page/<path:name>")
    def page_file(name: str) -> Response:
        return kept(send_from_directory(PAGE, name))

    @app.get("/v1/config")
    @described(operations.CONFIG)
    def config() -> Response:
        """What a search page needs to know of the index."""
        told = jsonify(
            title=settings.engine.index,
            fields={"title": settings.page.title, "image": settings.page.image},
            modalities=list(search.schema.modalities),
            facets=list(search.schema.facets),
            filters={field.name: field.type for field in search.schema.filters},
            languages=list(search.schema.languages),
            image_url="/v1/items/{id}/image",
        )
        return kept(told)

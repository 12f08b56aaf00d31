"""The OpenAPI 3.1 document: routes that describe themselves, and pydantic's schemas of their forms and answers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from http import HTTPStatus
from importlib.metadata import version
from typing import Any

from flask import Flask
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from query_api.edge.problems import MIMETYPE
from query_api.openapi.answers import Problem
from query_api.openapi.describe import Operation, operation_of

JSON = dict[str, Any]

REFERENCE = "#/components/schemas/{model}"
CONVERTER = re.compile(r"<(?:\w+:)?(\w+)>")
ABOUT = """\
Hybrid search: BM25 beside the largest calibrated cosine over text, image and graph vectors.

The examples are for the demo catalogue. Every answer has the header `X-Request-Id`, which is the caller's own if the
request brought one; problem documents carry it too.
"""
ALWAYS = (400, 403, 503)
"""Statuses that any route may refuse with."""
GUARDED = (401, 429)
"""Those of a route that asks for a key."""


def document(app: Flask, *, keys: bool) -> JSON:
    """The description of every route that has one. keys: whether the service asks for keys."""
    routes = list(_routes(app))
    used = (m for _, _, _, operation, _ in routes for m in (operation.answer, operation.body) if isinstance(m, type))
    models: dict[type[BaseModel], None] = dict.fromkeys((Problem, *used))
    references, schemas = models_json_schema([(m, "validation") for m in models], ref_template=REFERENCE)
    named = {model: references[model, "validation"] for model in models}
    paths: dict[str, JSON] = {}
    for path, method, endpoint, operation, told in routes:
        paths.setdefault(path, {})[method] = _operation(endpoint, path, operation, told, named, keys)
    components: JSON = {"schemas": schemas["$defs"]}
    if keys:
        components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    return {
        "openapi": "3.1.0",
        "info": {"title": "maxcos", "version": version("maxcos"), "description": ABOUT},
        "tags": [{"name": name} for name in ("search", "items", "operations")],
        "paths": paths,
        "components": components,
    }


def _routes(app: Flask) -> Iterator[tuple[str, str, str, Operation, str]]:
    """Path, method, endpoint, description and docstring of each described route."""
    for rule in app.url_map.iter_rules():
        view = app.view_functions[rule.endpoint]
        operation = operation_of(view)
        if operation is not None:
            path = CONVERTER.sub(r"{\1}", rule.rule)
            for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
                yield path, method.lower(), rule.endpoint, operation, view.__doc__ or ""


def _operation(
    endpoint: str, path: str, operation: Operation, told: str, named: dict[type[BaseModel], JSON], keys: bool
) -> JSON:
    summary, _, description = (part.strip() for part in told.partition("\n"))
    asks = keys and operation.scope is not None
    described: JSON = {
        "operationId": endpoint,
        "tags": [operation.tag],
        "summary": summary.rstrip("."),
        "parameters": [*_place(path, operation), *_parameters(operation)],
        "responses": _responses(operation, named, GUARDED if asks else ()),
    }
    if description:
        described["description"] = " ".join(description.split())
    if operation.body is not None:
        described["requestBody"] = {"required": True, "content": _bodies(operation, named[operation.body])}
    if asks:
        described["security"] = [{"key": []}]
        described["x-scope"] = operation.scope
    return described


def _place(path: str, operation: Operation) -> list[JSON]:
    found = []
    for name in re.findall(r"{(\w+)}", path):
        parameter: JSON = {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        found.append(parameter | ({"example": operation.place[name]} if name in operation.place else {}))
    return found


def _parameters(operation: Operation) -> list[JSON]:
    if operation.parameters is None:
        return []
    schema = operation.parameters.model_json_schema()
    required = schema.get("required", [])
    found = []
    for name, form in schema["properties"].items():
        parameter: JSON = {"name": name, "in": "query", "required": name in required}
        if "description" in form:
            parameter["description"] = form.pop("description")
        if examples := form.pop("examples", None):
            parameter["example"] = examples[0]
        if form.get("default") == "":  # there is none: the parameter may be left out
            form.pop("default")
        form.pop("title", None)
        found.append({**parameter, "schema": form})
    return found


def _bodies(operation: Operation, reference: JSON) -> JSON:
    examples = {name: {"value": value} for name, value in operation.examples.items()}
    content: JSON = {"application/json": {"schema": reference, **({"examples": examples} if examples else {})}}
    if operation.picture:
        parts = {
            "image": {"type": "string", "format": "binary", "description": "A picture."},
            "request": reference,
        }
        form = {"type": "object", "properties": parts, "required": ["image"], "additionalProperties": False}
        content["multipart/form-data"] = {
            "schema": form,
            "encoding": {"request": {"contentType": "application/json"}},
        }
    return content


def _responses(operation: Operation, named: dict[type[BaseModel], JSON], guarded: tuple[int, ...]) -> JSON:
    if isinstance(operation.answer, tuple):
        content: JSON = {kind: {} for kind in operation.answer}
    else:
        content = {"application/json": {"schema": named[operation.answer]}}
    responses: JSON = {"200": {"description": "OK", "content": content}}
    if operation.kept:
        responses["304"] = {"description": "Not changed since the ETag in If-None-Match"}
    problem = {MIMETYPE: {"schema": named[Problem]}}
    long = (414,) if operation.parameters is not None else ()
    for status in sorted({*ALWAYS, *long, *operation.refusals, *guarded}):
        responses[str(status)] = {"description": HTTPStatus(status).phrase, "content": problem}
    return responses

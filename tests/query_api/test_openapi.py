"""The description of the service: whole, valid, and with examples that work."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from flask import Flask
from flask.testing import FlaskClient
from openapi_spec_validator import validate

from es_mappings.settings import Settings
from query_api.app import create_app
from query_api.openapi import examples
from query_api.openapi.describe import operation_of

OWN = {"page", "page_file", "openapi", "docs", "docs_file"}
"""Routes for browsers: they send the page and the description itself."""


@pytest.fixture(scope="module")
def app(shop: Settings) -> Flask:
    return create_app(shop)


@pytest.fixture(scope="module")
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture(scope="module")
def document(client: FlaskClient) -> dict[str, Any]:
    found: dict[str, Any] = client.get("/openapi.json").get_json()
    return found


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def test_every_route_is_described(app: Flask) -> None:
    routes = {rule.endpoint for rule in app.url_map.iter_rules()}
    assert {name for name in routes if operation_of(app.view_functions[name]) is None} == OWN


def test_the_document_is_valid(document: dict[str, Any]) -> None:
    validate(document)
    assert document["openapi"] == "3.1.0"
    for _, _, operation in operations(document):
        assert operation["summary"]
        assert {"200", "400", "503"} <= set(operation["responses"])
    assert "securitySchemes" not in document["components"]


def test_every_example_works(app: Flask, client: FlaskClient, document: dict[str, Any]) -> None:
    sent = 0
    for path, method, operation in operations(document):
        given = {p["name"]: p["example"] for p in operation["parameters"] if p["in"] == "query" and "example" in p}
        for parameter in operation["parameters"]:
            if parameter["in"] == "path":
                path = path.replace(f"{{{parameter['name']}}}", quote(parameter["example"], safe=""))
        content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
        bodies: list[Any] = [example["value"] for example in content.get("examples", {}).values()] or [None]
        described = operation_of(app.view_functions[operation["operationId"]])
        assert described is not None
        for body in bodies:
            with client.open(path, method=method, query_string=given, json=body) as answer:
                assert answer.status_code == 200, (path, body, answer.text)
                sent += 1
                if isinstance(described.answer, tuple):
                    assert answer.mimetype in described.answer
                else:
                    described.answer.model_validate(json.loads(answer.data))
    without_bodies = [operation for _, _, operation in operations(document) if "requestBody" not in operation]
    bodies = (examples.SEARCHES, examples.EXPLANATIONS, examples.RECOMMENDATIONS)
    assert sent == sum(map(len, bodies)) + len(without_bodies)


def test_the_picture_of_the_examples_may_come_as_a_file(client: FlaskClient, document: dict[str, Any]) -> None:
    form = document["paths"]["/v1/search"]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert set(form["properties"]) == {"image", "request"}
    picture = io.BytesIO(base64.b64decode(examples.PICTURE))
    answer = client.post("/v1/search", data={"image": (picture, "brown.png"), "request": '{"size": 1}'})
    assert answer.status_code == 200, answer.text


def test_what_the_page_of_the_description_needs_comes_from_here(client: FlaskClient) -> None:
    with client.get("/docs") as page:
        assert page.status_code == 200
        assert "script-src 'self';" in page.headers["Content-Security-Policy"]
    for name in ("swagger-ui.css", "swagger-ui-bundle.js"):
        with client.get(f"/docs/{name}", headers={"Accept-Encoding": "gzip"}) as file:
            assert file.status_code == 200
            assert file.headers["Content-Encoding"] == "gzip"
    assert client.get("/docs/plugins.py").status_code == 404

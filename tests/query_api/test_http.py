"""The HTTP contract on the demo catalogue: shapes, statuses and problem documents."""

from __future__ import annotations

import base64
import io
import json
import re
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from es_mappings.settings import Settings
from query_api.app import create_app


@pytest.fixture(scope="module")
def client(shop: Settings) -> FlaskClient:
    return create_app(shop).test_client()


def picture(shop: Settings, identifier: str) -> bytes:
    return (shop.page.media / "icons" / f"{identifier}.png").read_bytes()


def assert_problem(answer: TestResponse, status: int, *fields: str) -> dict[str, Any]:
    assert answer.status_code == status
    assert answer.mimetype == "application/problem+json"
    body: dict[str, Any] = json.loads(answer.data)
    assert set(body) == {"type", "title", "status", "detail", "errors", "request_id"}
    assert body["status"] == status
    assert body["request_id"] == answer.headers["X-Request-Id"]
    assert [error["field"] for error in body["errors"]] == list(fields)
    return body


def test_search_has_the_shape_of_the_contract(client: FlaskClient) -> None:
    body = {
        "query": "sofa",
        "facets": ["category"],
        "size": 3,
        "highlight": True,
        "filter": {"category": "Living room", "width": {"gt": 50}},
    }
    answer = client.post("/v1/search", json=body)
    assert answer.status_code == 200
    found = answer.get_json()
    assert set(found) == {"took_ms", "engine_ms", "plan", "total", "hits", "facets"}
    assert found["plan"]["kind"] == "exact"
    assert found["total"] == {"value": found["plan"]["candidates"], "relation": "eq"}
    assert found["facets"]["category"] == [{"value": "Living room", "count": found["total"]["value"]}]
    assert len(found["hits"]) == 3
    for hit in found["hits"]:
        assert set(hit) == {"id", "score", "modality", "contributions", "source", "highlight"}
        assert hit["source"]["category"] == "Living room"
        assert hit["source"]["width"] > 50
        assert set(hit["contributions"]) <= {"text", "image", "graph", "lexical"}
    assert "<em>Sofa</em>" in found["hits"][0]["highlight"]["title"][0]


def test_contributions_add_up_to_the_score(client: FlaskClient) -> None:
    for method in ("max", "hybrid", "lexical"):
        for query in ("椅子", "wooden table"):
            body = {"query": query, "size": 20, "fusion": {"method": method, "weights": {"image": 0.7}}}
            for hit in client.post("/v1/search", json=body).get_json()["hits"]:
                shares = {m: s for m, s in hit["contributions"].items() if s is not None}
                lexical = shares.pop("lexical", None)
                best = max((s["weight"] * s["calibrated"] for s in shares.values()), default=0.0)
                score = best + (lexical["weight"] * lexical["saturated"] if lexical else 0.0)
                assert abs(score - hit["score"]) < 1e-4
                if shares:
                    winner = shares[hit["modality"]]
                    assert winner["weight"] * winner["calibrated"] == best


def test_get_and_post_agree(client: FlaskClient) -> None:
    got = client.get("/v1/search?q=lamp&size=5&from=2").get_json()
    posted = client.post("/v1/search", json={"query": "lamp", "size": 5, "from": 2}).get_json()
    assert [hit["id"] for hit in got["hits"]] == [hit["id"] for hit in posted["hits"]]


def test_pages_follow_each_other(client: FlaskClient) -> None:
    def ids(start: int, size: int) -> list[str]:
        body = {"query": "bed", "from": start, "size": size}
        return [hit["id"] for hit in client.post("/v1/search", json=body).get_json()["hits"]]

    assert ids(0, 5) + ids(5, 5) + ids(10, 10) == ids(0, 20)


def test_a_picture_finds_its_item_by_multipart_and_by_base64(client: FlaskClient, shop: Settings) -> None:
    data = picture(shop, "scopia-bed1")
    form = {"image": (io.BytesIO(data), "bed.png"), "request": json.dumps({"size": 2})}
    found = client.post("/v1/search", data=form).get_json()
    assert found["hits"][0]["id"] == "scopia-bed1"
    assert found["hits"][0]["modality"] == "image"
    assert found["hits"][0]["contributions"]["image"]["space"] == "image"
    again = client.post("/v1/search", json={"query": [{"image": base64.b64encode(data).decode()}], "size": 2})
    assert again.get_json()["hits"] == found["hits"]


def test_an_item_finds_others_and_not_itself(client: FlaskClient) -> None:
    found = client.post("/v1/search", json={"query": [{"item": "scopia-bed1"}]}).get_json()
    assert "scopia-bed1" not in [hit["id"] for hit in found["hits"]]
    assert set(found["hits"][0]["contributions"]) == {"text", "image", "graph"}


def test_an_entity_finds_its_items(client: FlaskClient) -> None:
    found = client.post("/v1/search", json={"query": [{"entity": "tag:couch"}], "size": 5}).get_json()
    assert {hit["modality"] for hit in found["hits"]} == {"graph"}
    assert sum("Couch" in hit["source"]["tags"] for hit in found["hits"]) >= 4


def test_opposite_terms_cancel_and_that_is_said(client: FlaskClient) -> None:
    body = {"query": [{"item": "scopia-bed1"}, {"item": "scopia-bed1", "weight": -1}]}
    assert_problem(client.post("/v1/search", json=body), 400, "query")


def test_explain_gives_what_is_computed(client: FlaskClient) -> None:
    found = client.post("/v1/search", json={"query": "sofa", "explain": "engine"}).get_json()
    assert found["explain"]["body"]["match"] == '"sofa"'


def test_an_item_comes_back(client: FlaskClient, shop: Settings) -> None:
    found = client.get("/v1/items/scopia-bed1").get_json()
    assert found["source"]["title"] == "Bed"
    assert found["modalities"] == ["text", "image", "graph"]
    with client.get("/v1/items/scopia-bed1/image") as answer:
        assert answer.status_code == 200
        assert answer.mimetype == "image/png"
        assert answer.data == picture(shop, "scopia-bed1")


@pytest.mark.parametrize(
    ("request_", "status", "fields"),
    [
        ({"path": "/v1/search", "method": "GET"}, 400, ["query"]),
        ({"path": "/v1/search?q=a&size=ten", "method": "GET"}, 400, ["size"]),
        ({"path": "/v1/search?q=a&sort=x", "method": "GET"}, 400, ["sort"]),
        ({"path": "/v1/search", "data": b"{", "content_type": "application/json"}, 400, ["body"]),
        ({"path": "/v1/search", "data": b'{"query": "\\ud800"}', "content_type": "application/json"}, 400, ["body"]),
        ({"path": "/v1/search", "data": b"q=1", "content_type": "text/plain"}, 400, ["Content-Type"]),
        ({"path": "/v1/search", "data": {"request": "{}"}, "content_type": "multipart/form-data"}, 400, ["image"]),
        ({"path": "/v1/search", "json": {"query": "a", "colour": 1}}, 400, ["colour"]),
        ({"path": "/v1/search", "json": {"query": [{"item": "nobody"}]}}, 400, ["query[0].item"]),
        ({"path": "/v1/search", "json": {"query": [{"entity": "nobody"}]}}, 400, ["query[0]"]),
        ({"path": "/v1/search", "json": {"query": [{"image": "AAAA"}]}}, 400, ["query[0]"]),
        ({"path": "/v1/items/nobody", "method": "GET"}, 404, []),
        ({"path": "/v1/items/nobody/image", "method": "GET"}, 404, []),
        ({"path": "/nowhere", "method": "GET"}, 404, []),
        ({"path": "/v1/search", "method": "DELETE"}, 405, []),
    ],
)
def test_bad_requests_become_problem_documents(
    client: FlaskClient, request_: dict[str, Any], status: int, fields: list[str]
) -> None:
    assert_problem(client.open(**{"method": "POST", **request_}), status, *fields)


def test_a_body_that_is_too_large_is_refused(client: FlaskClient) -> None:
    assert_problem(client.post("/v1/search", data=b"x" * (33 << 20), content_type="application/json"), 413)


def test_health_and_readiness(client: FlaskClient) -> None:
    assert client.get("/healthz").get_json() == {"status": "ok"}
    assert client.get("/readyz").get_json() == {"status": "ready", "items": 820}


def test_an_engine_that_is_gone_is_said_to_be_gone(shop: Settings) -> None:
    gone = shop.model_copy(update={"engine": shop.engine.model_copy(update={"url": "http://127.0.0.1:9"})})
    client = create_app(gone).test_client()
    assert client.get("/healthz").status_code == 200
    for answer in (client.get("/readyz"), client.get("/v1/search?q=sofa")):
        assert_problem(answer, 503)
        assert answer.headers["Retry-After"] == "5"


def test_the_page_loads_nothing_from_elsewhere(client: FlaskClient) -> None:
    with client.get("/") as page:
        assert page.status_code == 200
        assert "default-src 'none'" in page.headers["Content-Security-Policy"]
        html = page.text
    loaded = re.findall(r'(?:src|href)="([^"#]+)"', html)
    assert loaded
    assert all(link.startswith(("/", "data:")) for link in loaded)
    size = len(html.encode())
    for link in loaded:
        if link.startswith("/page"):
            with client.get(link) as file:
                size += len(file.data)
    assert size < 150_000

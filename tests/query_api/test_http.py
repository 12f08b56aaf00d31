"""The HTTP contract on the demo catalogue: shapes, statuses and problem documents."""

from __future__ import annotations

import base64
import io
import json
import math
import re
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from es_mappings.settings import Settings
from query_api.app import create_app
from query_api.service import SearchService
from scores import recomputed

JSON = {"content_type": "application/json"}
DEEP = b'{"category":' + b"[" * 1000 + b"]" * 1000 + b"}"


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


def ask(client: FlaskClient, query: Any = "sofa", **body: Any) -> dict[str, Any]:
    answer = client.post("/v1/search", json={"query": query, **body})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.get_json()
    return found


def ids(answer: dict[str, Any]) -> list[str]:
    return [hit["id"] for hit in answer["hits"]]


def test_search_has_the_shape_of_the_contract(client: FlaskClient) -> None:
    wide = {"category": "Living room", "width": {"gt": 50}}
    found = ask(client, "sofa", facets=["category"], size=3, highlight=True, filter=wide)
    assert set(found) == {"took_ms", "engine_ms", "plan", "total", "hits", "facets", "next"}
    assert set(found["plan"]) == {"kind", "reason", "candidates", "fusion"}
    assert found["plan"]["kind"] == "exact"
    total = found["total"]["value"]
    assert found["total"] == {"value": found["plan"]["candidates"], "relation": "eq", "of": "filtered"}
    assert {"value": "Living room", "count": total} in found["facets"]["category"]
    assert found["next"] is None
    assert len(found["hits"]) == 3
    for hit in found["hits"]:
        assert set(hit) == {"id", "score", "modality", "contributions", "source", "highlight"}
        assert hit["source"]["category"] == "Living room"
        assert hit["source"]["width"] > 50
        assert set(hit["contributions"]) <= {"text", "image", "graph", "lexical"}
    assert "<em>Sofa</em>" in found["hits"][0]["highlight"]["title"][0]


POLICIES = [
    *((method, missing, "raw") for method in ("max", "hybrid", "rrf") for missing in ("ignore", "require")),
    *((method, missing, "fitted") for method in ("max", "hybrid") for missing in ("ignore", "penalize", "require")),
    *(("rrf", "ignore", "fitted"), ("rrf", "require", "fitted"), ("lexical", "ignore", "raw")),
]


@pytest.mark.parametrize(("method", "missing", "calibration"), POLICIES)
def test_every_score_follows_from_the_answer(client: FlaskClient, method: str, missing: str, calibration: str) -> None:
    fusion = {"method": method, "missing": missing, "calibration": calibration}
    for query in ("椅子", "wooden table", [{"text": "lamp"}, {"entity": "tag:couch", "weight": 0.5}]):
        for weights in ({}, {"image": 0.7, "graph": 0.3, "lexical": 1.5}):
            found = ask(client, query, size=40, fusion={**fusion, "weights": weights})
            assert found["plan"]["fusion"]["method"] == method
            assert found["plan"]["fusion"]["calibration"] == calibration
            assert found["hits"]
            for hit in found["hits"]:
                assert recomputed(hit, found["plan"]["fusion"]) == pytest.approx(hit["score"], abs=1e-4)
            scores = [hit["score"] for hit in found["hits"]]
            assert scores == sorted(scores, reverse=True)


def test_get_and_post_agree(client: FlaskClient) -> None:
    got = client.get("/v1/search?q=lamp&size=5&from=2&fusion=rrf").get_json()
    assert ids(got) == ids(ask(client, "lamp", size=5, **{"from": 2}, fusion={"method": "rrf"}))


@pytest.mark.parametrize("method", ["max", "hybrid", "rrf", "lexical"])
def test_pages_follow_each_other(client: FlaskClient, method: str) -> None:
    def page(start: int, size: int) -> list[str]:
        return ids(ask(client, "bed", size=size, fusion={"method": method}, **{"from": start}))

    assert page(0, 5) + page(5, 5) + page(10, 10) == page(0, 20)


def walk(client: FlaskClient, **body: Any) -> list[str]:
    found = ask(client, after="*", **body)
    walked = ids(found)
    while found["next"] is not None:
        found = ask(client, after=found["next"], **body)
        walked += ids(found)
    return walked


@pytest.mark.parametrize(
    "body",
    [
        {"query": "chair", "size": 200},
        {"query": "chair", "size": 7, "filter": {"category": "Office"}, "sort": [{"width": "desc"}, "_score"]},
        {"query": "椅子", "size": 10, "fusion": {"method": "lexical"}},
        {"query": [{"item": "scopia-bed1"}], "size": 150, "fusion": {"method": "max"}, "filter": {"movable": True}},
    ],
)
def test_a_walk_meets_every_hit_once_and_in_order(client: FlaskClient, body: dict[str, Any]) -> None:
    walked = walk(client, **body)
    assert len(walked) == len(set(walked))
    first = ask(client, **body)
    assert walked[: body["size"]] == ids(first)
    assert len(walked) == first["total"]["value"]  # every item of the demo has a vector to be compared with
    deep = body["size"] * 2
    assert walked[body["size"] : deep] == ids(ask(client, **{**body, "from": body["size"]}))


def test_a_walk_through_a_fused_list_ends_with_its_window(client: FlaskClient) -> None:
    body = {"query": "chair", "size": 200, "fusion": {"method": "rrf"}}
    walked = walk(client, **body)
    assert len(walked) == len(set(walked)) == 500
    assert walked[200:400] == ids(ask(client, **{**body, "from": 200}))


def test_a_walk_by_get(client: FlaskClient) -> None:
    first = client.get("/v1/search?q=desk&size=3&after=*").get_json()
    second = client.get(f"/v1/search?q=desk&size=3&after={first['next']}").get_json()
    assert ids(first) + ids(second) == ids(client.get("/v1/search?q=desk&size=6").get_json())
    assert_problem(client.get(f"/v1/search?q=table&size=3&after={first['next']}"), 400, "after")
    assert_problem(client.get(f"/v1/search?q=desk&size=3&after={first['next'][:-3]}"), 400, "after")


def test_totals_are_counted_as_far_as_wanted(client: FlaskClient) -> None:
    assert ask(client)["total"] == {"value": 820, "relation": "eq", "of": "filtered"}
    assert ask(client, track_total_hits=100)["total"] == {"value": 100, "relation": "gte", "of": "filtered"}
    assert ask(client, track_total_hits=820)["total"]["relation"] == "eq"
    assert ask(client, track_total_hits=False)["total"] is None
    words = ask(client, fusion={"method": "lexical"})["total"]
    assert words["of"] == "matching"
    assert 0 < words["value"] < 820


def test_facets_leave_their_own_choice_out(client: FlaskClient) -> None:
    free = ask(client, facets=["category", "size"])["facets"]
    chosen = ask(client, facets=["category", "size"], filter={"category": ["Office", "Bedroom"]})
    assert chosen["facets"]["category"] == free["category"]
    counts = {row["value"]: row["count"] for row in free["category"]}
    assert chosen["total"]["value"] == counts["Office"] + counts["Bedroom"]
    assert sum(row["count"] for row in chosen["facets"]["size"]) == chosen["total"]["value"]


def test_ranges_come_back_as_they_were_asked(client: FlaskClient) -> None:
    widths: list[dict[str, Any]] = [{"to": 50}, {"from": 50, "to": 100.5}, {"from": 100.5}]
    years = [{"to": "2012-01-01"}, {"from": "2012-01-01", "to": "2014-01-01T00:00:00+01:00"}]
    body = {"facets": [{"field": "width", "ranges": widths}, {"field": "created", "ranges": years}]}
    facets = ask(client, **body)["facets"]
    for field, ranges in (("width", widths), ("created", years)):
        assert [{k: v for k, v in row.items() if k != "count"} for row in facets[field]] == ranges
    assert sum(row["count"] for row in facets["width"]) == 820
    narrow = ask(client, filter={"width": {"lt": 50}}, **body)
    assert narrow["facets"]["width"] == facets["width"]
    assert narrow["total"]["value"] == facets["width"][0]["count"]


def test_results_are_sorted_by_fields(client: FlaskClient) -> None:
    found = ask(client, sort=["category", {"width": "desc"}], size=100, filter={"width": {"exists": True}})
    keys = [(hit["source"]["category"], -hit["source"]["width"]) for hit in found["hits"]]
    assert keys == sorted(keys)
    assert all(hit["score"] > 0 for hit in found["hits"])
    best = ids(ask(client, size=20))
    assert ids(ask(client, size=20, sort=["_score"])) == best


def test_filters_know_what_exists_and_how_it_begins(client: FlaskClient) -> None:
    begun = ask(client, filter={"category": {"prefix": "Living"}}, size=50)
    assert {hit["source"]["category"] for hit in begun["hits"]} == {"Living room"}
    without = ask(client, filter={"creator": {"exists": False}})["total"]["value"]
    with_ = ask(client, filter={"creator": {"exists": True}})["total"]["value"]
    assert without + with_ == 820
    assert with_ > 0


def test_a_vector_finds_in_its_space_whatever_its_length(client: FlaskClient, shop: Settings) -> None:
    dims = dict(load_spaces(shop))
    direction = [math.sin(n) for n in range(dims["graph"])]
    found = [
        ask(client, [{"vector": [x * length for x in direction], "space": "graph"}], fusion={"method": "max"})
        for length in (1, 1e-300, 1e300)
    ]
    assert ids(found[0]) == ids(found[1]) == ids(found[2])
    assert set(found[0]["hits"][0]["contributions"]) == {"graph"}


def load_spaces(shop: Settings) -> list[tuple[str, int]]:
    service = SearchService.from_settings(shop)
    service.close()
    return [(space.name, space.dims) for space in service.schema.spaces]


def test_similar_items_are_those_of_the_item_under_max(client: FlaskClient) -> None:
    found = client.get("/v1/items/scopia-bed1/similar?size=5&from=1").get_json()
    asked = ask(client, [{"item": "scopia-bed1"}], fusion={"method": "max"}, size=5, **{"from": 1})
    assert found["hits"] == asked["hits"]
    assert set(found) == set(asked)
    looks = client.get("/v1/items/scopia-bed1/similar?modalities=image,graph").get_json()
    assert {hit["modality"] for hit in looks["hits"]} <= {"image", "graph"}
    assert all(set(hit["contributions"]) == {"image", "graph"} for hit in looks["hits"])
    assert "scopia-bed1" not in ids(looks)


def test_typed_words_are_continued(client: FlaskClient) -> None:
    found = client.get("/v1/suggest?q=arm&size=5").get_json()
    assert set(found) == {"suggestions", "took_ms"}
    assert 0 < len(found["suggestions"]) <= 5
    for suggestion in found["suggestions"]:
        assert set(suggestion) == {"text", "count"}
        assert any(word.startswith("arm") for word in suggestion["text"].lower().split())
        assert suggestion["count"] >= 1
    assert client.get("/v1/suggest?q=qqqqqq").get_json()["suggestions"] == []


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
    assert "sofa" in json.dumps(found["explain"]["body"])
    assert "explain" not in ask(client)


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
        ({"path": "/v1/search?q=a&q=b&x=1", "method": "GET"}, 400, ["q", "x"]),
        ({"path": "/v1/search?q=a&fusion=min", "method": "GET"}, 400, ["fusion"]),
        ({"path": "/v1/search?q=a&after=abc", "method": "GET"}, 400, ["after"]),
        ({"path": "/v1/search?q=a&after=*&from=5", "method": "GET"}, 400, ["from"]),
        ({"path": "/v1/search?q=a&fusion=rrf&from=500", "method": "GET"}, 400, ["from"]),
        ({"path": "/v1/search", "data": b"{", "content_type": "application/json"}, 400, ["body"]),
        ({"path": "/v1/search", "data": b'{"query": "\\ud800"}', "content_type": "application/json"}, 400, ["body"]),
        ({"path": "/v1/search", "data": b"q=1", "content_type": "text/plain"}, 400, ["Content-Type"]),
        ({"path": "/v1/search", "data": {"request": "{}"}, "content_type": "multipart/form-data"}, 400, ["image"]),
        ({"path": "/v1/search", "json": {"query": "a", "colour": 1}}, 400, ["colour"]),
        ({"path": "/v1/search", "json": {"query": [{"item": "nobody"}]}}, 400, ["query[0].item"]),
        ({"path": "/v1/search", "json": {"query": [{"entity": "nobody"}]}}, 400, ["query[0]"]),
        ({"path": "/v1/search", "json": {"query": [{"image": "AAAA"}]}}, 400, ["query[0]"]),
        ({"path": "/v1/search", "json": {"query": [{"vector": [1, 2], "space": "text"}]}}, 400, ["query[0].vector"]),
        ({"path": "/v1/search", "json": {"query": "a", "sort": ["title"]}}, 400, ["sort[0]"]),
        ({"path": "/v1/search", "json": {"query": "a", "facets": ["width"]}}, 400, ["facets[0]"]),
        ({"path": "/v1/search", "json": {"query": "a", "fusion": {"calibration": "no"}}}, 400, ["fusion.calibration"]),
        ({"path": "/v1/search", "data": b'{"query":"a","filter":' + DEEP + b"}", **JSON}, 400, ["filter.category"]),
        (
            {"path": "/v1/search", "data": b'{"query":"a","after":"*","sort":[' + DEEP + b"]}", **JSON},
            400,
            ["sort[0].category"],
        ),
        ({"path": "/v1/suggest", "method": "GET"}, 400, ["q"]),
        ({"path": "/v1/suggest?q=%20", "method": "GET"}, 400, ["q"]),
        ({"path": "/v1/suggest?q=" + "x" * 101, "method": "GET"}, 400, ["q"]),
        ({"path": "/v1/suggest?q=a&size=0", "method": "GET"}, 400, ["size"]),
        ({"path": "/v1/suggest?q=a&size=21", "method": "GET"}, 400, ["size"]),
        ({"path": "/v1/suggest?q=a&limit=2", "method": "GET"}, 400, ["limit"]),
        ({"path": "/v1/items/nobody/similar", "method": "GET"}, 404, []),
        ({"path": "/v1/items/scopia-bed1/similar?size=201", "method": "GET"}, 400, ["size"]),
        ({"path": "/v1/items/scopia-bed1/similar?modalities=smell", "method": "GET"}, 400, ["modalities"]),
        ({"path": "/v1/items/scopia-bed1/similar?q=a", "method": "GET"}, 400, ["q"]),
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
        assert "127.0.0.1" not in answer.text


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

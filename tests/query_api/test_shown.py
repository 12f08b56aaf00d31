"""What callers see of an item where the settings name its fields: nothing of the others, by any way."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from es_mappings.embedded import store_file
from es_mappings.settings import EngineSettings, LexicalSettings, PageSettings, ServiceSettings, Settings
from maxcos.build import ingest_file
from query_api.app import create_app

ITEMS = [
    {"id": "a", "title": "oak chair", "notes": "hidden oak", "cost": 7, "maker": {"name": "Ann", "bank": "hidden"}},
    {"id": "b", "title": "pine chair", "notes": "hidden pine", "cost": 9, "maker": {"name": "Bo", "bank": "hidden"}},
]
SEEN = {"title", "maker"}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> FlaskClient:
    folder = tmp_path_factory.mktemp("shown")
    (folder / "items.jsonl").write_text("".join(json.dumps(item) + "\n" for item in ITEMS), "utf-8")
    settings = Settings(
        engine=EngineSettings(url=f"embedded:{folder / 'store'}"),
        lexical=LexicalSettings(fields=("title", "notes")),
        page=PageSettings(image="notes", media=folder),
        service=ServiceSettings(fields=("title", "maker.name")),
    )
    ingest_file(folder / "items.jsonl", settings, None, None)
    return create_app(settings).test_client()


@pytest.mark.parametrize(
    "path",
    [
        "/v1/search?q=oak",
        "/v1/search?q=hidden",
        "/v1/search?q=oak&fusion=rrf",
        "/v1/search?q=oak&after=*",
        "/v1/items/a",
        "/v1/items/a/image",
        "/v1/items/a/similar",
        "/v1/suggest?q=oa",
        "/v1/config",
    ],
)
def test_other_fields_are_not_told_by_any_route(client: FlaskClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code in {200, 404, 422}
    assert "hidden" not in answer.text and "cost" not in answer.text
    if path.startswith("/v1/search"):
        assert answer.get_json()["hits"]
        assert all(set(hit["source"]) == SEEN for hit in answer.get_json()["hits"])


def test_highlights_and_explanations_show_no_other_field(client: FlaskClient) -> None:
    body = {"query": "oak hidden", "highlight": True, "explain": True}
    answer = client.post("/v1/search", json=body).get_json()
    assert [hit["id"] for hit in answer["hits"]] == ["a", "b"]
    assert answer["hits"][0]["highlight"] == {"title": ["<em>oak</em> chair"]}
    assert "/" not in answer["explain"]["path"]
    why = client.post("/v1/why", json={"query": "oak", "id": "a"}).get_json()
    assert (set(why["hit"]["source"]), set(why["hit"]["highlight"])) == (SEEN, {"title"})


@pytest.mark.parametrize("name", ["notes", "cost", "maker", "maker.bank", "*", "maker.*", "_source"])
def test_another_field_is_refused_by_its_name(client: FlaskClient, name: str) -> None:
    answer = client.post("/v1/search", json={"query": "oak", "fields": ["title", name]})
    assert answer.status_code == 400
    assert answer.get_json()["errors"] == [{"field": "fields[1]", "message": "is none of title, maker.name"}]


def test_a_part_of_what_is_seen_may_be_asked_for(client: FlaskClient) -> None:
    for fields, seen in ((["maker.name"], {"maker": {"name": "Ann"}}), ([], {})):
        answer = client.post("/v1/search", json={"query": "oak", "fields": fields, "size": 1}).get_json()
        assert answer["hits"][0]["source"] == seen


@pytest.mark.parametrize("body", [{"filter": {"cost": 7}}, {"sort": ["cost"]}, {"facets": ["cost"]}])
def test_no_filter_order_or_facet_reaches_a_field_that_is_no_filter(client: FlaskClient, body: object) -> None:
    assert isinstance(body, dict)
    answer = client.post("/v1/search", json={"query": "oak", **body})
    assert answer.status_code == 400
    (error,) = answer.get_json()["errors"]
    assert error["field"] in {"filter.cost", "sort[0]", "facets[0]"}


@pytest.mark.parametrize("content", [None, b"no database"])
def test_where_things_are_kept_is_not_told(tmp_path: Path, content: bytes | None) -> None:
    settings = Settings(engine=EngineSettings(url=f"embedded:{tmp_path}", index="items"))
    if content is not None:
        store_file(settings.engine.url, settings.engine.index).write_bytes(content)
    client = create_app(settings).test_client()
    for path in ("/readyz", "/v1/search?q=oak", "/v1/items/a"):
        answer = client.get(path)
        assert answer.status_code == 503
        assert str(tmp_path) not in answer.text

"""Recommendations through HTTP, on the embedded store and on Elasticsearch: two tastes, and users who have one each."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient

from encoders.parts.centring import LEAST_ITEMS
from encoders.parts.graph_file import GraphFile, read_graph_file
from encoders.training.graph import train_graph
from engines import start_engine
from es_mappings.cluster import connect
from es_mappings.settings import EngineSettings, LexicalSettings, ModalitySettings, Settings
from maxcos.build import ingest_file
from query_api.app import create_app

TASTES = ("sea", "hill")
PER_TASTE = LEAST_ITEMS // 2 + 10
"""So many items that their vectors are centred."""
USERS = 60
NAMES = {f"{taste}-{number}" for taste in TASTES for number in range(PER_TASTE)}


def done_by(user: int) -> list[str]:
    """Some of the items of the user's taste."""
    own = np.random.default_rng(user).choice(PER_TASTE, 12, replace=False)
    return [f"{TASTES[user % 2]}-{number}" for number in own]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recommend")
    items = [{"id": name, "title": f"Tour {name}", "days": number % 5} for number, name in enumerate(sorted(NAMES))]
    (path / "items.jsonl").write_text("\n".join(map(json.dumps, items)), "utf-8")
    rows = (f"{user}\t{item}\t{2 if order else 1}\t{order}" for user in range(USERS) for order, item in
            enumerate(done_by(user)))  # fmt: skip
    (path / "interactions.tsv").write_text("\n".join(rows), "utf-8")
    train_graph(None, None, path / "graph.npz", interactions=path / "interactions.tsv", dims=16, progress=False)
    return path


@pytest.fixture(scope="module")
def graph(folder: Path) -> GraphFile:
    return read_graph_file(folder / "graph.npz")


@pytest.fixture(scope="module", params=["embedded", "elasticsearch-9"])
def client(request: pytest.FixtureRequest, folder: Path) -> Iterator[FlaskClient]:
    embedded = request.param == "embedded"
    url = f"embedded:{folder}/store" if embedded else start_engine(request.param)
    settings = Settings(
        engine=EngineSettings(url=url, index=f"maxcos-test-{uuid.uuid4().hex}"),
        lexical=LexicalSettings(fields=("title",), filters=("days:number",), facets=()),
        modalities={"graph": ModalitySettings(encoder="graph", model=str(folder / "graph.npz"), source=("id",))},
    )
    try:
        assert ingest_file(folder / "items.jsonl", settings).vectors["graph"] > LEAST_ITEMS
        yield create_app(settings).test_client()
    finally:
        if not embedded:
            with closing(connect(settings.engine)) as cluster:
                cluster.request("DELETE", f"/{settings.engine.index}")


def ask(client: FlaskClient, address: str = "/v1/recommend", **body: Any) -> dict[str, Any]:
    answer = client.post(address, json=body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.get_json()
    return found


def ids(answer: dict[str, Any]) -> list[str]:
    return [hit["id"] for hit in answer["hits"]]


def ranked(graph: GraphFile, query: np.ndarray, without: set[str]) -> list[tuple[str, float]]:
    """numpy's order of the items by cosine, the items centred as the index has them."""
    numbers = [number for number, entity in enumerate(graph.entities) if entity in NAMES]
    items = graph.vectors[numbers].astype(np.float64)
    items -= items.mean(axis=0)
    cosines = items @ query / np.linalg.norm(items, axis=1) / np.linalg.norm(query)
    found = [(graph.entities[number], float(cosine)) for number, cosine in zip(numbers, cosines, strict=True)]
    return sorted((pair for pair in found if pair[0] not in without), key=lambda pair: -pair[1])


def test_a_user_gets_what_others_of_the_same_taste_liked(client: FlaskClient) -> None:
    found = {user: ids(ask(client, user=str(user), size=10)) for user in range(10)}
    assert {len(names) for names in found.values()} == {10}
    same = [name.startswith(TASTES[user % 2]) for user, names in found.items() for name in names]
    assert sum(same) > 0.9 * len(same)


def test_the_order_is_that_of_numpy_s_cosines(client: FlaskClient, graph: GraphFile) -> None:
    for user in ("0", "7"):
        expected = ranked(graph, graph.vectors[graph.entities.index(f"user:{user}")], set(done_by(int(user))))
        hits = ask(client, user=user, size=50)["hits"]
        assert [hit["id"] for hit in hits] == [name for name, _ in expected[:50]]
        found = [hit["contributions"]["graph"]["cosine"] for hit in hits]
        np.testing.assert_allclose(found, [cosine for _, cosine in expected[:50]], atol=1e-5)


def test_an_answer_has_the_shape_of_a_search_s(client: FlaskClient) -> None:
    found = ask(client, user="3", size=2, fields=["title"], explain=True)
    searched = ask(client, "/v1/search", query=[{"user": "3"}], fusion={"method": "max"}, size=2, explain=True)
    assert found.keys() == searched.keys()
    assert found["plan"]["fusion"]["method"] == "max"
    (hit, _), (other, _) = found["hits"], searched["hits"]
    assert hit.keys() == other.keys()
    assert hit["modality"] == "graph" and set(hit["source"]) == {"title"}
    assert hit["score"] == hit["contributions"]["graph"]["cosine"]


def test_what_was_seen_stays_away_unless_it_is_wanted(client: FlaskClient) -> None:
    seen = set(done_by(5))
    new = ask(client, user="5", size=200)
    assert not set(ids(new)) & seen
    everything = ask(client, user="5", size=200, exclude_seen=False)
    assert set(ids(everything)) >= seen
    assert everything["total"]["value"] == len(NAMES) == new["total"]["value"] + len(seen)
    searched = ask(client, "/v1/search", query=[{"user": "5"}], fusion={"method": "max"}, size=200)
    assert ids(searched) == ids(everything)


def test_items_stand_for_who_likes_them(client: FlaskClient, graph: GraphFile) -> None:
    given = [name for name in graph.entities if name.startswith("hill")][:3]
    found = ids(ask(client, items=given, size=10))
    assert not set(found) & set(given)
    assert sum(name.startswith("hill") for name in found) >= 9
    names = [name for name in graph.entities if name in NAMES]
    items = graph.vectors[[graph.entities.index(name) for name in names]].astype(np.float64)
    items -= items.mean(axis=0)
    items /= np.linalg.norm(items, axis=1, keepdims=True)
    mean = items[[names.index(name) for name in given]].sum(axis=0)
    assert found == [name for name, _ in ranked(graph, mean, set(given))[:10]]
    assert ids(ask(client, items=given, exclude_seen=False)) == [name for name, _ in ranked(graph, mean, set())[:10]]


def test_filters_pages_and_walks_work_as_in_a_search(client: FlaskClient) -> None:
    found = ask(client, user="2", size=20, filter={"days": {"lt": 2}})
    assert {hit["source"]["days"] for hit in found["hits"]} == {0, 1}
    assert not set(ids(found)) & set(done_by(2))
    assert ids(ask(client, user="2", size=5, **{"from": 5})) == ids(ask(client, user="2", size=10))[5:]
    first = ask(client, user="2", size=5, after="*")
    assert ids(ask(client, user="2", size=5, after=first["next"])) == ids(ask(client, user="2", size=10))[5:]


def test_a_user_is_a_term_like_others(client: FlaskClient, graph: GraphFile) -> None:
    (name, _), *_ = ranked(graph, graph.vectors[graph.entities.index("user:0")], set())
    found = ask(client, "/v1/search", query=[{"text": "tour"}, {"user": "0"}], size=1)["hits"][0]
    assert found["id"] == name and set(found["contributions"]) == {"graph", "lexical"}


def test_nobody_finds_people(client: FlaskClient) -> None:
    assert client.get("/v1/entities?q=user").get_json()["entities"] == []
    assert ids(ask(client, "/v1/search", query="user", fusion={"method": "lexical"})) == []
    hits = ask(client, "/v1/search", query=[{"user": "1"}], paths=True, size=50)["hits"]
    assert "user:" not in json.dumps(hits)


@pytest.mark.parametrize(
    ("address", "body", "fields"),
    [
        ("/v1/search", {"query": [{"user": "nobody"}]}, ["query[0].user"]),
        ("/v1/search", {"query": [{"text": "tour"}, {"user": ""}]}, ["query[1].user"]),
        ("/v1/search", {"query": [{"user": "1", "item": "sea-1"}]}, ["query[0]"]),
        ("/v1/search", {"query": [{"user": 1}]}, ["query[0].user"]),
        # An item is no user, nor is a user's entity.
        ("/v1/search", {"query": [{"user": "sea-1"}]}, ["query[0].user"]),
        ("/v1/recommend", {"user": "user:1"}, ["user"]),
        ("/v1/recommend", {"user": "nobody"}, ["user"]),
        ("/v1/recommend", {"user": "nobody", "exclude_seen": False}, ["user"]),
        ("/v1/recommend", {}, ["body"]),
        ("/v1/recommend", {"user": "1", "items": ["sea-1"]}, ["body"]),
        ("/v1/recommend", {"items": []}, ["items"]),
        ("/v1/recommend", {"items": ["x"] * 101}, ["items"]),
        ("/v1/recommend", {"items": ["hill-39", "nothing"]}, ["items[1]"]),
        ("/v1/recommend", {"user": "1", "filter": {"colour": "red"}}, ["filter.colour"]),
        ("/v1/recommend", {"user": "1", "highlight": True, "exclude_seen": "no"}, ["exclude_seen", "highlight"]),
    ],
)
def test_wrong_requests_are_refused_by_field(
    client: FlaskClient, address: str, body: dict[str, Any], fields: list[str]
) -> None:
    answer = client.post(address, json=body)
    assert (answer.status_code, answer.mimetype) == (400, "application/problem+json"), answer.text
    assert [error["field"] for error in answer.get_json(force=True)["errors"]] == fields
    assert client.post(address, data=json.dumps(body)).status_code == 400

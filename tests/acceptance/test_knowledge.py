"""What the knowledge graph adds, through HTTP: entities by name, typed relations, and paths that explain a hit."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from engines import start_engine
from es_mappings.cluster import connect
from es_mappings.settings import EngineSettings, Settings
from maxcos.build import ingest_file
from query_api.app import create_app

MADE_BY_SCOPIA = {"entity": "creator:scopia", "relation": "made_by"}


@pytest.fixture(scope="module")
def clients(shop: Settings, shop_on_cluster: Settings) -> dict[str, FlaskClient]:
    return {"embedded": create_app(shop).test_client(), "elasticsearch": create_app(shop_on_cluster).test_client()}


@pytest.fixture(scope="module", params=["embedded", "elasticsearch"])
def client(request: pytest.FixtureRequest, clients: dict[str, FlaskClient]) -> FlaskClient:
    return clients[request.param]


def ask(client: FlaskClient, query: Any, **body: Any) -> dict[str, Any]:
    answer = client.post("/v1/search", json={"query": query, **body})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.get_json()
    return found


def entities(client: FlaskClient, text: str, **given: Any) -> list[dict[str, Any]]:
    answer = client.get("/v1/entities", query_string={"q": text, **given})
    assert answer.status_code == 200, answer.text
    assert set(answer.get_json()) == {"entities", "took_ms"}
    found: list[dict[str, Any]] = answer.get_json()["entities"]
    return found


# --- items that the graph was trained without

NEW = [
    {"id": "new-couch", "title": "A couch of tomorrow", "tags": ["Couch", "no such tag"], "category": "Living room"},
    {"id": "new-thing", "title": "Nothing that the graph knows", "tags": ["no such tag"]},
]


@pytest.fixture(scope="module")
def grown(shop: Settings, shop_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FlaskClient]:
    """The catalogue's graph on Elasticsearch with two items more, which came after its training."""
    graph = shop.modalities["graph"].model_copy(update={"relations": {"tags": "has_tag", "category": "in_category"}})
    engine = EngineSettings(url=start_engine("elasticsearch-9"), index=f"maxcos-test-{uuid.uuid4().hex}")
    settings = shop.model_copy(update={"engine": engine, "modalities": {"graph": graph}})
    source = tmp_path_factory.mktemp("grown") / "items.jsonl"
    rows = [*(shop_folder / "items.jsonl").read_text("utf-8").splitlines(), *map(json.dumps, NEW)]
    source.write_text("\n".join(rows), "utf-8")
    try:
        assert ingest_file(source, settings).vectors == {"graph": len(rows) - 1}
        yield create_app(settings).test_client()
    finally:
        with closing(connect(engine)) as cluster:
            cluster.request("DELETE", f"/{engine.index}")


def test_a_new_item_is_found_by_its_relations_without_training_again(grown: FlaskClient) -> None:
    assert grown.get("/v1/items/new-couch").get_json()["modalities"] == ["graph"]
    assert grown.get("/v1/items/new-thing").get_json()["modalities"] == []
    couches = ask(grown, [{"entity": "tag:couch"}], size=20, paths=True)["hits"]
    new = next(hit for hit in couches if hit["id"] == "new-couch")
    assert [told(path) for path in new["paths"]] == ["tag:couch <has_tag new-couch"]
    near = ask(grown, [{"item": "new-couch"}], size=10, paths=True)["hits"]
    assert sum("Couch" in hit["source"]["tags"] for hit in near) >= 8
    assert told(near[0]["paths"][0]) == f"tag:couch <has_tag {near[0]['id']}"


# --- entities


def test_an_ambiguous_name_shows_its_entities_and_what_tells_them_apart(client: FlaskClient) -> None:
    found = entities(client, "Couch", size=20)
    tag = found[0]
    assert tag == {
        "id": "tag:couch",
        "name": "Couch",
        "names": {"en": "Couch"},
        "alias": "Couch",
        "language": "en",
        "match": "name",
        "score": 1.0,
        "items": 16,
        "degree": 16,
        "relations": [{"relation": "has_tag", "direction": "in", "count": 16}],
        "modality": "graph",
    }
    named = [entity for entity in found if entity["match"] == "name"]
    assert {"tag:couch", "kind:couch", "blend-swap-cc-0-couch"} <= {entity["id"] for entity in named}
    assert [entity["items"] for entity in named] == sorted((entity["items"] for entity in named), reverse=True)


@pytest.mark.parametrize(
    ("text", "identifier", "language"),
    [
        ("沙发", "kind:sofa", "zh"),
        ("ソファ", "kind:sofa", "ja"),
        ("silla", "kind:chair", "es"),
        ("椅", "kind:chair", "zh"),
        ("CHAIRS", "kind:chair", "en"),
        ("scop", "creator:scopia", "en"),
        ("a bed for the Living room", "category:living-room", "en"),
    ],
)
def test_names_of_any_language_whole_begun_or_inside_a_text_find_the_entity(
    client: FlaskClient, text: str, identifier: str, language: str
) -> None:
    found = {entity["id"]: entity for entity in entities(client, text)}
    assert found[identifier]["language"] == language


def test_entities_come_in_a_fixed_order_and_as_many_as_asked(client: FlaskClient) -> None:
    found = entities(client, "ta", size=100)
    assert entities(client, "ta", size=3) == found[:3]
    assert found[0]["id"] == "kind:table"
    assert entities(client, "nothing of that name") == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("", "q"),
        ("q=%20", "q"),
        ("q=" + "x" * 101, "q"),
        ("q=a&size=0", "size"),
        ("q=a&size=101", "size"),
        ("q=a&size=x", "size"),
        ("q=a&limit=3", "limit"),
    ],
)
def test_wrong_questions_for_entities_are_refused_by_field(client: FlaskClient, query: str, field: str) -> None:
    answer = client.get(f"/v1/entities?{query}")
    assert (answer.status_code, answer.mimetype) == (400, "application/problem+json")
    assert [error["field"] for error in answer.get_json(force=True)["errors"]] == [field]


# --- terms


def test_a_relation_finds_what_it_leads_to(client: FlaskClient) -> None:
    found = ask(client, [MADE_BY_SCOPIA], size=50)
    assert {hit["source"]["creator"] for hit in found["hits"]} == {"Scopia"}
    assert ask(client, [{**MADE_BY_SCOPIA, "direction": "in"}], size=50)["hits"] == found["hits"]


def test_a_relation_turns_an_item_s_node_to_one_of_its_sides(client: FlaskClient) -> None:
    def alike(field: str, relation: str | None) -> float:
        shares = []
        for name in ("scopia-bed1", "blend-swap-cc-0-armchair", "kator-legaz-mid-century-sofa"):
            own = client.get(f"/v1/items/{name}").get_json()["source"][field]
            term = {"entity": name} | ({"relation": relation} if relation else {})
            hits = [hit for hit in ask(client, [term], size=11)["hits"] if hit["id"] != name]
            shares.append(sum(hit["source"][field] == own for hit in hits) / len(hits))
        return sum(shares) / len(shares)

    assert alike("size", "has_size") > alike("size", None)
    assert alike("category", "in_category") > alike("category", None)


def test_entities_combine_as_all_terms_do(client: FlaskClient) -> None:
    office = {"entity": "category:office", "relation": "in_category"}
    both = ask(client, [MADE_BY_SCOPIA, office], size=10)["hits"]
    assert {(hit["source"]["creator"], hit["source"]["category"]) for hit in both} == {("Scopia", "Office")}
    assert ask(client, [office, MADE_BY_SCOPIA], size=10)["hits"] == both
    without = ask(client, [office, {**MADE_BY_SCOPIA, "weight": -1}], size=10)["hits"]
    assert all(hit["source"]["creator"] != "Scopia" for hit in without)


@pytest.mark.parametrize(
    ("term", "field"),
    [
        ({"entity": "creator:scopia", "relation": "sold_by"}, "query[1].relation"),
        ({"entity": "creator:scopia", "relation": ""}, "query[1].relation"),
        ({"entity": "creator:scopia", "relation": "made_by", "direction": "out"}, "query[1].direction"),
        ({"entity": "creator:scopia", "relation": "made_by", "direction": "up"}, "query[1].direction"),
        ({"entity": "creator:scopia", "direction": "in"}, "query[1].direction"),
        ({"text": "sofa", "relation": "made_by"}, "query[1].relation"),
        ({"entity": "creator:nobody", "relation": "made_by"}, "query[1]"),
    ],
)
def test_wrong_relations_are_refused_by_field(client: FlaskClient, term: dict[str, Any], field: str) -> None:
    answer = client.post("/v1/search", json={"query": [{"text": "sofa"}, term]})
    assert (answer.status_code, answer.mimetype) == (400, "application/problem+json")
    assert [error["field"] for error in answer.get_json(force=True)["errors"]] == [field]


@pytest.mark.parametrize("text", ["a place to sleep", "qwertz", "somewhere", "the"])
def test_a_text_that_names_no_entity_says_nothing_to_the_graph(client: FlaskClient, text: str) -> None:
    assert all("graph" not in hit["contributions"] for hit in ask(client, text, paths=True)["hits"])
    assert all(hit["paths"] == [] for hit in ask(client, text, paths=True)["hits"])
    alone = client.post(
        "/v1/search", json={"query": [{"text": text, "modalities": ["graph"]}], "fusion": {"method": "max"}}
    )
    assert alone.status_code == 422


# --- paths


def told(path: dict[str, Any]) -> str:
    steps = (
        f"{'>' if step['direction'] == 'out' else '<'}{step['relation']} {step['to']['id']}" for step in path["steps"]
    )
    return " ".join([path["from"]["id"], *steps])


def test_a_hit_tells_how_the_query_s_entities_are_linked_to_it(client: FlaskClient) -> None:
    found = ask(client, "沙发", paths=True, size=20)
    sofa = next(hit for hit in found["hits"] if hit["id"] == "kator-legaz-mid-century-sofa")
    assert sofa["paths"][0] == {
        "from": {"id": "kind:sofa", "name": "sofa", "names": {"en": "sofa", "zh": "沙发"}},
        "steps": [
            {
                "relation": "of_kind",
                "direction": "in",
                "to": {"id": sofa["id"], "name": "Sofa", "names": {"en": "Sofa", "zh": "沙发"}},
            }
        ],
    }
    assert ask(client, "沙发", paths=True, size=20)["hits"] == found["hits"]


def test_every_path_is_short_true_and_leads_to_its_hit(client: FlaskClient, shop_folder: Path) -> None:
    rows = (shop_folder / "triples.tsv").read_text("utf-8").splitlines()
    triples = {tuple(row.split("\t")) for row in rows}
    queries = ["red lamp", [{"item": "scopia-bed1"}], [{"entity": "tag:couch"}, {"text": "Scopia"}]]
    some = 0
    for query in queries:
        for hit in ask(client, query, paths=True, size=50)["hits"]:
            assert len(hit["paths"]) <= 3
            for path in hit["paths"]:
                here = path["from"]["id"]
                assert 1 <= len(path["steps"]) <= 3
                for step in path["steps"]:
                    there = step["to"]["id"]
                    ends = (here, there) if step["direction"] == "out" else (there, here)
                    assert (ends[0], step["relation"], ends[1]) in triples
                    here = there
                assert here == hit["id"]
                some += 1
    assert some > 100


def test_paths_start_from_the_terms_that_speak_for_an_item(client: FlaskClient) -> None:
    def starts(*terms: dict[str, Any], **more: Any) -> set[str]:
        hits = ask(client, list(terms), paths=True, size=30, **more)["hits"]
        return {path["from"]["id"] for hit in hits for path in hit["paths"]}

    couch, scopia = {"entity": "tag:couch"}, {"text": "Scopia", "weight": -0.2}
    assert starts(couch, scopia) == {"tag:couch"}
    assert starts(couch, {"text": "Scopia", "modalities": ["text"]}) == {"tag:couch"}
    assert starts(couch, {"text": "Scopia"}) == {"tag:couch", "creator:scopia"}
    assert starts({"item": "scopia-bed1"}) == {"scopia-bed1"}
    assert starts({"item": "scopia-bed1"}, {"text": "bed"}, fusion={"method": "lexical"}) >= {"scopia-bed1", "kind:bed"}


def test_paths_are_there_only_when_asked_and_whatever_else_is_returned(client: FlaskClient) -> None:
    assert all("paths" not in hit for hit in ask(client, "sofa")["hits"])
    bare = ask(client, "sofa", paths=True, fields=["title"])["hits"]
    assert [hit["paths"] for hit in bare] == [hit["paths"] for hit in ask(client, "sofa", paths=True)["hits"]]
    answer = client.post("/v1/search", json={"query": "sofa", "paths": "yes"})
    assert [error["field"] for error in answer.get_json(force=True)["errors"]] == ["paths"]

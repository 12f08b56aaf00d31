"""What a person would accept: the demo catalogue's answers, on the embedded store and on a real Elasticsearch."""

from __future__ import annotations

import io
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageOps

from es_mappings.cluster import connect
from es_mappings.errors import InvalidRequest
from es_mappings.settings import Settings
from query_api.service import SearchService


@pytest.fixture(scope="module")
def services(shop: Settings, shop_on_cluster: Settings) -> dict[str, SearchService]:
    return {
        "embedded": SearchService.from_settings(shop),
        "elasticsearch": SearchService.from_settings(shop_on_cluster),
    }


@pytest.fixture(scope="module", params=["embedded", "elasticsearch"])
def service(request: pytest.FixtureRequest, services: dict[str, SearchService]) -> SearchService:
    return services[request.param]


def top(service: SearchService, query: Any, image: bytes | None = None) -> list[dict[str, Any]]:
    hits: list[dict[str, Any]] = service.search({"query": query, "size": 5}, image)["hits"]
    return hits


def mirrored(folder: Path, identifier: str) -> bytes:
    """The item's icon as somebody else's picture of it: on white, mirrored, larger, as JPEG."""
    icon = Image.open(folder / "icons" / f"{identifier}.png").convert("RGBA")
    flat = Image.alpha_composite(Image.new("RGBA", icon.size, "white"), icon).convert("RGB")
    out = io.BytesIO()
    ImageOps.mirror(flat).resize((400, 400)).save(out, "JPEG")
    return out.getvalue()


@pytest.mark.parametrize(
    ("query", "words", "at_least"),
    [
        ("sofa", {"sofa", "couch"}, 5),
        ("椅子", {"chair", "armchair"}, 5),
        ("ソファ", {"sofa", "couch"}, 5),
        ("a place to sleep", {"bed", "sleeping", "futon"}, 5),
        ("植物", {"plant"}, 5),
    ],
)
def test_words_of_any_language_find_the_thing(
    service: SearchService, query: str, words: set[str], at_least: int
) -> None:
    titles = [hit["source"]["title"].lower() for hit in top(service, query)]
    assert sum(any(word in title for word in words) for title in titles) >= at_least, titles


@pytest.mark.parametrize("identifier", ["scopia-bed1", "scopia-bathroom3", "blend-swap-cc-0-armchair"])
def test_a_mirrored_picture_finds_its_item(service: SearchService, shop_folder: Path, identifier: str) -> None:
    best = top(service, None, mirrored(shop_folder, identifier))[0]
    assert (best["id"], best["modality"]) == (identifier, "image")


def test_an_item_finds_its_like(service: SearchService) -> None:
    titles = [hit["source"]["title"].lower() for hit in top(service, [{"item": "blend-swap-cc-0-armchair"}])]
    assert all("chair" in title for title in titles), titles


@pytest.mark.parametrize("query", ["sofa", "椅子", "a place to sleep", "植物", [{"item": "scopia-bed1"}]])
def test_max_is_the_same_on_both_engines(services: dict[str, SearchService], query: Any) -> None:
    body = {"query": query, "size": 50, "fusion": {"method": "max"}}
    embedded, cluster = (services[name].search(body)["hits"] for name in ("embedded", "elasticsearch"))
    scores = {hit["id"]: hit["score"] for hit in embedded}
    assert [hit["score"] for hit in cluster] == pytest.approx([hit["score"] for hit in embedded], abs=1e-4)
    # Only items of the last score, which the page cuts through, may differ.
    assert all(hit["id"] in scores or hit["score"] - embedded[-1]["score"] < 1e-4 for hit in cluster)


def test_the_cluster_s_index_holds_words_and_vectors_side_by_side(shop_on_cluster: Settings) -> None:
    with closing(connect(shop_on_cluster.engine)) as cluster:
        (found,) = cluster.request("GET", f"/{shop_on_cluster.engine.index}/_mapping").values()
        licence = cluster.request("GET", "/_license")["license"]["type"]
    mapping = found["mappings"]
    beside = mapping["properties"]["maxcos"]["properties"]
    vectors = {name: field for name, field in beside.items() if "dims" in field}
    assert {name: (field["type"], field["dims"]) for name, field in vectors.items()} == {
        "text": ("dense_vector", 512),
        "image": ("dense_vector", 1280),
        "image_words": ("dense_vector", 512),
        "graph": ("dense_vector", 128),
    }
    assert {name: field.get("type") for name, field in beside.items() if name not in vectors} == {
        "modalities": "keyword",
        "encoded": "date",
        "hash": None,
    }
    assert mapping["properties"]["title"]["type"] == "text"
    assert mapping["properties"]["category"]["fields"]["keyword"]["type"] == "keyword"
    assert mapping["_meta"]["maxcos"]["receipt"]["items"] == 820
    assert set(mapping["_meta"]["maxcos"]["spaces"]) == set(vectors)
    assert licence == "basic"


def test_more_words_than_lucene_takes_are_the_request_s_fault(services: dict[str, SearchService]) -> None:
    text = "".join(chr(0x4E00 + 7 * i) for i in range(500))
    assert services["embedded"].search({"query": text})["hits"]
    with pytest.raises(InvalidRequest, match="shorten it"):
        services["elasticsearch"].search({"query": text})
    assert services["elasticsearch"].search({"query": text[:300]})["hits"]


def test_a_second_build_encodes_nothing(shop: Settings, shop_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from maxcos import demo

    def refuse(*_: object) -> None:
        raise AssertionError("the index was built again")

    monkeypatch.setattr(demo, "ingest_file", refuse)
    monkeypatch.setenv("MAXCOS_ENGINE__INDEX", shop.engine.index)
    demo.build(shop_folder, "embedded:./store", refuse)

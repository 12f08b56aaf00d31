"""Real clusters take every body of the golden files, on the free licence."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from engines import ENGINES, start_engine
from es_mappings.cluster import connect, probe
from es_mappings.provenance import Receipt
from es_mappings.settings import EngineSettings
from es_mappings.types import EncodedItem, Fusion, Item, Plan, Walk
from ingest.sinks import open_sink
from plans import COUNTS, PLANS, SPACES, shop
from query_api.searchers import Searcher, open_searcher

RANKED = {name: replace(plan, fusion=Fusion("rrf")) for name, plan in PLANS.items() if name.startswith("hybrid")}
EVERY = {
    **PLANS,
    **{f"count-{name}": plan for name, plan in COUNTS.items()},
    **{f"rrf-{n}": p for n, p in RANKED.items()},
}


@pytest.fixture(scope="module", params=[name for name in ENGINES if name != "embedded"])
def engine(request: pytest.FixtureRequest) -> Iterator[EngineSettings]:
    """An index of two shards with two sofas in it."""
    settings = EngineSettings(url=start_engine(request.param), index=f"maxcos-test-{uuid.uuid4().hex}", shards=2)
    sink = open_sink(settings, shop())
    sink.prepare({})
    source = {"title": "oak sofa", "category": "sofa", "price": 10, "added": "2023-11-14", "sold": False, "brand": "a"}
    vectors = {space.name: np.eye(space.dims, dtype=np.float32)[0] for space in SPACES}
    variants = [{"colour": "red", "size": 40}]
    items = [EncodedItem(Item(str(i), {"id": str(i), **source, "variants": variants}), vectors) for i in range(2)]
    assert sink.write(items) == []
    sink.finish(Receipt(2, "test"))
    sink.close()
    yield settings
    with_client = connect(settings)
    with_client.request("DELETE", f"/{settings.index}")
    with_client.close()


@pytest.fixture(scope="module")
def searcher(engine: EngineSettings) -> Iterator[Searcher]:
    opened = open_searcher(engine, shop())
    yield opened
    opened.close()


def test_the_licence_is_the_free_one(engine: EngineSettings) -> None:
    cluster = connect(engine)
    licence = probe(cluster)[0].licence
    if licence is not None:
        assert cluster.request("GET", licence)["license"]["type"] == "basic"
    cluster.close()


@pytest.mark.parametrize("name", EVERY)
def test_every_body_is_taken(searcher: Searcher, name: str) -> None:
    page = searcher.search(EVERY[name])
    assert page.partial is None


@pytest.mark.parametrize("name", ["max", "hybrid", "lexical", "sort", "rrf-hybrid"])
def test_every_order_can_be_walked(searcher: Searcher, name: str) -> None:
    plan: Plan = replace(EVERY[name], size=1, offset=0, words=EVERY[name].words and "oak")
    walk: Walk | None = Walk()
    seen = []
    while walk is not None:
        page = searcher.search(replace(plan, walk=walk))
        seen += [hit.id for hit in page.hits]
        walk = page.next
    assert sorted(seen) == ["0", "1"]


def test_what_stands_beside_a_search_is_taken_too(searcher: Searcher) -> None:
    assert [found.text for found in searcher.suggest("oak so", 5)] == ["oak sofa"]
    assert {item.id for item in searcher.sample(5, seed=1)} == {"0", "1"}
    assert searcher.count(PLANS["filters"].filter) == 0
    assert searcher.state().shards == 2

"""What a real cluster cannot answer in whole, or not now, is said, and why in the cluster's own words."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest

from engines import ENGINES, cluster_setting, start_engine
from es_mappings.cluster import connect
from es_mappings.errors import EngineRefused, EngineUnavailable
from es_mappings.provenance import Receipt
from es_mappings.settings import EngineSettings
from es_mappings.types import EncodedItem, Fusion, Item, Plan, QueryVector, Space
from ingest.sinks import open_sink
from plans import PLANS, SPACES, shop
from query_api.searchers import Searcher, open_searcher

WRONG = QueryVector(Space("text", "text", 2), np.array([1.0, 0.0], np.float32))
"""A vector of other dimensions than the field's: what holds a vector cannot be scored."""

COMPILATIONS = "script.max_compilations_rate"

Opened = Callable[[int], Searcher]


@pytest.fixture(params=[name for name in ENGINES if name != "embedded"])
def url(request: pytest.FixtureRequest) -> str:
    return start_engine(request.param)


@pytest.fixture
def opened(url: str) -> Iterator[Opened]:
    """Opens an index of two shards with so many items; one item leaves a shard empty."""
    settings = EngineSettings(url=url, index=f"maxcos-test-{uuid.uuid4().hex}", shards=2)
    with closing(connect(settings)) as cluster, closing(open_searcher(settings, shop())) as searcher:

        def write(number: int) -> Searcher:
            vectors = {space.name: np.eye(space.dims, dtype=np.float32)[0] for space in SPACES}
            items = [Item(str(i), {"id": str(i), "title": "oak sofa"}) for i in range(number)]
            with closing(open_sink(settings, shop())) as sink:
                sink.prepare({})
                assert sink.write([EncodedItem(item, vectors) for item in items]) == []
                sink.finish(Receipt(number, "test"))
            return searcher

        yield write
        cluster.request("DELETE", f"/{settings.index}")


@pytest.mark.parametrize("common", [False, True])
@pytest.mark.parametrize("fusion", [Fusion("max"), Fusion("hybrid"), Fusion("rrf")])
def test_a_failed_shard_is_flagged_with_the_reason_of_its_script(opened: Opened, fusion: Fusion, common: bool) -> None:
    words = None if fusion.method == "max" else "chair"
    page = opened(1).search(Plan((replace(WRONG, common=common),), words, fusion))
    assert page.hits == ()
    assert page.partial is not None
    assert page.partial.startswith("1 of 2 shards failed: ")
    assert "dimension" in page.partial


def test_where_all_shards_fail_there_is_no_answer(opened: Opened) -> None:
    with pytest.raises(EngineRefused, match="dimension"):
        opened(16).search(Plan((WRONG,), None, Fusion("max")))


def test_a_cluster_that_compiles_no_more_scripts_for_now_is_unavailable(url: str, opened: Opened) -> None:
    searcher = opened(1)
    searcher.check()
    with (
        cluster_setting(url, COMPILATIONS, "1/10m"),
        pytest.raises(EngineUnavailable, match="Too many dynamic script compilations"),
    ):
        for name in ("max", "hybrid", "max-calibrated"):
            searcher.search(PLANS[name])
    assert searcher.search(PLANS["max"]).partial is None

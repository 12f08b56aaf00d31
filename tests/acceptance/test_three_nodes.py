"""A cluster of three nodes that loses one while it is written and read: every document is there once, readers go on."""

from __future__ import annotations

import logging
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import numpy as np
import pytest

from es_mappings.cluster import Cluster, connect
from es_mappings.errors import EngineError
from es_mappings.provenance import Receipt
from es_mappings.settings import EngineSettings
from es_mappings.types import EncodedItem, Item
from ingest.sinks import Sink, open_sink
from nodes import Nodes, several
from plans import PLANS, SPACES, shop
from query_api.searchers import Searcher, open_searcher

ITEMS = 6000
BATCH = 200
PLAN = PLANS["max"]

log = logging.getLogger(__name__)


# OpenSearch passes too; three more nodes of it would make everybody wait for a minute or two in each run.
@pytest.fixture(params=["elasticsearch-9"])
def nodes(request: pytest.FixtureRequest) -> Iterator[Nodes]:
    with several(request.param, 3) as opened:
        yield opened


def test_a_node_that_dies_during_ingest_and_search_costs_nothing(nodes: Nodes) -> None:
    url = ",".join(nodes.start())
    engine = EngineSettings(url=url, index=f"maxcos-test-{uuid.uuid4().hex}", shards=3, replicas=1)
    with (
        closing(connect(engine.model_copy(update={"timeout": 150}))) as cluster,
        closing(open_sink(engine, shop())) as sink,
        closing(open_searcher(engine, shop())) as searcher,
    ):
        sink.prepare({})
        settle(cluster, "green", 3)
        # The one that the others have to replace before anything else.
        victim = master(cluster)
        answers = ingest_and_search(sink, searcher, lambda: nodes.kill(victim))
        log.info("%s: %d items written, searches meanwhile: %s", nodes.name, ITEMS, dict(answers))
        assert answers["failed"] == 0
        # Engines do not fetch a hit elsewhere that the dead node had found: the search that was under way says so.
        assert answers["partial"] <= 1
        assert answers["whole"] > 0
        settle(cluster, "yellow", 2)
        sink.finish(Receipt(ITEMS, "test"))
        check(cluster, engine, searcher)
        nodes.start()
        settle(cluster, "green", 3)
        assert copies(cluster, engine.index) == [ITEMS, ITEMS]
        check(cluster, engine, searcher)


def ingest_and_search(sink: Sink, searcher: Searcher, kill: Callable[[], None]) -> Counter[str]:
    """Write all items; a node is killed at some moment of the middle third, and is not there in the last one. Meanwhile
    one search follows the other; how many of them failed, were partial and were whole.
    """
    written = threading.Event()
    with ThreadPoolExecutor(2) as pool:
        searches = pool.submit(search_on, searcher, written)
        try:
            batches = [items(range(start, start + BATCH)) for start in range(0, ITEMS, BATCH)]
            for position, batch in enumerate(batches):
                if position == len(batches) // 3:
                    killing = pool.submit(kill)
                if position == 2 * len(batches) // 3:
                    killing.result()
                assert sink.write(batch) == []
        finally:
            written.set()
        return searches.result()


def search_on(searcher: Searcher, written: threading.Event) -> Counter[str]:
    answers: Counter[str] = Counter()
    while not written.is_set():
        try:
            page = searcher.search(PLAN)
        except EngineError as error:
            log.info("a search failed: %s", error)
            answers["failed"] += 1
        else:
            assert len({hit.id for hit in page.hits}) == len(page.hits)
            if page.partial is not None:
                log.info("a search was partial: %s", page.partial)
            answers["whole" if page.partial is None else "partial"] += 1
    return answers


def items(numbers: range) -> list[EncodedItem]:
    vectors = {space.name: np.eye(space.dims, dtype=np.float32)[0] for space in SPACES}
    return [EncodedItem(Item(str(i), {"id": str(i), "title": f"oak {i}"}, f"file:{i}"), vectors) for i in numbers]


def check(cluster: Cluster, engine: EngineSettings, searcher: Searcher) -> None:
    """Every item is there exactly once, for counts, walks and searches, whichever node is asked."""
    for _ in range(10):
        assert cluster.request("GET", f"/{engine.index}/_count")["count"] == ITEMS
        page = searcher.search(PLAN)
        assert (page.partial, page.scored, len(page.hits)) == (None, ITEMS, PLAN.size)
    ids = Counter(item.id for batch in searcher.scan(1000) for item in batch)
    assert ids == Counter(str(i) for i in range(ITEMS))


def copies(cluster: Cluster, index: str) -> list[int]:
    """How many documents all primaries hold together, and how many all replicas."""
    shards = cluster.request("GET", f"/{index}/_stats/docs", params={"level": "shards"})["indices"][index]["shards"]
    held: Counter[bool] = Counter()
    for copy in (copy for same in shards.values() for copy in same):
        held[copy["routing"]["primary"]] += copy["docs"]["count"]
    return [held[True], held[False]]


def settle(cluster: Cluster, status: str, number: int) -> None:
    """Wait until the cluster has so many nodes and all it needs, and moves nothing any more."""
    params = {"wait_for_status": status, "wait_for_nodes": str(number), "timeout": "120s"}
    quiet = {"wait_for_no_relocating_shards": "true", "wait_for_no_initializing_shards": "true"}
    cluster.request("GET", "/_cluster/health", params=params | quiet)


def master(cluster: Cluster) -> int:
    """The number of the node that the others have elected."""
    nodes = cluster.request("GET", "/_cat/nodes", params={"h": "name,m", "format": "json"})
    (name,) = (node["name"] for node in nodes if node["m"] == "*")
    return int(name.rpartition("-")[2])

"""Writing to clusters that have bad days: nothing is lost, nothing is twice, and the run says what it waits for."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from engines import ENGINES, ROOT, start_engine
from es_mappings import bulk
from es_mappings.cluster import Cluster, connect
from es_mappings.errors import EngineUnavailable
from es_mappings.provenance import Receipt
from es_mappings.settings import EngineSettings
from es_mappings.types import EncodedItem, Item
from faults import FAULTS, Faulty, faulty
from foreign import Shop
from ingest.sinks import open_sink
from plans import SPACES, shop

CLUSTERS = [name for name in ENGINES if name != "embedded"]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same waits, shorter."""
    monkeypatch.setattr(bulk, "FIRST_DELAY", 0.01)
    monkeypatch.setattr(bulk, "LONGEST_DELAY", 0.1)


@pytest.fixture(params=CLUSTERS)
def proxy(request: pytest.FixtureRequest) -> Iterator[Faulty]:
    with faulty(start_engine(request.param)) as opened:
        yield opened


@pytest.fixture
def engine(proxy: Faulty) -> Iterator[EngineSettings]:
    """An index behind the proxy."""
    settings = EngineSettings(url=proxy.url, index=f"maxcos-test-{uuid.uuid4().hex}")
    yield settings
    with closing(connect(EngineSettings(url=proxy.engine))) as cluster:
        cluster.request("DELETE", f"/{settings.index}")


def items(number: int) -> list[EncodedItem]:
    vectors = {space.name: np.eye(space.dims, dtype=np.float32)[0] for space in SPACES}
    return [EncodedItem(Item(str(i), {"id": str(i), "title": f"oak {i}"}, f"file:{i}"), vectors) for i in range(number)]


def written(engine: EngineSettings, url: str) -> list[str]:
    """The ids in the index, as the engine itself says."""
    with closing(connect(EngineSettings(url=url))) as cluster:
        cluster.request("POST", f"/{engine.index}/_refresh")
        body = {"size": 10_000, "_source": False, "sort": ["id"]}
        hits = cluster.request("POST", f"/{engine.index}/_search", body=body)["hits"]["hits"]
    return [hit["_id"] for hit in hits]


def test_every_item_arrives_once_through_all_faults(proxy: Faulty, engine: EngineSettings) -> None:
    proxy.most = 40
    with closing(open_sink(engine, shop())) as sink:
        sink.prepare({})
        assert [
            rejected for start in range(0, 1000, 250) for rejected in sink.write(items(1000)[start : start + 250])
        ] == []
        sink.finish(Receipt(1000, "test"))
    assert proxy.met.keys() >= {*FAULTS, "413"}
    assert written(engine, proxy.engine) == sorted(str(i) for i in range(1000))


def test_vectors_are_attached_through_all_faults(proxy: Faulty, tmp_path: Path) -> None:
    """An update whose answer was lost is refused when it comes again, and is found done when its document is read."""
    with (
        closing(connect(EngineSettings(url=proxy.engine))) as direct,
        closing(connect(EngineSettings(url=proxy.url))) as cluster,
    ):
        owned = Shop(direct, tmp_path / "letters.jsonl")
        proxy.most, proxy.share = 30, 0.5
        owned.cluster = cluster
        assert owned.attach().lost == {}
        owned.cluster = direct
        owned.check()
        assert owned.attach().written == 0
        direct.request("DELETE", owned.path)


def test_what_is_too_large_for_the_engine_is_refused_alone(
    proxy: Faulty, engine: EngineSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Cluster, "_most_bytes", lambda _: 10_000)
    proxy.share = 0
    batch = items(10)
    batch[3] = EncodedItem(Item("3", {"id": "3", "title": "oak " * 5000}, "file:3"), {})
    with closing(open_sink(engine, shop())) as sink:
        sink.prepare({})
        (rejected,) = sink.write(batch)
        sink.finish(Receipt(9, "test"))
    assert rejected.place == "file:3"
    assert "bytes, but the engine takes 10000 at most" in rejected.reason
    assert len(written(engine, proxy.engine)) == 9


def test_a_block_is_waited_for(proxy: Faulty, engine: EngineSettings, caplog: pytest.LogCaptureFixture) -> None:
    """As when the disk is nearly full and somebody makes room."""
    proxy.share = 0
    with (
        closing(open_sink(engine, shop())) as sink,
        closing(connect(EngineSettings(url=proxy.engine))) as cluster,
        caplog.at_level(logging.WARNING),
    ):
        sink.prepare({})
        block(cluster, engine.index, True)
        timer = threading.Timer(0.5, block, (cluster, engine.index, None))
        timer.start()
        assert sink.write(items(50)) == []
        timer.join()
        sink.finish(Receipt(50, "test"))
    assert "read-only" in caplog.text
    assert "trying again" in caplog.text
    assert len(written(engine, proxy.engine)) == 50


def test_a_block_that_stays_ends_the_run_with_its_reason(proxy: Faulty, engine: EngineSettings) -> None:
    proxy.share = 0
    impatient = engine.model_copy(update={"patience": 0.3})
    with closing(open_sink(impatient, shop())) as sink, closing(connect(EngineSettings(url=proxy.engine))) as cluster:
        sink.prepare({})
        block(cluster, engine.index, True)
        with pytest.raises(EngineUnavailable, match="the index is read-only"):
            sink.write(items(5))
        block(cluster, engine.index, None)


def block(cluster: Cluster, index: str, value: bool | None) -> None:
    cluster.request("PUT", f"/{index}/_settings", body={"index.blocks.read_only_allow_delete": value})


def test_a_node_that_is_killed_and_comes_back_costs_no_item() -> None:
    """kill -9 in the middle of a run; the writer waits until the node is there again."""
    name = "elasticsearch-9"
    url = start_engine(name)
    engine = EngineSettings(url=url, index=f"maxcos-test-{uuid.uuid4().hex}")
    batches = [items(4000)[start : start + 100] for start in range(0, 4000, 100)]
    with closing(open_sink(engine, shop())) as sink:
        sink.prepare({})
        for position, batch in enumerate(batches):
            if position == 15:
                os.kill(pid(name), signal.SIGKILL)
                threading.Timer(1.0, start_engine.__wrapped__, (name,)).start()
            assert sink.write(batch) == []
        sink.finish(Receipt(4000, "test"))
    assert written(engine, url) == sorted(str(i) for i in range(4000))
    with closing(connect(engine)) as cluster:
        cluster.request("DELETE", f"/{engine.index}")


def pid(name: str) -> int:
    sys.path.insert(0, str(ROOT / "docker"))
    from provision.catalogue import ENGINES as PROVISIONED
    from provision.node import Node
    from provision.process import running_pid

    sys.path.remove(str(ROOT / "docker"))
    found = running_pid(Node(PROVISIONED[name]))
    assert found is not None
    return found

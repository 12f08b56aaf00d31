"""A real engine that is spoilt, blocked, or left by a killed ingester: no document is lost, none is there twice."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import letters
from engines import ENGINES, ROOT, start_engine
from es_mappings import bulk
from es_mappings.cluster import connect
from es_mappings.errors import EngineUnavailable
from es_mappings.settings import EngineSettings
from es_mappings.types import Tombstone
from foreign import Shop
from ingest.sinks import open_sink
from letters import ingest_letters
from proxy import Fault, proxied

CLUSTERS = [name for name in ENGINES if name != "embedded"]
MANY = 2500
LEFT = 500
KILLED = 7
"""By engine, with three of them."""

Index = dict[str, tuple[Any, Any]]


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("faults") / "items.jsonl"
    lines = [json.dumps({"id": f"i{n}", "title": f"title {n}", "price": n}) for n in range(MANY)]
    file.write_text("\n".join(lines), "utf-8")
    return file


@pytest.fixture(scope="module", params=CLUSTERS)
def url(request: pytest.FixtureRequest, engine_url: Callable[[str], str]) -> str:
    return engine_url(request.param)


@pytest.fixture
def engine(url: str) -> Iterator[EngineSettings]:
    settings = EngineSettings(url=url, index=f"maxcos-test-{uuid.uuid4().hex}")
    yield settings
    with closing(connect(settings)) as cluster:
        if cluster.exists(f"/{settings.index}"):
            cluster.request("DELETE", f"/{settings.index}")


@pytest.fixture(scope="module")
def undisturbed(url: str, source: Path) -> Index:
    """What a run without faults leaves."""
    settings = EngineSettings(url=url, index=f"maxcos-test-{uuid.uuid4().hex}")
    assert ingest_letters(source, settings).written == MANY
    with closing(connect(settings)) as cluster:
        try:
            found = contents(settings)
        finally:
            cluster.request("DELETE", f"/{settings.index}")
    assert len(found) == MANY
    # Elasticsearch 9 has the vectors among the fields only, OpenSearch in the source only.
    vectors = [(fields or {}).get("maxcos.text") or document["maxcos"]["text"] for document, fields in found.values()]
    assert {len(vector) for vector in vectors} == {letters.DIMS}
    return found


def contents(engine: EngineSettings) -> Index:
    """Every document's fields and vector by its id; counts them, so that none is there twice."""
    with closing(connect(engine)) as cluster:
        body = {
            "size": 10_000,
            "track_total_hits": True,
            "fields": ["maxcos.text"],
            "_source": {"excludes": ["maxcos.encoded"]},
        }
        found = cluster.request("POST", f"/{engine.index}/_search", body=body)["hits"]
        index = {hit["_id"]: (hit["_source"], hit.get("fields")) for hit in found["hits"]}
        assert found["total"]["value"] == len(found["hits"]) == len(index)
        return index


def test_busy_answers_cuts_and_rejected_operations_lose_nothing(
    engine: EngineSettings, source: Path, undisturbed: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "FIRST_DELAY", 0.02)
    chance = random.Random(5)
    faults: list[Fault] = ["429", "503", "413", "cut before", "cut after", "items"]

    def decide(number: int, body: bytes) -> Fault | None:
        alone = body.count(b"\n") == 2  # 413 to a single document is its end, by right
        return chance.choice([f for f in faults if f != "413" or not alone]) if chance.random() < 0.4 else None

    with proxied(engine.url, decide) as proxy:
        summary = ingest_letters(source, engine.model_copy(update={"url": proxy.url}))
    assert set(proxy.faults) == set(faults)
    assert min(proxy.sizes) < 50
    assert (summary.written, dict(summary.lost)) == (MANY, {})
    assert contents(engine) == undisturbed


def test_a_proxy_that_takes_less_than_the_engine_gets_less(
    engine: EngineSettings, source: Path, undisturbed: Index
) -> None:
    with proxied(engine.url, lambda _, body: "413" if len(body) > 20_000 else None) as proxy:
        summary = ingest_letters(source, engine.model_copy(update={"url": proxy.url}))
    assert "413" in proxy.faults
    assert summary.written == MANY
    assert contents(engine) == undisturbed


def test_documents_too_large_for_the_engine_become_dead_letters(
    engine: EngineSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "FIRST_DELAY", 0.01)
    file = tmp_path / "items.jsonl"
    with file.open("w") as out:
        for number in range(20):
            more = {7: 200, 12: 60}.get(number, 0) * 2**20
            out.write(f'{{"id": "i{number}", "title": "title {number}", "more": "{"x" * more}"}}\n')
    summary = ingest_letters(file, engine)
    assert (summary.written, dict(summary.lost)) == (18, {"item": 2})
    assert len(contents(engine)) == 18
    with file.with_suffix(".dead-letters.jsonl").open() as dead:
        found = [json.loads(line) for line in dead]
    reasons = {letter["place"]: letter["reason"] for letter in found}
    assert set(reasons) == {"items.jsonl:8", "items.jsonl:13"}
    assert "the engine takes 104857600 at most" in reasons["items.jsonl:8"]
    assert "rejected execution" in reasons["items.jsonl:13"]


def test_a_read_only_index_is_reported_and_waited_for(
    engine: EngineSettings, source: Path, undisturbed: Index, caplog: pytest.LogCaptureFixture
) -> None:
    lock(engine, source)
    lifted = threading.Timer(1.5, block, (engine, None))
    lifted.start()
    summary = ingest_letters(source, engine)
    lifted.join()
    assert (summary.written, summary.unchanged) == (MANY - LEFT, LEFT)
    assert "read-only" in caplog.text
    assert "the engine works again" in caplog.text
    assert contents(engine) == undisturbed


def test_a_read_only_index_is_given_up_after_a_while_and_the_next_run_mends_it(
    engine: EngineSettings, source: Path, undisturbed: Index
) -> None:
    lock(engine, source)
    with pytest.raises(EngineUnavailable, match="read-only"):
        ingest_letters(source, engine.model_copy(update={"patience": 1.0}))
    block(engine, None)
    assert ingest_letters(source, engine).written == MANY - LEFT
    assert contents(engine) == undisturbed


def lock(engine: EngineSettings, source: Path) -> None:
    """An index with its first documents that is then blocked, as by a full disk."""
    ingest_letters(source, engine)
    with closing(open_sink(engine, letters.SCHEMA)) as sink:
        assert sink.write([Tombstone(f"i{n}") for n in range(LEFT, MANY)]) == []
    block(engine, True)


def block(engine: EngineSettings, on: bool | None) -> None:
    with closing(connect(engine)) as cluster:
        settings = {"index.blocks.read_only_allow_delete": on}
        cluster.request("PUT", f"/{engine.index}/_settings", body=settings)


def test_an_ingester_that_is_killed_again_and_again_leaves_what_an_undisturbed_one_does(
    engine: EngineSettings, source: Path, undisturbed: Index
) -> None:
    """Killed at drawn moments after its first bulk request, the last time not at all."""
    chance = random.Random(7)
    started = threading.Event()

    def decide(number: int, body: bytes) -> Fault | None:
        started.set()
        time.sleep(0.03)  # as long as a larger document takes: the moments fall all over the run
        return None

    with proxied(engine.url, decide) as proxy:
        command = [sys.executable, letters.__file__, str(source), proxy.url, engine.index]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        killed = 0
        for _ in range(KILLED):
            started.clear()
            process = subprocess.Popen(command, env=environment)
            assert started.wait(60)
            time.sleep(chance.uniform(0, 0.3))
            killed += process.poll() is None
            process.send_signal(signal.SIGKILL)
            process.wait()
        assert killed >= KILLED - 1
        subprocess.run(command, env=environment, check=True)
    assert contents(engine) == undisturbed


def test_vectors_are_attached_through_all_faults(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An update whose answer was lost is refused when it comes again, and is found done when its document is read."""
    monkeypatch.setattr(bulk, "FIRST_DELAY", 0.02)
    chance = random.Random(3)
    faults: list[Fault] = ["429", "503", "cut before", "cut after", "items"]

    def decide(number: int, body: bytes) -> Fault | None:
        return chance.choice(faults) if chance.random() < 0.5 else None

    with closing(connect(EngineSettings(url=url))) as direct, proxied(url, decide) as proxy:
        owned = Shop(direct, tmp_path / "letters.jsonl")
        with closing(connect(EngineSettings(url=proxy.url))) as owned.cluster:
            assert owned.attach().lost == {}
        owned.cluster = direct
        owned.check()
        assert owned.attach().written == 0
        direct.request("DELETE", owned.path)
    assert len(set(proxy.faults)) >= 3


def test_a_node_that_is_killed_and_comes_back_costs_no_item(source: Path) -> None:
    """kill -9 in the middle of a run; the writer waits until the node is there again."""
    name = "elasticsearch-9"
    engine = EngineSettings(url=start_engine(name), index=f"maxcos-test-{uuid.uuid4().hex}")
    killed = threading.Event()

    def decide(number: int, body: bytes) -> Fault | None:
        if number == 5 and not killed.is_set():
            killed.set()
            os.kill(pid(name), signal.SIGKILL)
            threading.Timer(1.0, start_engine.__wrapped__, (name,)).start()
        return None

    with proxied(engine.url, decide) as proxy:
        summary = ingest_letters(source, engine.model_copy(update={"url": proxy.url}))
    assert killed.is_set()
    assert (summary.written, dict(summary.lost)) == (MANY, {})
    assert contents(engine).keys() == {f"i{n}" for n in range(MANY)}
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

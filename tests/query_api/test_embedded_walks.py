"""How long the embedded store keeps a walk's snapshot."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from corpus import LEXICAL, Encodes, document
from es_mappings.errors import InvalidRequest
from es_mappings.provenance import Receipt
from es_mappings.schema import Schema, build_schema
from es_mappings.settings import EngineSettings
from ingest.sinks import open_sink
from query_api.searchers.embedded.snapshots import Snapshot, Snapshots
from query_api.searchers.embedded.walks import IDLE_SECONDS, WALKS, Walks


class Clock:
    """Seconds that pass when they are told to."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def schema() -> Schema:
    return build_schema(LEXICAL, [Encodes()])


@pytest.fixture
def snapshots(tmp_path: Path, schema: Schema) -> Iterator[Snapshots]:
    settings = EngineSettings(url=f"embedded:{tmp_path}", index="items")
    sink = open_sink(settings, schema)
    sink.prepare({})
    sink.write([document("a")])
    sink.finish(Receipt(1, ""))
    sink.close()
    opened = Snapshots(tmp_path / "items.sqlite", schema, "items")
    yield opened
    opened.close()


class Kept:
    """Walks over real snapshots, and the names of those that are still there."""

    def __init__(self, snapshots: Snapshots) -> None:
        self.clock = Clock()
        self.ended: list[Snapshot] = []
        self.walks = Walks(self._end, self.clock)
        self._snapshots = snapshots

    def begin(self, *names: str) -> None:
        for name in names:
            self.walks.begin(name, self._snapshots.begin())

    def use(self, name: str) -> bool:
        try:
            with self.walks.use(name) as snapshot:
                return snapshot.documents == 1
        except InvalidRequest:
            return False

    def _end(self, snapshot: Snapshot) -> None:
        self.ended.append(snapshot)
        self._snapshots.end(snapshot)


@pytest.fixture
def kept(snapshots: Snapshots) -> Iterator[Kept]:
    found = Kept(snapshots)
    yield found
    found.walks.end_all()


NAMES = [f"w{i}" for i in range(WALKS)]


def test_the_walk_that_rested_longest_makes_room(kept: Kept) -> None:
    for name in NAMES:
        kept.clock.now += 1
        kept.begin(name)
    kept.clock.now += 1
    assert kept.use("w0")
    kept.begin("new")
    assert [name for name in (*NAMES, "new") if not kept.use(name)] == ["w1"]
    assert len(kept.ended) == 1


def test_a_walk_that_rests_too_long_is_ended(kept: Kept) -> None:
    kept.begin("used", "forgotten")
    kept.clock.now += IDLE_SECONDS - 1
    kept.walks.end_stale()
    assert kept.use("used")
    kept.clock.now += 2
    kept.walks.end_stale()
    assert [kept.use(name) for name in ("used", "forgotten")] == [True, False]
    kept.clock.now += IDLE_SECONDS + 1
    kept.walks.end_stale()
    assert not kept.use("used")
    assert len(kept.ended) == 2


def test_a_walk_ends_once(kept: Kept) -> None:
    kept.begin("a")
    kept.walks.end("a")
    kept.walks.end("a")
    kept.walks.end_all()
    assert len(kept.ended) == 1


def test_a_walk_in_use_is_ended_after_its_page(kept: Kept) -> None:
    """Nobody else may use its connection until then."""
    kept.begin("a")
    with kept.walks.use("a") as snapshot:
        ending = threading.Thread(target=kept.walks.end, args=("a",))
        ending.start()
        ending.join(0.1)
        assert kept.ended == []
        assert snapshot.documents == 1
    ending.join()
    assert kept.ended == [snapshot]
    assert not kept.use("a")

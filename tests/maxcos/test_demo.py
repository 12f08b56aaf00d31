"""What the demo does with an index that it cannot use: only what is surely its own is thrown away."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from es_mappings.cluster import Cluster, connect
from es_mappings.embedded import open_store, store_file
from es_mappings.errors import ProvenanceMismatch
from es_mappings.provenance import META_KEY, describe
from es_mappings.schema import VERSION, Schema, build_schema
from es_mappings.settings import EngineSettings, LexicalSettings, Settings
from ingest.sinks import open_sink
from maxcos import demo
from maxcos.build import Built

OLD = {"schema": VERSION - 1}


@pytest.fixture
def items(tmp_path: Path) -> Path:
    file = tmp_path / "items.jsonl"
    file.write_text('{"id": "a", "title": "x"}\n', "utf-8")
    return file


def schema(settings: Settings) -> Schema:
    return build_schema(settings.lexical, [])


def old_store(settings: Settings) -> Path:
    """A store as an older maxcos left it."""
    with closing(open_sink(settings.engine, schema(settings))) as sink:
        sink.prepare({})
    file = store_file(settings.engine.url, settings.engine.index)
    with closing(open_store(file)) as store:
        store.execute("UPDATE meta SET value = ? WHERE key = '_meta'", (json.dumps({META_KEY: OLD}),))
    return file


def test_an_old_store_of_the_demo_is_built_again(items: Path) -> None:
    settings = Settings(engine=EngineSettings(url=f"embedded:{items.parent}", index=demo.INDEX))
    file = old_store(settings)
    said: list[str] = []
    assert demo._examine(items, settings, said.append) == Built(whole=False, calibrated=False)
    assert list(file.parent.glob(f"{file.name}*")) == []
    assert len(said) == 1
    assert "old index" in said[0]


def test_another_store_is_left_alone(items: Path) -> None:
    settings = Settings(engine=EngineSettings(url=f"embedded:{items.parent}", index="shop"))
    file = old_store(settings)
    with pytest.raises(ProvenanceMismatch, match="another version"):
        demo._examine(items, settings, print)
    assert file.is_file()


@pytest.fixture
def on_cluster(engine_url: Callable[[str], str], monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Settings, Cluster]]:
    """Settings of an index that the demo takes for its own, which is deleted afterwards."""
    index = f"maxcos-test-{uuid.uuid4().hex}"
    monkeypatch.setattr(demo, "INDEX", index)
    settings = Settings(engine=EngineSettings(url=engine_url("elasticsearch-9"), index=index))
    with closing(connect(settings.engine)) as cluster:
        yield settings, cluster
        if cluster.exists(f"/{index}"):
            cluster.request("DELETE", f"/{index}")


def test_on_a_cluster_only_an_older_maxcos_s_index_is_deleted(
    on_cluster: tuple[Settings, Cluster], items: Path
) -> None:
    settings, cluster = on_cluster
    path = f"/{settings.engine.index}"
    english = build_schema(LexicalSettings(languages=("en",)), [])
    for meta in ({"someone": "else"}, describe(english)):
        cluster.request("PUT", path, body={"mappings": {"_meta": meta}})
        with pytest.raises(ProvenanceMismatch):
            demo._examine(items, settings, print)
        cluster.request("DELETE", path)
    cluster.request("PUT", path, body={"mappings": {"_meta": {META_KEY: OLD}}})
    assert demo._examine(items, settings, lambda _: None) == Built(whole=False, calibrated=False)
    assert not cluster.exists(path)

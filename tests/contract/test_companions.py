"""What stands beside the vectors, and writes that keep some of them, on every engine."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np

from corpus import Engine, directions, grouped, within
from es_mappings.cluster import connect
from es_mappings.types import EncodedItem, Fusion, Item, Plan, QueryVector, Stored, Tombstone

HASHES = {"text": "1", "image": "2", "lexical": "3"}


def test_companions_are_read_back_at_once(engine: Engine) -> None:
    one, bare, old = grouped([{}] * 3, [directions(1, "text", "image"), {}, directions(2)])
    documents = [replace(one, hashes={**HASHES, "graph": None}), replace(bare, hashes={"lexical": "4"}), old]
    assert engine.sink.write(documents) == []
    found = engine.sink.stored([document.item.id for document in documents] + ["nobody"])
    assert found == {
        one.item.id: Stored(frozenset({"text", "image"}), HASHES),
        bare.item.id: Stored(frozenset(), {"lexical": "4"}),
        old.item.id: Stored(frozenset({"text", "image", "graph"}), {}),
    }


def test_an_item_changes_and_keeps_vectors(engine: Engine) -> None:
    before, after = directions(3), directions(4)
    (document,) = grouped([{"title": "oak", "body": "gone", "deep": {"list": [1, None, {"a": "ü"}]}}], [before])
    engine.write([replace(document, hashes=HASHES)])
    source = {name: value for name, value in document.item.source.items() if name != "body"}
    item = Item(document.item.id, {**source, "title": "elm"})
    change = EncodedItem(item, {"text": after["text"]}, frozenset({"image", "graph"}), {**HASHES, "text": "5"})
    engine.write([change])
    assert engine.searcher.item(item.id).source == item.source
    assert engine.sink.stored([item.id])[item.id].hashes == {**HASHES, "text": "5"}
    whole = EncodedItem(item, {**before, "text": after["text"]})
    for space in engine.schema.spaces:
        query = QueryVector(space, np.eye(space.dims, dtype=np.float32)[0])
        engine.search(Plan((query,), None, Fusion("max"), within([whole])), [whole])


def test_what_is_not_kept_goes(engine: Engine) -> None:
    (document,) = grouped([{"title": "oak"}], [directions(5)])
    engine.write([document])
    engine.write([EncodedItem(document.item, {}, frozenset({"text"}))])
    assert engine.sink.stored([document.item.id]) == {document.item.id: Stored(frozenset({"text"}), {})}
    whole = EncodedItem(document.item, {"text": document.vectors["text"]})
    for space in engine.schema.spaces:
        query = QueryVector(space, np.eye(space.dims, dtype=np.float32)[0])
        engine.search(Plan((query,), None, Fusion("max"), within([whole])), [whole])


def test_nothing_can_be_kept_of_what_is_not_there(engine: Engine) -> None:
    (document,) = grouped([{"title": "oak"}])
    placed = replace(document.item, place="file:7")
    (rejected,) = engine.sink.write([EncodedItem(placed, {}, frozenset({"text"}))])
    assert (rejected.place, rejected.lost) == ("file:7", "item")


def test_tombstones_delete_and_ask_for_nothing(engine: Engine) -> None:
    documents = grouped([{"title": "oak"}, {"title": "elm"}])
    engine.write(documents)
    gone, stays = (document.item.id for document in documents)
    assert engine.sink.write([Tombstone(gone), Tombstone("nobody")]) == []
    assert engine.sink.write([Tombstone(gone)]) == []
    engine.write(documents[1:])
    assert engine.sink.stored([gone, stays]).keys() == {stays}
    engine.search(Plan((), "oak elm", Fusion("lexical"), within(documents)), documents[1:])


def test_people_can_read_them(engine: Engine) -> None:
    """In Kibana: as keywords and a date that queries find."""
    if not engine.is_cluster:
        return
    (document,) = grouped([{"title": "oak"}], [directions(6, "graph", "text")])
    started = datetime.now(UTC).replace(microsecond=0)
    engine.write([replace(document, hashes=HASHES)])
    clauses = [
        {"term": {"_id": document.item.id}},
        {"term": {"maxcos.modalities": "graph"}},
        {"term": {"maxcos.hash.image": "2"}},
        {"range": {"maxcos.encoded": {"gte": started.isoformat()}}},
    ]
    with closing(connect(engine.settings)) as cluster:
        body = {"query": {"bool": {"filter": clauses}}, "_source": ["maxcos.modalities", "maxcos.hash"]}
        (hit,) = cluster.request("POST", f"/{engine.settings.index}/_search", body=body)["hits"]["hits"]
    assert hit["_source"]["maxcos"] == {"modalities": ["text", "graph"], "hash": HASHES}

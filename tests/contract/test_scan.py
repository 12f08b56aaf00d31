"""Reading all items with their vectors: each once, by id, over a view that stands still while the index does not."""

from __future__ import annotations

from itertools import chain

import numpy as np
import pytest

from corpus import SPACES, Engine, direction, directions, document
from es_mappings.types import EncodedItem, StoredItem


def shelf(number: int) -> list[EncodedItem]:
    """Items that lack one space or another; ids that sort by code point, and are not written in that order."""
    names = [f"i{i:02}" for i in range(number - 3)] + ["Z", "é #/?", "椅子"]
    spaces: list[tuple[str, ...]] = [(), ("text",), ("text", "graph")]
    return [
        document(name, directions(i, *spaces[i % 3]) if i % 4 else {}, title=f"lamp {i}", deep={"a": [1, None]})
        for i, name in enumerate(reversed(names))
    ]


def assert_same(found: list[StoredItem], written: list[EncodedItem]) -> None:
    assert [item.id for item in found] == sorted(encoded.item.id for encoded in written)
    by_id = {encoded.item.id: encoded for encoded in written}
    for stored in found:
        encoded = by_id[stored.id]
        assert stored.source == encoded.item.source
        assert set(stored.vectors) == set(encoded.vectors)
        assert all(np.allclose(stored.vectors[s], encoded.vectors[s], atol=1e-6) for s in encoded.vectors)
        assert all(vector.dtype == np.float32 for vector in stored.vectors.values())


@pytest.mark.parametrize("batch", [1, 7, 20, 1000])
def test_a_scan_reads_every_item_once(fresh: Engine, batch: int) -> None:
    written = shelf(20)
    fresh.write(written)
    batches = list(fresh.searcher.scan(batch))
    assert [len(found) for found in batches] == [batch] * (20 // batch) + ([20 % batch] if 20 % batch else [])
    assert_same(list(chain.from_iterable(batches)), written)


def test_an_empty_index_has_nothing_to_scan(fresh: Engine) -> None:
    assert list(fresh.searcher.scan(10)) == []


def test_a_scan_does_not_see_what_is_written_meanwhile(fresh: Engine) -> None:
    written = shelf(20)
    fresh.write(written)
    found = []
    for number, batch in enumerate(fresh.searcher.scan(3)):
        found += batch
        changed = document(written[(7 * number) % 20].item.id, directions(900), title="changed")
        fresh.write([document(f"new-{number}", directions(901), title="new"), changed])
    assert_same(found, written)
    assert {"changed", "new"} <= {item.source["title"] for batch in fresh.searcher.scan(100) for item in batch}


def test_two_scans_see_their_own_index_and_one_may_be_left(fresh: Engine) -> None:
    fresh.write([document("a", directions(1))])
    early = fresh.searcher.scan(1)
    (first,) = next(early)
    fresh.write([document("b", directions(2))])
    late = fresh.searcher.scan(1)
    assert [item.id for item in next(late)] == ["a"]
    late.close()  # type: ignore[attr-defined]  # a generator
    assert list(early) == []
    assert first.id == "a"
    assert [item.id for batch in fresh.searcher.scan(1) for item in batch] == ["a", "b"]


def test_vectors_come_bit_for_bit(fresh: Engine) -> None:
    """An audit tells equal vectors from near ones by their bytes."""
    vectors = {space.name: direction(5, space.dims) for space in SPACES}
    fresh.write([document(name, vectors) for name in "abc"])
    (found,) = fresh.searcher.scan(10)
    for space in SPACES:
        assert len({item.vectors[space.name].tobytes() for item in found}) == 1

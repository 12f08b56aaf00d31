"""What an index tells about itself, and items read back: manifests, states, samples."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pytest

from corpus import SPACES, Engine, direction, directions, document, grouped, within
from es_mappings.errors import IndexMissing, ItemNotFound, ProvenanceMismatch
from es_mappings.provenance import Manifest, Receipt
from es_mappings.types import Calibration, Centre, Fusion, Plan, QueryVector, Walk
from ingest.sinks import open_sink
from query_api.searchers import Searcher, open_searcher

RECEIPT = Receipt(7, "a digest")
FITTED = {
    "text": Calibration(8.123456789012345, -2.1, 0.015625, "0123456789abcdef"),
    "image": Calibration(0.0, 1e-300, 1.0, "fedcba9876543210"),
}


def centres(seed: int) -> dict[str, Centre]:
    """Means as they come: any float32, the odd ones too. One space has no means of queries, another is not centred."""
    odd = np.array([1e-45, -0.0, 3.4e38, -1e-30, 0.1, 1 / 3], np.float32)
    return {
        "text": Centre(direction(seed, 6) * np.float32(0.3), {"text": odd, "image": direction(seed + 1, 6)}),
        "graph": Centre(direction(seed, 4)),
    }


def bits(found: Mapping[str, Centre]) -> dict[str, tuple[bytes, dict[str, bytes]]]:
    assert all(c.items.dtype == np.float32 for c in found.values())
    return {
        name: (centre.items.tobytes(), {kind: mean.tobytes() for kind, mean in centre.queries.items()})
        for name, centre in found.items()
    }


def assert_manifest(engine: Engine, expected: Manifest) -> None:
    """A sink and a searcher that have just come tell the same."""
    sink, searcher = open_sink(engine.settings, engine.schema), open_searcher(engine.settings, engine.schema)
    for found in (sink.manifest(), searcher.state().manifest):
        assert found is not None
        assert (found.receipt, found.calibration) == (expected.receipt, expected.calibration)
        assert bits(found.centres) == bits(expected.centres)
    sink.close()
    searcher.close()


@pytest.fixture
def absent(engine: Engine, new_engine: Callable[[str], Engine]) -> Engine:
    """The engine with the name of an index that does not exist."""
    return new_engine(engine.name)


def test_the_life_of_a_manifest(absent: Engine) -> None:
    engine, made = absent, centres(1)
    assert engine.sink.manifest() is None
    engine.sink.prepare(made)
    assert_manifest(engine, Manifest(None, made))
    engine.sink.finish(RECEIPT)
    assert_manifest(engine, Manifest(RECEIPT, made))
    engine.sink.calibrate(FITTED)
    assert_manifest(engine, Manifest(RECEIPT, made, FITTED))
    engine.sink.calibrate({"text": FITTED["image"]})
    assert_manifest(engine, Manifest(RECEIPT, made, {"text": FITTED["image"]}))
    engine.sink.prepare(centres(2))  # the vectors in the index were centred by the first ones
    assert_manifest(engine, Manifest(None, made, {"text": FITTED["image"]}))
    engine.sink.finish(Receipt(8, "another"))
    assert_manifest(engine, Manifest(Receipt(8, "another"), made, {"text": FITTED["image"]}))
    engine.sink.calibrate({})
    assert_manifest(engine, Manifest(Receipt(8, "another"), made))


def test_a_manifest_is_there_for_the_next_process(absent: Engine) -> None:
    absent.sink.prepare(centres(3))
    absent.sink.close()
    again = open_sink(absent.settings, absent.schema)
    again.prepare({})
    again.calibrate(FITTED)
    again.finish(RECEIPT)
    again.close()
    assert_manifest(absent, Manifest(RECEIPT, centres(3), FITTED))


def test_an_index_without_centres_keeps_to_that(fresh: Engine) -> None:
    fresh.sink.prepare(centres(1))
    assert_manifest(fresh, Manifest())


def test_preparing_and_calibrating_leave_the_items(fresh: Engine) -> None:
    fresh.write([document("a", directions(1), title="lamp")])
    fresh.sink.prepare(centres(1))
    fresh.sink.calibrate(FITTED)
    assert fresh.searcher.count() == 1
    assert set(fresh.searcher.item("a").vectors) == {s.name for s in SPACES}


def test_the_state_tells_what_a_planner_needs(fresh: Engine) -> None:
    fresh.write([document(f"{i}", directions(1) if i else {}, title="lamp") for i in range(5)])
    fresh.write([document("3", {}, title="lamp"), document("5", {}, title="lamp")])
    searcher = open_searcher(fresh.settings, fresh.schema)
    state = searcher.state()
    assert state.documents == 6
    assert state.approximate == fresh.is_cluster
    assert state.manifest.receipt == Receipt(2, "contract")
    assert re.search(r"[A-Za-z].*\d+\.\d+", state.engine)  # a name and a version
    searcher.close()


def test_objects_inside_an_item_are_no_items(fresh: Engine) -> None:
    fresh.write([document("a", title="lamp", variants=[{"colour": "red"}, {"colour": "blue"}])])
    assert fresh.searcher.count() == 1
    assert [item.id for item in fresh.searcher.sample(10, 0)] == ["a"]
    searcher = open_searcher(fresh.settings, fresh.schema)
    assert searcher.state().documents == 1
    searcher.close()


def uses(searcher: Searcher) -> tuple[Callable[[], object], ...]:
    """Every way to read; each has to notice what is wrong with the index, whichever comes first."""
    plan = Plan((QueryVector(SPACES[0], direction(1, 6)),), None, Fusion("max"))
    return (
        searcher.count,
        searcher.check,
        searcher.state,
        lambda: searcher.search(plan),
        lambda: searcher.search(replace(plan, fusion=Fusion("rrf"))),
        lambda: searcher.search(replace(plan, walk=Walk())),
        lambda: searcher.item("x"),
        lambda: searcher.sample(1, 0),
        lambda: next(searcher.scan(1)),
        lambda: searcher.suggest("x", 1),
    )


def test_another_encoder_is_refused_for_writing_and_reading(engine: Engine) -> None:
    made = {**engine.schema.provenance, "text": replace(engine.schema.provenance["text"], fingerprint="other")}
    schema = replace(engine.schema, provenance=made)
    sink, searcher = open_sink(engine.settings, schema), open_searcher(engine.settings, schema)
    for attempt in (lambda: sink.prepare({}), sink.manifest, *uses(searcher)):
        with pytest.raises(ProvenanceMismatch, match=r"spaces\.text\.fingerprint: the index has '0123456789abcdef'"):
            attempt()
    sink.close()
    searcher.close()


def test_a_missing_index_is_named(absent: Engine) -> None:
    for attempt in uses(absent.searcher):
        with pytest.raises(IndexMissing, match=absent.settings.index):
            attempt()
    absent.sink.prepare({})
    absent.write([document("a")])
    assert absent.searcher.count() == 1


def test_what_would_be_sent_is_shown(engine: Engine) -> None:
    found = grouped([{"title": "lamp"}])
    engine.write(found)
    for method in ("max", "hybrid", "rrf", "lexical"):
        vectors = () if method == "lexical" else (QueryVector(SPACES[0], direction(1, 6)),)
        plan = Plan(vectors, None if method == "max" else "lamp", Fusion(method), within(found))
        assert engine.searcher.explain(plan)


# --- items


def test_item_comes_back_with_its_vectors(engine: Engine) -> None:
    (item,) = grouped([{}])
    name = f"{item.item.id} #/ü?"
    vectors = {s.name: direction(i, s.dims) for i, s in enumerate(SPACES) if s.name != "graph"}
    more = {"deep": {"a": [1, {"b": None}]}, "text": "not indexed", "made": "2020-01-01", "price": 10}
    engine.write([document(name, vectors, group="x", **more)])
    stored = engine.searcher.item(name)
    assert stored.source == {"id": name, "group": "x", **more}
    assert set(stored.vectors) == set(vectors)
    assert all(np.allclose(stored.vectors[s], vectors[s], atol=1e-6) for s in vectors)
    assert all(vector.dtype == np.float32 for vector in stored.vectors.values())


def test_missing_item_is_said_to_be_missing(engine: Engine) -> None:
    with pytest.raises(ItemNotFound):
        engine.searcher.item("nobody")


def test_a_sample_is_the_same_for_the_same_seed(fresh: Engine) -> None:
    spaces: list[tuple[str, ...]] = [(), ("text",), ("text", "graph")]
    vectors = [directions(i, *spaces[i % 3]) if i % 3 else {} for i in range(40)]
    written = {f"i{i:02}": document(f"i{i:02}", own, title="lamp", price=i) for i, own in enumerate(vectors)}
    fresh.write(list(written.values()))
    samples = [[item.id for item in fresh.searcher.sample(10, seed)] for seed in (1, 1, 2, 3)]
    assert samples[0] == samples[1]
    assert len({frozenset(ids) for ids in samples}) == 3
    assert all(len(set(ids)) == 10 for ids in samples)
    for stored in fresh.searcher.sample(10, 1):
        item = written[stored.id]
        assert stored.source == item.item.source
        assert set(stored.vectors) == set(item.vectors)
        assert all(np.allclose(stored.vectors[s], item.vectors[s], atol=1e-6) for s in item.vectors)


def test_a_sample_is_no_larger_than_the_index_and_leaves_nobody_out(fresh: Engine) -> None:
    assert fresh.searcher.sample(5, 0) == []
    fresh.write([document(f"{i}", {}) for i in range(7)])
    assert {item.id for item in fresh.searcher.sample(500, 0)} == set("0123456")
    assert {item.id for seed in range(60) for item in fresh.searcher.sample(2, seed)} == set("0123456")


def test_the_state_names_the_spaces_that_nearly_all_items_have(fresh: Engine) -> None:
    """One item in a hundred may lack it. The embedded store has no use for it and names none."""
    have = [("text", "image", *(["graph"] if i < 98 else [])) for i in range(99)]
    fresh.write(grouped([{}] * 100, [directions(0, *names) for names in have] + [directions(0, "text")]))
    fresh.searcher.check()
    state = fresh.searcher.state()
    assert (state.documents, state.shards) == (100, 1)
    assert state.common == (frozenset({"text", "image"}) if fresh.is_cluster else frozenset())

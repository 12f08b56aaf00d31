"""What is particular to the embedded store: chunks, snapshots beside a writer, files that are none of its own."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from corpus import LEXICAL, SPACES, Encodes, Engine, direction, directions, document, lexical, new_group, within
from es_mappings.embedded import CHUNK, open_store, store_file
from es_mappings.errors import EngineUnavailable, IndexMissing, ItemNotFound, MaxcosError, ProvenanceMismatch
from es_mappings.provenance import Receipt
from es_mappings.schema import build_schema
from es_mappings.settings import EngineSettings, LexicalSettings
from es_mappings.types import (
    SCORE,
    AllOf,
    Bucket,
    Calibration,
    EncodedItem,
    Facet,
    Filter,
    Fusion,
    Has,
    Nested,
    OneOf,
    Plan,
    Prefix,
    Provenance,
    QueryVector,
    Range,
    Sort,
    Space,
    Total,
    Walk,
)
from ingest.sinks import open_sink
from query_api.searchers import open_searcher
from query_api.searchers.embedded.snapshots import Snapshots

ASKED = tuple(QueryVector(s, direction(1000, s.dims)) for s in SPACES)
MAX = Plan(ASKED, None, Fusion("max"))


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    settings = EngineSettings(url=f"embedded:{tmp_path}", index="items")
    schema = build_schema(LEXICAL, [Encodes()])
    sink, searcher = open_sink(settings, schema), open_searcher(settings, schema)
    yield Engine("embedded", settings, schema, sink, searcher)
    sink.close()
    searcher.close()


@pytest.fixture
def file(engine: Engine) -> Path:
    return store_file(engine.settings.url, engine.settings.index)


# --- chunks


def shelf(numbers: range, group: str, shift: int = 0) -> list[EncodedItem]:
    """Items whose values repeat with periods that do not fit into chunks; their ids do not follow their rows."""
    found = []
    for i in numbers:
        n = i + shift
        spaces = [s for j, s in enumerate(SPACES) if n % (j + 2)]
        source: dict[str, Any] = {
            "title": "oak lamp" if n % 53 == 0 else "lamp" if n % 29 == 0 else "chair",
            "colour": ["red", ["blue", "red"], [], f"c{n % 701}"][n % 4],
            "price": [n % 1009, [n % 11, 5000 - n % 13]][n % 2] if n % 7 else None,
            "fresh": n % 3 == 0,
            "variants": [{"colour": f"v{(n + j) % 5}", "size": (n * j) % 37} for j in range(n % 4)],
        }
        vectors = {s.name: direction(n % 3001, s.dims) for s in spaces}
        found.append(document(f"{i * 7919 % 100_003:06}", vectors, group=group, **source))
    return found


PLANS: dict[str, tuple[Plan, tuple[Filter, ...]]] = {
    "max": (MAX, ()),
    "deep": (replace(MAX, offset=700, size=90), ()),
    "few": (MAX, (OneOf("colour", ("c321", "c17")),)),
    "half": (MAX, (Range("price", lt=450.0),)),
    "nested": (
        MAX,
        (Nested("variants", AllOf((OneOf("variants.colour", ("v3",)), Range("variants.size", gte=30.0)))),),
    ),
    "has": (MAX, (Has(("graph",)), Prefix("colour", "c69"))),
    "hybrid": (Plan(ASKED[:2], "oak", Fusion("hybrid")), (OneOf("fresh", (True,)),)),
    "rrf": (Plan(ASKED[1:], "oak", Fusion("rrf"), offset=3), (OneOf("fresh", (True,)),)),
    "sorted": (replace(MAX, sort=(Sort("fresh"), Sort("price", descending=True), Sort(SCORE))), ()),
    "facets": (
        replace(MAX, facets=(Facet("colour"), Facet("fresh"), Facet("price", ((None, 9.0), (9.0, 4990.0))))),
        (OneOf("colour", ("red",)), Range("price", gte=3.0)),
    ),
}


def assert_right(engine: Engine, found: list[EncodedItem]) -> None:
    for plan, clauses in PLANS.values():
        assert engine.search(replace(plan, filter=within(found, *clauses)), found).hits


def test_many_chunks_are_one_index(engine: Engine) -> None:
    group = new_group()
    found = shelf(range(2 * CHUNK + 300), group)
    engine.sink.prepare({})
    for start in range(0, len(found), 1000):
        engine.write(found[start : start + 1000])
    assert_right(engine, found)
    # Another process writes to the first chunk and to the last one.
    changed, added = shelf(range(5), group, shift=31), shelf(range(len(found), len(found) + 5), group)
    with closing(open_sink(engine.settings, engine.schema)) as sink:
        sink.write([*changed, *added])
    assert_right(engine, [*changed, *found[5:], *added])
    assert engine.searcher.state().documents == len(found) + 5


def test_only_chunks_that_were_written_to_are_read_again(engine: Engine, file: Path) -> None:
    engine.sink.prepare({})
    engine.write([document(f"{i}", directions(i)) for i in range(CHUNK + 10)])
    snapshots = Snapshots(file, engine.schema, engine.settings.index)
    with snapshots.open() as snapshot:
        before = snapshot.memory.chunks
    engine.write([document(f"{CHUNK + 5}", directions(0), title="another")])
    with snapshots.open() as snapshot:
        after = snapshot.memory.chunks
    assert [a is b for a, b in zip(before, after, strict=True)] == [True, False]
    snapshots.close()


class Wide:
    spaces = (Space("narrow", "narrow", 3), Space("text", "text", 384), Space("image", "image", 1280))
    provenance: ClassVar = {s.name: Provenance("test", "0123456789abcdef", s.dims) for s in spaces}


@pytest.mark.parametrize("space", Wide.spaces, ids=lambda space: space.name)
def test_equal_vectors_have_equal_scores_wherever_they_stand(tmp_path: Path, space: Space) -> None:
    """In any chunk, at any place of it, alone or among others, beside items without a vector: else ids break no tie."""
    schema = build_schema(LexicalSettings(filters=("price:number",)), [Wide()])
    settings = EngineSettings(url=f"embedded:{tmp_path}", index="wide")
    equal, number = direction(1, space.dims), CHUNK + 501
    lack = range(CHUNK, number, 9)
    vectors = [
        {space.name: equal if i % 4 else direction(i, space.dims)} if i not in lack else {} for i in range(number)
    ]
    with closing(open_sink(settings, schema)) as sink:
        sink.prepare({})
        sink.write([document(f"{i:05}", own, price=i) for i, own in enumerate(vectors)])
    asked = (QueryVector(space, equal, 0.3, Calibration(9.0, -2.0, 0.0, "")),)
    with closing(open_searcher(settings, schema)) as searcher:
        for start, end in ((0, number), (CHUNK - 20, CHUNK + 20), (0, 1000)):
            within = Range("price", gte=float(start), lt=float(end))
            hits = searcher.search(Plan(asked, None, Fusion("max"), within, size=number)).hits
            expected = [f"{i:05}" for i in range(start, end) if i % 4 and i not in lack]
            assert [hit.id for hit in hits[: len(expected)]] == expected
            assert len({hit.score for hit in hits[: len(expected)]}) == 1


# --- snapshots


def versioned(version: int, number: int = 40) -> list[EncodedItem]:
    vectors = {s.name: direction(version, s.dims) for s in SPACES[:2]}
    return [
        document(f"{i:02}", vectors, group="g", title=f"v{version}", price=version, variants={"size": version})
        for i in range(number)
    ]


def test_snapshots_at_different_times_see_their_own_index(engine: Engine, file: Path) -> None:
    engine.sink.prepare({})
    engine.write(versioned(1))
    snapshots = Snapshots(file, engine.schema, engine.settings.index)
    with snapshots.open() as early:
        engine.write(versioned(2, 50))
        with snapshots.open() as late:
            assert (len(early.memory), len(late.memory)) == (40, 50)
            assert early.column("price").values.known == [1.0]
            assert late.column("price").values.known == [2.0]
        engine.write(versioned(3, 60))
        with snapshots.open() as latest:
            assert (len(early.memory), len(latest.memory)) == (40, 60)
            assert early.column("variants.size").values.known == [1.0]
    snapshots.close()


def test_searches_beside_a_writer_never_mix_what_it_wrote(engine: Engine) -> None:
    last, readers = 25, 6
    engine.sink.prepare({})
    engine.write(versioned(0))
    asked = tuple(QueryVector(s, direction(1000, s.dims)) for s in SPACES[:2])
    plans = [
        Plan(asked, None, Fusion("max"), facets=(Facet("price"),), size=7),
        Plan(asked, " ".join(f"v{v}" for v in range(last + 1)), Fusion("rrf"), facets=(Facet("price"),), size=7),
        Plan(asked, None, Fusion("max"), Range("price", gte=0.0), facets=(Facet("price"),), sort=(Sort("price"),)),
    ]
    problems: list[object] = []
    seen: set[int] = set()

    def read(number: int) -> None:
        try:
            while last not in seen and not problems:
                page = engine.searcher.search(plans[number % len(plans)])
                version = page.hits[0].source["price"]
                seen.add(version)
                assert page.total == Total(40)
                assert page.facets == ((Bucket(40, float(version)),),)
                for hit in page.hits:
                    assert hit.source["title"] == f"v{version}"
                    for vector in asked:
                        cosine = float(direction(version, vector.space.dims) @ vector.vector)
                        assert hit.cosines[vector.space.name] == pytest.approx(cosine, abs=1e-6)
        except Exception as error:  # a thread's failure has to reach the test
            problems.append(error)

    threads = [threading.Thread(target=read, args=(number,)) for number in range(readers)]
    for thread in threads:
        thread.start()
    for version in range(1, last + 1):
        engine.write(versioned(version))
    for thread in threads:
        thread.join()
    assert problems == []


def test_walks_beside_a_writer_show_one_version_each(engine: Engine) -> None:
    engine.sink.prepare({})
    engine.write(versioned(0))
    problems: list[object] = []
    versions: list[set[int]] = []

    def walk() -> None:
        try:
            for _ in range(5):
                place: Walk | None = Walk()
                hits = []
                while place is not None:
                    page = engine.searcher.search(replace(MAX, sort=(Sort("price"),), size=9, walk=place))
                    hits += page.hits
                    place = page.next
                assert [hit.id for hit in hits] == [f"{i:02}" for i in range(40)]
                versions.append({hit.source["price"] for hit in hits})
        except Exception as error:  # a thread's failure has to reach the test
            problems.append(error)

    threads = [threading.Thread(target=walk) for _ in range(4)]
    for thread in threads:
        thread.start()
    for version in range(1, 30):
        engine.write(versioned(version))
    for thread in threads:
        thread.join()
    assert problems == []
    assert [len(seen) for seen in versions] == [1] * 20


def test_a_running_searcher_notices_what_the_index_tells_of_itself(engine: Engine) -> None:
    engine.sink.prepare({})
    assert engine.searcher.state().manifest.receipt is None
    fitted = {"text": Calibration(8.0, -2.0, 0.1, "0123456789abcdef")}
    engine.sink.calibrate(fitted)
    assert engine.searcher.state().manifest.calibration == fitted
    engine.sink.finish(Receipt(3, "source"))
    assert engine.searcher.state().manifest.receipt == Receipt(3, "source")


# --- files


def uses(engine: Engine) -> list[Callable[[], object]]:
    searcher = engine.searcher
    return [
        searcher.check,
        searcher.state,
        searcher.count,
        lambda: searcher.search(MAX),
        lambda: searcher.search(replace(MAX, walk=Walk())),
        lambda: searcher.item("x"),
        lambda: searcher.sample(1, 0),
        lambda: searcher.suggest("x", 1),
    ]


def test_a_store_of_the_first_version_is_refused_with_a_word_what_to_do(engine: Engine, file: Path) -> None:
    file.parent.mkdir(exist_ok=True)
    with closing(sqlite3.connect(file, isolation_level=None)) as store:
        store.execute("CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL)")
        store.execute("CREATE TABLE items (row INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, source TEXT NOT NULL)")
        store.execute("""INSERT INTO meta VALUES ('_meta', '{"maxcos": {"schema": 1, "receipt": null}}')""")
    for attempt in (engine.sink.manifest, lambda: engine.sink.prepare({}), *uses(engine)):
        with pytest.raises(ProvenanceMismatch, match=r"another version of maxcos.*run maxcos rebuild"):
            attempt()


@pytest.mark.parametrize(
    ("content", "expected"), [(b"", IndexMissing), (b"no database, but long enough for one" * 99, EngineUnavailable)]
)
def test_a_file_that_is_no_store_is_none(
    engine: Engine, file: Path, content: bytes, expected: type[MaxcosError]
) -> None:
    file.write_bytes(content)
    for attempt in uses(engine):
        with pytest.raises(expected, match=r"items\.sqlite"):
            attempt()


def test_a_store_that_was_opened_and_never_prepared_can_be(engine: Engine, file: Path) -> None:
    open_store(file, create=True).close()
    assert engine.sink.manifest() is None
    engine.sink.prepare({})
    engine.write(versioned(1))
    assert engine.searcher.count() == 40


def test_a_running_searcher_notices_another_file_of_the_same_name(engine: Engine, file: Path, tmp_path: Path) -> None:
    engine.sink.prepare({})
    engine.write(versioned(1))
    assert engine.searcher.count() == len(engine.searcher.search(replace(MAX, size=99)).hits) == 40
    begun = engine.searcher.search(replace(MAX, size=30, walk=Walk())).next
    engine.sink.close()
    for path in tmp_path.glob(f"{file.name}*"):
        path.unlink()
    for attempt in uses(engine):
        with pytest.raises(IndexMissing):
            attempt()
    engine.sink.prepare({})
    engine.write(versioned(2, 3))
    assert engine.searcher.count() == 3
    # A walk goes on through what it began with, and leaves nothing of it behind.
    rest = engine.searcher.search(replace(MAX, size=30, walk=begun))
    assert [hit.source["price"] for hit in rest.hits] == [1] * 10
    assert [hit.source["price"] for hit in engine.searcher.search(MAX).hits] == [2] * 3
    assert engine.searcher.item("00").source["price"] == 2


# --- items


def test_half_a_character_is_no_id(engine: Engine) -> None:
    engine.sink.prepare({})
    with pytest.raises(ItemNotFound):
        engine.searcher.item("\ud800")


def test_a_value_of_another_type_costs_only_its_item(engine: Engine) -> None:
    engine.sink.prepare({})
    bad = [document("a", price="cheap"), document("b", variants=["red"]), document("c", made="yesterday")]
    rejected = engine.sink.write([*bad, document("d", directions(1), price=3)])
    assert [r.record["id"] for r in rejected] == ["a", "b", "c"]
    assert [r.reason.partition(",")[0] for r in rejected] == [
        "expected a finite number",
        "expected an object or a list of objects",
        "expected a date such as 2024-05-31",
    ]
    assert [hit.id for hit in engine.searcher.search(MAX).hits] == ["d"]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (("a",), {"a": {"b": 1, "c": [{"d": 2, "e": 3}, {"e": 4}, 5]}}),
        (("a.b",), {"a": {"b": 1}}),
        (("a.c.d", "f.g"), {"a": {"c": [{"d": 2}]}, "f.g": 6}),
        (("a.c.e", "a.b"), {"a": {"b": 1, "c": [{"e": 3}, {"e": 4}]}}),
        (("a.x", "h.i", "f"), {}),
        (("a", "a.b"), {"a": {"b": 1, "c": [{"d": 2, "e": 3}, {"e": 4}, 5]}}),
    ],
)
def test_fields_are_selected_inside_objects_and_lists(
    engine: Engine, fields: tuple[str, ...], expected: dict[str, Any]
) -> None:
    engine.sink.prepare({})
    engine.write([document("x", directions(1), a={"b": 1, "c": [{"d": 2, "e": 3}, {"e": 4}, 5]}, **{"f.g": 6}, h=7)])
    (hit,) = engine.searcher.search(replace(MAX, fields=fields)).hits
    assert hit.source == expected


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("💡", {"a", "b"}),
        ("🪑 💡", {"a", "b", "c"}),
        ("20", {"d"}),
        ("bright", {"a", "b"}),
        ("→", set()),
        ("ngo", {"e"}),
    ],
)
def test_emoji_are_words(engine: Engine, words: str, expected: set[str]) -> None:
    engine.sink.prepare({})
    titles = {"a": "💡 bright", "b": "bright💡", "c": "🪑🪑", "d": "20°C → 30", "e": "Ngộ"}
    engine.write([document(identifier, group="g", title=title) for identifier, title in titles.items()])
    assert {hit.id for hit in engine.searcher.search(lexical("g", words)).hits} == expected


def test_a_search_leaves_no_transaction_open(engine: Engine, file: Path) -> None:
    """An open one would keep the log from being shortened."""
    engine.sink.prepare({})
    engine.write(versioned(1))
    plans = [MAX, replace(MAX, size=99, walk=Walk()), Plan(ASKED, "v1", Fusion("rrf"), size=99, walk=Walk())]
    for plan in plans:
        engine.searcher.search(plan)
    engine.searcher.sample(3, 0)
    engine.searcher.suggest("v", 3)
    assert log_is_free(file)
    begun = engine.searcher.search(replace(MAX, walk=Walk())).next
    engine.write(versioned(2))
    assert not log_is_free(file)
    engine.searcher.search(replace(MAX, walk=begun, size=99))
    assert log_is_free(file)


def log_is_free(file: Path) -> bool:
    with closing(open_store(file)) as store:
        store.execute("PRAGMA busy_timeout = 0")
        (busy, _, _) = store.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    return not busy


def test_a_page_without_hits_scores_nothing_and_counts_all_the_same(engine: Engine) -> None:
    engine.sink.prepare({})
    engine.write(versioned(1))
    page = engine.searcher.search(replace(MAX, size=0, facets=(Facet("price"),)))
    assert (page.scored, page.total, page.facets) == (0, Total(40), ((Bucket(40, 1.0),),))

"""What every engine does alike besides scoring: words, highlights, items, replacement, refusals."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus import SPACES, Engine, direction, document
from es_mappings.errors import IndexMissing, ItemNotFound, ProvenanceMismatch
from es_mappings.provenance import Receipt
from es_mappings.types import AllOf, Fusion, OneOf, Plan, QueryVector, Range, Vector
from ingest.sinks import open_sink
from query_api.searchers import open_searcher


def lexical(group: str, words: str, **more: object) -> Plan:
    return replace(Plan((), words, Fusion("lexical"), OneOf("group", (group,)), size=50), **more)


def titles(engine: Engine, group: str, words: str) -> set[str]:
    return {hit.source["title"] for hit in engine.searcher.search(lexical(group, words)).hits}


@pytest.fixture(scope="module")
def group(engine: Engine) -> str:
    group = uuid.uuid4().hex
    texts = [
        "Oak chairs",
        "木椅子",
        "桌子",
        "Café table, round",
        "自行车 with basket",
        "ＴＶ stand",
        "a <b>bold</b> lamp & more",
    ]
    engine.write([document(f"{group}-{i}", group=group, title=text) for i, text in enumerate(texts)])
    return group


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("chair", {"Oak chairs"}),
        ("椅子", {"木椅子", "桌子"}),  # 桌子 shares a character: it matches, and ranks below
        ("自行车", {"自行车 with basket"}),
        ("cafe", {"Café table, round"}),
        ("tv", {"ＴＶ stand"}),
        ("the of a", set()),
        ('c++ "quoted" it\'s (odd) -x:y* 😀', set()),
        ("🪑 chair", {"Oak chairs"}),
    ],
)
def test_words_match(engine: Engine, group: str, words: str, expected: set[str]) -> None:
    assert titles(engine, group, words) == expected


def test_two_characters_together_rank_above_one(engine: Engine, group: str) -> None:
    hits = engine.searcher.search(lexical(group, "椅子")).hits
    assert hits[0].source["title"] == "木椅子"


@pytest.mark.parametrize(
    ("words", "marked"),
    [
        ("chair", "Oak <em>chairs</em>"),
        ("桌子", "<em>桌子</em>"),
        ("lamp", "a &lt;b&gt;bold&lt;/b&gt; <em>lamp</em> &amp; more"),
    ],
)
def test_highlight_is_escaped_and_marks_the_match(engine: Engine, group: str, words: str, marked: str) -> None:
    best = engine.searcher.search(lexical(group, words, highlight=True)).hits[0]
    assert best.highlight == {"title": [marked]}


def test_fields_are_selected(engine: Engine, group: str) -> None:
    hit = engine.searcher.search(lexical(group, "chair", fields=("title",))).hits[0]
    assert hit.source == {"title": "Oak chairs"}


def test_dates_filter_as_dates(engine: Engine) -> None:
    group = uuid.uuid4().hex
    made = {"old": "2001-02-03", "new": "2020-05-06T12:00:00+02:00"}
    engine.write([document(f"{group}-{k}", group=group, title="thing", made=v) for k, v in made.items()])
    moment = engine.schema.filter_field("made")
    assert moment is not None
    since = Range("made", gte=moment.normalise("2020-05-06T10:00:00Z"))
    found = engine.searcher.search(lexical(group, "thing", filter=AllOf((OneOf("group", (group,)), since))))
    assert [hit.id for hit in found.hits] == [f"{group}-new"]


def test_item_comes_back_with_its_vectors(engine: Engine) -> None:
    name = f"{uuid.uuid4().hex} #/ü?"
    vectors = {s.name: direction(i, s.dims) for i, s in enumerate(SPACES) if s.name != "graph"}
    engine.write([document(name, vectors, group="x", nested={"a": [1, {"b": None}]}, text="not indexed")])
    stored = engine.searcher.item(name)
    assert stored.source == {"id": name, "group": "x", "nested": {"a": [1, {"b": None}]}, "text": "not indexed"}
    assert set(stored.vectors) == set(vectors)
    assert all(np.allclose(stored.vectors[s], vectors[s], atol=1e-6) for s in vectors)


def test_missing_item_is_said_to_be_missing(engine: Engine) -> None:
    with pytest.raises(ItemNotFound):
        engine.searcher.item("nobody")


def test_writing_again_replaces_all_of_an_item(engine: Engine) -> None:
    group = uuid.uuid4().hex
    space = SPACES[0]
    engine.write([document(group, {space.name: direction(1, space.dims)}, group=group, title="before", colour="red")])
    engine.write([document(group, {}, group=group, title="after")])
    assert titles(engine, group, "before") == set()
    assert titles(engine, group, "after") == {"after"}
    asked = QueryVector(space, direction(1, space.dims))
    page = engine.searcher.search(Plan((asked,), None, Fusion("max"), OneOf("group", (group,)), facets=("colour",)))
    assert page.total == 0
    assert page.facets == {"colour": {}}


def test_items_of_the_query_do_not_come_back(engine: Engine) -> None:
    group = uuid.uuid4().hex
    space = SPACES[0]
    vectors = {space.name: direction(7, space.dims)}
    engine.write([document(f"{group}-{i}", vectors, group=group) for i in range(3)])
    asked = QueryVector(space, direction(7, space.dims))
    plan = Plan((asked,), None, Fusion("max"), OneOf("group", (group,)), exclude=(f"{group}-1",))
    page = engine.searcher.search(plan)
    assert [hit.id for hit in page.hits] == [f"{group}-0", f"{group}-2"]
    assert page.total == 2


def test_a_text_field_filters_by_its_exact_value(engine: Engine, group: str) -> None:
    plan = lexical(group, "chair table 桌子", filter=AllOf((OneOf("group", (group,)), OneOf("title", ("桌子",)))))
    assert [hit.source["title"] for hit in engine.searcher.search(plan).hits] == ["桌子"]


@pytest.mark.parametrize("bad", [np.ones(7), np.zeros(6), np.full(6, np.nan)], ids=["long", "zero", "nan"])
def test_a_vector_that_is_none_costs_only_its_item(engine: Engine, bad: Vector) -> None:
    group = uuid.uuid4().hex
    documents = [document(f"{group}-{i}", {"text": direction(i, 6)}, group=group, title="lamp") for i in range(3)]
    documents[1] = document(f"{group}-1", {"text": bad.astype(np.float32)}, group=group, title="lamp")
    (rejected,) = engine.sink.write(documents)
    engine.sink.finish(Receipt(2, "contract"))
    assert rejected.record["id"] == f"{group}-1"
    assert rejected.reason
    assert {hit.id for hit in engine.searcher.search(lexical(group, "lamp")).hits} == {f"{group}-0", f"{group}-2"}


@given(words=st.text(max_size=60))
def test_any_words_are_searched_and_none_is_syntax(engine: Engine, group: str, words: str) -> None:
    page = engine.searcher.search(lexical(group, words, highlight=True))
    assert page.total <= 7


def test_another_encoder_is_refused_for_writing_and_reading(engine: Engine) -> None:
    made = {**engine.schema.provenance, "text": replace(engine.schema.provenance["text"], fingerprint="other")}
    schema = replace(engine.schema, provenance=made)
    sink, searcher = open_sink(engine.settings, schema), open_searcher(engine.settings, schema)
    for attempt in (sink.prepare, sink.receipt, searcher.check, lambda: searcher.item("x")):
        with pytest.raises(ProvenanceMismatch, match=r"spaces\.text\.fingerprint: the index has '0123456789abcdef'"):
            attempt()
    sink.close()
    searcher.close()


def test_an_index_without_receipt_was_not_finished(engine: Engine, open_engine: Callable[[str], Engine]) -> None:
    fresh = open_engine(engine.name)
    assert fresh.sink.receipt() is None
    fresh.write([document("a", title="x")])
    assert fresh.sink.receipt() == Receipt(1, "contract")
    fresh.sink.prepare()
    assert fresh.sink.receipt() is None
    fresh.write([])
    assert fresh.searcher.count() == 1


def test_a_missing_index_is_named(engine: Engine) -> None:
    settings = engine.settings.model_copy(update={"index": "maxcos-test-absent"})
    searcher = open_searcher(settings, engine.schema)
    with pytest.raises(IndexMissing, match=r"maxcos-test-absent"):
        searcher.check()
    searcher.close()

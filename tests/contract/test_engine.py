"""What every engine does alike with words and writing: matches, highlights, replacement, refused items."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus import SPACES, Engine, direction, document, lexical, new_group
from es_mappings.provenance import Receipt
from es_mappings.types import AllOf, Facet, Fusion, OneOf, Plan, QueryVector, Total, Vector


def titles(engine: Engine, group: str, words: str) -> set[str]:
    return {hit.source["title"] for hit in engine.searcher.search(lexical(group, words)).hits}


@pytest.fixture(scope="module")
def group(engine: Engine) -> str:
    group = new_group()
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


@pytest.mark.parametrize(
    ("fields", "expected"),
    [(("title",), {"title": "Oak chairs"}), ((), {}), (("absent",), {}), (("title", "group"), {"title", "group"})],
)
def test_fields_are_selected(
    engine: Engine, group: str, fields: tuple[str, ...], expected: dict[str, str] | set[str]
) -> None:
    hit = engine.searcher.search(lexical(group, "chair", fields=fields)).hits[0]
    assert (hit.source if isinstance(expected, dict) else set(hit.source)) == expected


def test_without_a_match_nothing_is_highlighted(engine: Engine, group: str) -> None:
    asked = (QueryVector(SPACES[0], direction(1, 6)),)
    engine.write([document(f"{group}-x", {"text": direction(1, 6)}, group=f"{group}-x", title="a lamp")])
    for words in (None, "table"):
        plan = Plan(asked, words, Fusion("hybrid"), OneOf("group", (f"{group}-x",)), highlight=True)
        (hit,) = engine.searcher.search(plan).hits
        assert hit.highlight == {}


def test_writing_again_replaces_all_of_an_item(engine: Engine) -> None:
    group = new_group()
    space = SPACES[0]
    engine.write([document(group, {space.name: direction(1, space.dims)}, group=group, title="before", colour="red")])
    engine.write([document(group, {}, group=group, title="after")])
    assert titles(engine, group, "before") == set()
    assert titles(engine, group, "after") == {"after"}
    asked = (QueryVector(space, direction(1, space.dims)),)
    plan = Plan(asked, None, Fusion("max"), OneOf("group", (group,)), facets=(Facet("colour"),))
    page = engine.searcher.search(plan)
    assert page.hits == ()
    assert page.total == Total(1)
    assert page.facets == ((),)


def test_a_text_field_filters_by_its_exact_value(engine: Engine, group: str) -> None:
    plan = lexical(group, "chair table 桌子", filter=AllOf((OneOf("group", (group,)), OneOf("title", ("桌子",)))))
    assert [hit.source["title"] for hit in engine.searcher.search(plan).hits] == ["桌子"]


@pytest.mark.parametrize("bad", [np.ones(7), np.zeros(6), np.full(6, np.nan)], ids=["long", "zero", "nan"])
def test_a_vector_that_is_none_costs_only_its_item(engine: Engine, bad: Vector) -> None:
    group = new_group()
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
    assert page.total is not None
    assert page.total.value == len(page.hits) <= 7

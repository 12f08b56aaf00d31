"""Filters: which items they leave, whatever a field holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus import SPACES, Engine, direction, directions, grouped, within
from drawn import documents, filters
from es_mappings.types import (
    MAX_EXCLUDED,
    AllOf,
    Ann,
    AnyOf,
    EncodedItem,
    Exists,
    Facet,
    Filter,
    Fusion,
    Has,
    Ids,
    Nested,
    Not,
    OneOf,
    Plan,
    Prefix,
    QueryVector,
    Range,
)
from reference_filters import passes

ASKED = (QueryVector(SPACES[0], direction(1, SPACES[0].dims)),)
RED, BIG = OneOf("variants.colour", ("red",)), Range("variants.size", gte=40.0)


def left(engine: Engine, found: Sequence[EncodedItem], clause: Filter) -> list[int]:
    """The positions of the documents that pass; all ways to ask agree on them."""
    page = engine.search(Plan(ASKED, None, Fusion("max"), within(found, clause), size=100), found)
    assert engine.searcher.count(within(found, clause)) == len(page.hits)
    hits = {hit.id for hit in page.hits}
    return [i for i, d in enumerate(found) if d.item.id in hits]


@settings(max_examples=60)
@given(found=documents, clauses=st.lists(filters, min_size=1, max_size=5))
def test_any_filter_leaves_what_python_leaves(engine: Engine, found: list[EncodedItem], clauses: list[Filter]) -> None:
    engine.write(found)
    for clause in clauses:
        assert engine.searcher.count(within(found, clause)) == sum(passes(d, clause) for d in found)


def test_without_a_filter_everything_is_counted(fresh: Engine) -> None:
    assert fresh.searcher.count() == 0
    fresh.write(grouped([{"colour": "red"}] * 3 + [{}], [{}, {}, directions(1), {}]))
    assert fresh.searcher.count() == 4
    assert fresh.searcher.count(OneOf("colour", ("red",))) == 3
    page = fresh.searcher.search(Plan(ASKED, None, Fusion("max")))
    assert len(page.hits) == 1
    assert page.total is not None and page.total.value == 4


def test_an_empty_index_is_searched(fresh: Engine) -> None:
    for plan in (Plan(ASKED, None, Fusion("max")), Plan(ASKED, "lamp", Fusion("rrf")), Plan(ASKED, "lamp")):
        page = fresh.searcher.search(plan)
        assert page.hits == ()
        assert page.total is not None and page.total.value == 0


# --- exists


@pytest.mark.parametrize(
    ("field", "held", "empty"),
    [
        ("colour", ["red", "", ["", "red"], ["red"]], [None, []]),
        ("price", [0, -1.5, [0], [3, 4]], [None, []]),
        ("fresh", [False, True, [False], [True, False]], [None, []]),
        ("made", ["1970-01-01", ["1970-01-01", "1969-01-01"]], [None, []]),
        ("maker.name", ["x"], [None, []]),
        ("title", ["lamp", ["oak lamp", "chair"]], [None, []]),
    ],
)
def test_a_field_exists_where_it_holds_a_value(engine: Engine, field: str, held: list[Any], empty: list[Any]) -> None:
    head, _, member = field.partition(".")
    values = [*held, *empty]
    found = grouped([{head: {member: value} if member else value} for value in values] + [{}])
    engine.write(found)
    assert left(engine, found, Exists(field)) == list(range(len(held)))
    assert left(engine, found, Not(Exists(field))) == list(range(len(held), len(values) + 1))


def test_objects_in_a_list_hold_the_values_of_all(engine: Engine) -> None:
    """Unless their path is nested: then each of them is looked at by itself."""
    found = grouped([{"maker": [{"name": "a"}, {"name": ["b", "c"]}, {}]}, {"maker": {"name": "c"}}, {"maker": [{}]}])
    engine.write(found)
    assert left(engine, found, OneOf("maker.name", ("b",))) == [0]
    assert left(engine, found, OneOf("maker.name", ("c",))) == [0, 1]
    assert left(engine, found, Exists("maker.name")) == [0, 1]


# --- prefixes


NAMES = (
    *("红", "红木", "红木椅", "木", "💡", "💡灯", "👩‍🚀 suit", "👩 suit"),
    *("Red", "red", "r*d", "r_d", "r%d", "r\\d", "\U0010ffff"),
)
PREFIXES = (
    *("红", "红木", "木", "💡", "👩", "👩‍🚀", "R", "r", "red", "reds"),
    *("r*", "r_", "r%", "r\\", "?", "*", "r*d ", "\U0010ffff"),
)


@pytest.mark.parametrize("prefix", PREFIXES)
def test_a_prefix_is_characters_and_no_pattern(engine: Engine, prefix: str) -> None:
    found = grouped([{"colour": name, "tags": ["other", name]} for name in NAMES])
    engine.write(found)
    expected = [i for i, name in enumerate(NAMES) if name.startswith(prefix)]
    assert left(engine, found, Prefix("colour", prefix)) == expected
    assert left(engine, found, Prefix("tags", prefix)) == expected


def test_a_prefix_of_the_greatest_character(engine: Engine) -> None:
    """What follows it in order cannot be written as a bound."""
    found = grouped([{"colour": value} for value in ("a", "a\U0010ffff", "a\U0010ffffb", "b")])
    engine.write(found)
    assert left(engine, found, Prefix("colour", "a")) == [0, 1, 2]
    assert left(engine, found, Prefix("colour", "a\U0010ffff")) == [1, 2]


def test_a_text_field_has_prefixes_of_its_exact_value(engine: Engine) -> None:
    found = grouped([{"title": "Oak lamp"}, {"title": "oak lamp"}, {"title": ["chair", "Oak"]}])
    engine.write(found)
    assert left(engine, found, Prefix("title", "Oak")) == [0, 2]


# --- nested objects


VARIANTS: list[Any] = [
    [{"colour": "red", "size": 40}, {"colour": "blue", "size": 30}],
    [{"colour": "red", "size": 30}, {"colour": "blue", "size": 40}],  # both, but not in one object
    {"colour": "red", "size": 41},  # one object alone
    [{"colour": ["blue", "red"], "size": [10, 50]}],
    [{"colour": "red"}, {"size": 40}],
    [{}],
    [],
]


@pytest.mark.parametrize(
    ("clause", "expected"),
    [
        (Nested("variants", RED), [0, 1, 2, 3, 4]),
        (Nested("variants", AllOf((RED, BIG))), [0, 2, 3]),
        (AllOf((Nested("variants", RED), Nested("variants", BIG))), [0, 1, 2, 3, 4]),
        (Nested("variants", AnyOf((RED, BIG))), [0, 1, 2, 3, 4]),
        (Nested("variants", Not(RED)), [0, 1, 4, 5]),
        (Not(Nested("variants", RED)), [5, 6, 7]),
        (Nested("variants", AllOf((RED, Not(BIG)))), [1, 4]),
        (Not(Nested("variants", Not(RED))), [2, 3, 6, 7]),
        (Nested("variants", Exists("variants.size")), [0, 1, 2, 3, 4]),
        (Nested("variants", Not(Exists("variants.size"))), [4, 5]),
        (Nested("variants", Prefix("variants.colour", "bl")), [0, 1, 3]),
        (Nested("variants", AllOf((Range("variants.size", lt=20.0), Range("variants.size", gt=45.0)))), [3]),
        (AnyOf((Nested("variants", AllOf((RED, BIG))), OneOf("colour", ("green",)))), [0, 2, 3, 7]),
    ],
)
def test_one_object_passes_the_whole_clause(engine: Engine, clause: Filter, expected: list[int]) -> None:
    found = grouped([{"variants": value} for value in VARIANTS] + [{"colour": "green"}])
    engine.write(found)
    assert left(engine, found, clause) == expected


def test_writing_an_item_again_takes_its_old_objects_away(engine: Engine) -> None:
    found = grouped([{"variants": [{"colour": "red", "size": 40}]}])
    engine.write(found)
    source = {**found[0].item.source, "variants": [{"colour": "blue"}]}
    replaced = [replace(found[0], item=replace(found[0].item, source=source))]
    engine.write(replaced)
    assert left(engine, replaced, Nested("variants", RED)) == []
    assert left(engine, replaced, Nested("variants", BIG)) == []
    assert left(engine, replaced, Nested("variants", OneOf("variants.colour", ("blue",)))) == [0]


# --- dates, numbers, keywords, spaces


MADE = ["2001-02-03", "2020-05-06T12:00:00+02:00", "2020-05-06T10:00:00Z", "2020-05-06T10:00:00.999Z", "1969-12-31"]


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        ({"gte": "2020-05-06T10:00:00Z"}, [1, 2, 3]),
        ({"gt": "2020-05-06T10:00:00Z"}, [3]),
        ({"lt": "2020-05-06"}, [0, 4]),
        ({"gte": "1969-12-31", "lte": "2001-02-03"}, [0, 4]),
        ({"gt": "1969-12-31", "lt": "2001-02-03"}, []),
        ({"lte": "1970-01-01"}, [4]),
    ],
)
def test_dates_are_moments(engine: Engine, bounds: dict[str, str], expected: list[int]) -> None:
    field = engine.schema.filter_field("made")
    assert field is not None
    found = grouped([{"made": made} for made in MADE])
    engine.write(found)
    clause = Range("made", **{name: field.normalise(text) for name, text in bounds.items()})
    assert left(engine, found, clause) == expected


@pytest.mark.parametrize("made", ["2020-05-06T10:00:00.123Z", "2038-01-19T03:14:07.009Z", "1901-12-13T20:45:51.001Z"])
def test_a_date_equals_itself_to_the_millisecond(engine: Engine, made: str) -> None:
    field = engine.schema.filter_field("made")
    assert field is not None
    found = grouped([{"made": made}])
    engine.write(found)
    moment = field.normalise(made)
    for clause in (OneOf("made", (moment,)), Range("made", gte=moment), Range("made", lte=moment)):
        assert left(engine, found, clause) == [0]
    for clause in (Range("made", gt=moment), Range("made", lt=moment)):
        assert left(engine, found, clause) == []


def test_what_is_finer_than_a_millisecond_does_not_count(engine: Engine) -> None:
    field = engine.schema.filter_field("made")
    assert field is not None
    found = grouped([{"made": "2020-05-06T10:00:00.123456Z"}, {"made": "2020-05-06T10:00:00.123Z"}])
    engine.write(found)
    for text in ("2020-05-06T10:00:00.123456Z", "2020-05-06T10:00:00.123Z"):
        assert left(engine, found, OneOf("made", (field.normalise(text),))) == [0, 1]


def test_several_values_need_only_one_that_suits(engine: Engine) -> None:
    found = grouped([{"price": [1, 100]}, {"price": 50}, {"price": [1, 2]}])
    engine.write(found)
    assert left(engine, found, Range("price", gte=40.0, lt=60.0)) == [1]
    assert left(engine, found, AllOf((Range("price", gte=40.0), Range("price", lt=60.0)))) == [0, 1]
    assert left(engine, found, Not(Range("price", gt=40.0))) == [2]


def test_numbers_are_not_cut(engine: Engine) -> None:
    found = grouped([{"price": price} for price in (10, 10.5, 0.1 + 0.2, 1e300, 2**53)])
    engine.write(found)
    assert left(engine, found, OneOf("price", (10.0,))) == [0]
    assert left(engine, found, OneOf("price", (0.1 + 0.2,))) == [2]
    assert left(engine, found, OneOf("price", (0.3,))) == []
    assert left(engine, found, Range("price", gt=1e299)) == [3]
    assert left(engine, found, Range("price", gte=float(2**53), lte=float(2**53))) == [4]


def test_a_keyword_that_came_as_a_number_is_its_text(engine: Engine) -> None:
    found = grouped([{"colour": 5}, {"colour": "5"}, {"colour": 5.5}, {"colour": ["5.5", 6]}])
    engine.write(found)
    assert left(engine, found, OneOf("colour", ("5",))) == [0, 1]
    assert left(engine, found, OneOf("colour", ("5.5",))) == [2, 3]
    assert left(engine, found, Prefix("colour", "5")) == [0, 1, 2, 3]


def test_keywords_are_exact(engine: Engine) -> None:
    values = ["Café", "Cafe\u0301", "cafe", " Café", "CAFÉ", "a" * 3000]
    found = grouped([{"colour": value} for value in values])
    engine.write(found)
    for i, value in enumerate(values):
        assert left(engine, found, OneOf("colour", (value,))) == [i]


def test_an_item_has_a_space_or_not(engine: Engine) -> None:
    names = [("text",), ("text", "image"), ("text", "image_words"), ("text", "graph")]
    found = grouped([{}] * 4, [directions(i, *own) for i, own in enumerate(names)])
    engine.write(found)
    assert left(engine, found, Has(("image", "image_words"))) == [1, 2]
    assert left(engine, found, AllOf((Has(("image", "graph")), Has(("text",))))) == [1, 3]
    assert left(engine, found, Not(Has(("image", "image_words", "graph")))) == [0]


def test_many_values_are_asked_at_once(engine: Engine) -> None:
    found = grouped([{"colour": f"c{i}", "price": i} for i in range(12)])
    engine.write(found)
    assert left(engine, found, OneOf("colour", tuple(f"c{i}" for i in range(0, 1000, 2)))) == [0, 2, 4, 6, 8, 10]
    assert left(engine, found, OneOf("price", tuple(float(i) for i in range(6, 500)))) == [6, 7, 8, 9, 10, 11]


def test_as_many_items_are_excluded_as_a_plan_may_hold(engine: Engine) -> None:
    found = grouped([{"title": "lamp"}] * 4)
    engine.write(found)
    out = (*(f"seen-{number:0>40}" for number in range(MAX_EXCLUDED - 1)), found[2].item.id)
    for ann in (None, Ann(10, 20)):
        plan = Plan(ASKED, None, Fusion("max"), within(found), exclude=out, facets=(Facet("colour"),), ann=ann)
        page = engine.searcher.search(plan)
        assert {hit.id for hit in page.hits} == {found[n].item.id for n in (0, 1, 3)}
        assert page.total is not None and page.total.value == 3


def test_excluded_items_are_no_hits_and_are_not_counted(engine: Engine) -> None:
    found = grouped([{"title": "lamp"}] * 4)
    engine.write(found)
    out = (found[1].item.id, "nobody", found[3].item.id)
    for method, words in (("max", None), ("hybrid", "lamp"), ("rrf", "lamp")):
        page = engine.search(Plan(ASKED, words, Fusion(method), within(found), exclude=out), found)
        assert [hit.id for hit in page.hits] == [found[0].item.id, found[2].item.id]
    page = engine.search(Plan((), "lamp", Fusion("lexical"), within(found), exclude=out), found)
    assert len(page.hits) == 2


def test_items_by_their_ids(fresh: Engine) -> None:
    found = grouped([{"colour": "red"}] * 3, [{}, {}, directions(1)])
    fresh.write(found)
    wanted = Ids((found[2].item.id, "nowhere"))
    assert fresh.searcher.count(wanted) == 1
    assert fresh.searcher.count(Not(wanted)) == 2
    page = fresh.searcher.search(Plan(ASKED, None, Fusion("max"), wanted))
    assert [hit.id for hit in page.hits] == [found[2].item.id]

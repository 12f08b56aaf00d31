"""The edge: every wrong request is refused, and the refusal names the field."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus import Encodes
from es_mappings.errors import InvalidRequest, SettingsError
from es_mappings.schema import build_schema
from es_mappings.settings import LexicalSettings
from es_mappings.types import (
    MAX_EXCLUDED,
    AllOf,
    AnyOf,
    Exists,
    Facet,
    ImageTerm,
    ItemTerm,
    Nested,
    Not,
    OneOf,
    Prefix,
    Range,
    Sort,
    TextTerm,
    UserTerm,
    VectorTerm,
    Walk,
)
from query_api import cursor
from query_api.filters import parse_filter
from query_api.form import SearchModel
from query_api.request import parse, parse_recommend

LEXICAL = LexicalSettings(
    fields=("title^2", "body"),
    filters=(
        *("colour", "tags", "price:number", "made:date", "fresh:boolean"),
        *("variants.colour", "variants.stock:number", "offers.shop"),
    ),
    facets=("colour", "tags", "fresh"),
    nested=("variants", "offers"),
)
SCHEMA = build_schema(LEXICAL, [Encodes()])
(DIMS,) = (s.dims for s in SCHEMA.spaces if s.name == "text")


def problems(body: Any) -> list[str]:
    with pytest.raises(InvalidRequest) as caught:
        parse(body, SCHEMA)
    return [problem.field for problem in caught.value.problems]


def message(body: Any) -> str:
    with pytest.raises(InvalidRequest) as caught:
        parse(body, SCHEMA)
    (problem,) = caught.value.problems
    return problem.message


def test_words_become_one_text_term() -> None:
    request = parse({"query": "  red 椅子 "}, SCHEMA)
    assert request.terms == (TextTerm("red 椅子"),)
    assert (request.method, request.size, request.offset) == ("hybrid", 10, 0)
    assert (request.calibration, request.missing, request.plan) == (None, "ignore", "auto")
    assert (request.count, request.walk) == (None, None)


def test_terms_keep_weight_and_modalities() -> None:
    picture = base64.b64encode(b"bytes").decode()
    body = {"query": [{"text": "a", "weight": -0.5, "modalities": ["text"]}, {"item": "i"}, {"image": picture}]}
    assert parse(body, SCHEMA).terms == (
        TextTerm("a", weight=-0.5, modalities=("text",)),
        ItemTerm("i"),
        ImageTerm(b"bytes"),
    )


@given(st.lists(st.floats(-1, 1), min_size=DIMS, max_size=DIMS).filter(any), st.integers(-290, 290))
def test_a_vector_keeps_its_direction_and_may_have_any_length(direction: list[float], exponent: int) -> None:
    numbers = [x * 10.0**exponent for x in direction]
    if not any(numbers):  # too small for a float: nothing is left of it
        return
    (term,) = parse({"query": [{"vector": numbers, "space": "text", "weight": 2}]}, SCHEMA).terms
    assert isinstance(term, VectorTerm)
    assert (term.space, term.weight) == ("text", 2.0)
    assert max(map(abs, term.values)) == 1.0
    largest = max(map(abs, numbers))
    assert term.values == tuple(x / largest for x in numbers)


def deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


VECTOR = [1.0] * DIMS


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        (None, ["body"]),
        ([], ["body"]),
        ({}, ["query"]),
        ({"query": "   "}, ["query"]),
        ({"query": []}, ["query"]),
        ({"query": 7}, ["query"]),
        ({"query": [7]}, ["query[0]"]),
        ({"query": "x" * 501}, ["query"]),
        ({"query": [{"text": "a"}] * 17}, ["query"]),
        ({"query": [{}]}, ["query[0]"]),
        ({"query": [{"text": "a", "item": "b"}]}, ["query[0]"]),
        ({"query": [{"text": " "}]}, ["query[0].text"]),
        ({"query": [{"text": "x" * 501}]}, ["query[0].text"]),
        ({"query": [{"image": "not base64!"}]}, ["query[0].image"]),
        ({"query": [{"image": "椅子"}]}, ["query[0].image"]),
        ({"query": [{"text": "a", "modalities": ["smell"]}]}, ["query[0].modalities"]),
        ({"query": [{"text": "a", "weight": "1"}]}, ["query[0].weight"]),
        ({"query": [{"text": "a", "weight": float("nan")}]}, ["query[0].weight"]),
        ({"query": [{"text": "a", "space": "text"}]}, ["query[0].space"]),
        ({"query": [{"vector": VECTOR}]}, ["query[0].space"]),
        ({"query": [{"vector": VECTOR, "space": "smell"}]}, ["query[0].space"]),
        ({"query": [{"vector": VECTOR, "space": "text", "text": "a"}]}, ["query[0]"]),
        ({"query": [{"vector": [1.0], "space": "text"}]}, ["query[0].vector"]),
        ({"query": [{"vector": [], "space": "text"}]}, ["query[0].vector"]),
        ({"query": [{"vector": [0.0] * DIMS, "space": "text"}]}, ["query[0].vector"]),
        ({"query": [{"vector": [1.0] * 8193, "space": "text"}]}, ["query[0].vector"]),
        ({"query": [{"vector": ["1", "2", "3"], "space": "text"}]}, ["query[0].vector[0]"]),
        ({"query": [{"vector": [1, True], "space": "text"}]}, ["query[0].vector[1]"]),
        ({"query": [{"vector": [1, float("inf")], "space": "text"}]}, ["query[0].vector[1]"]),
        ({"query": "a", "size": "5"}, ["size"]),
        ({"query": "a", "size": 201}, ["size"]),
        ({"query": "a", "from": -1}, ["from"]),
        ({"query": "a", "from": 9_999, "size": 10}, ["from"]),
        ({"query": "a", "sise": 5, "form": 1}, ["sise", "form"]),
        ({"query": "a", "fusion": "max"}, ["fusion"]),
        ({"query": "a", "fusion": {"method": "min"}}, ["fusion.method"]),
        ({"query": "a", "fusion": {"weights": {"smell": 1}}}, ["fusion.weights.smell"]),
        ({"query": "a", "fusion": {"weights": {"text": -1}}}, ["fusion.weights.text"]),
        ({"query": "a", "fusion": {"calibration": "auto"}}, ["fusion.calibration"]),
        ({"query": "a", "fusion": {"missing": "guess"}}, ["fusion.missing"]),
        ({"query": "a", "fusion": {"method": "rrf", "missing": "penalize"}}, ["fusion.missing"]),
        ({"query": "a", "fusion": {"method": "lexical", "missing": "penalize"}}, ["fusion.missing"]),
        ({"query": "a", "fusion": {"method": "lexical", "missing": "require"}}, ["fusion.missing"]),
        ({"query": "a", "fusion": {"method": "rrf"}, "sort": ["price"]}, ["sort"]),
        ({"query": "a", "fusion": {"method": "rrf"}, "from": 495, "size": 6}, ["from"]),
        ({"query": "a", "plan": "fast"}, ["plan"]),
        ({"query": "a", "track_total_hits": 0}, ["track_total_hits"]),
        ({"query": "a", "track_total_hits": -5}, ["track_total_hits"]),
        ({"query": "a", "track_total_hits": 10.5}, ["track_total_hits"]),
        ({"query": "a", "track_total_hits": "yes"}, ["track_total_hits"]),
        ({"query": "a", "facets": "colour"}, ["facets"]),
        ({"query": "a", "facets": [3]}, ["facets[0]"]),
        ({"query": "a", "facets": ["price"]}, ["facets[0]"]),
        ({"query": "a", "facets": ["colour", "tags", "colour"]}, ["facets[2]"]),
        ({"query": "a", "facets": ["colour"] * 21}, ["facets"]),
        ({"query": "a", "facets": [{"field": "price"}]}, ["facets[0]"]),
        ({"query": "a", "facets": [{"ranges": [{"to": 5}]}]}, ["facets[0].field"]),
        ({"query": "a", "facets": [{"field": "nope", "ranges": [{"to": 5}]}]}, ["facets[0].field"]),
        ({"query": "a", "facets": [{"field": "variants.stock", "ranges": [{"to": 5}]}]}, ["facets[0].field"]),
        ({"query": "a", "facets": [{"field": "colour", "ranges": [{"to": 5}]}]}, ["facets[0].ranges"]),
        ({"query": "a", "facets": [{"field": "price", "ranges": []}]}, ["facets[0].ranges"]),
        ({"query": "a", "facets": [{"field": "price", "ranges": [{"to": 5}] * 51}]}, ["facets[0].ranges"]),
        ({"query": "a", "facets": [{"field": "price", "ranges": [{}]}]}, ["facets[0].ranges[0]"]),
        ({"query": "a", "facets": [{"field": "price", "ranges": [{"from": 5, "to": 5}]}]}, ["facets[0].ranges[0]"]),
        ({"query": "a", "facets": [{"field": "price", "ranges": [{"gte": 5}]}]}, ["facets[0].ranges[0].gte"]),
        ({"query": "a", "facets": [{"field": "price", "ranges": [{"to": "5"}]}]}, ["facets[0].ranges[0].to"]),
        ({"query": "a", "facets": [{"field": "price", "ranges": [{"to": [5]}]}]}, ["facets[0].ranges[0].to"]),
        ({"query": "a", "facets": [{"field": "price", "ranges": [{"to": True}]}]}, ["facets[0].ranges[0].to"]),
        ({"query": "a", "facets": [{"field": "made", "ranges": [{"to": 5}]}]}, ["facets[0].ranges[0].to"]),
        ({"query": "a", "sort": "price"}, ["sort"]),
        ({"query": "a", "sort": ["nope"]}, ["sort[0]"]),
        ({"query": "a", "sort": ["variants.stock"]}, ["sort[0]"]),
        ({"query": "a", "sort": ["price", {"price": "desc"}]}, ["sort[1]"]),
        ({"query": "a", "sort": [{"price": "up"}]}, ["sort[0].price"]),
        ({"query": "a", "sort": [{"price": None}]}, ["sort[0].price"]),
        ({"query": "a", "sort": [{"price": "asc", "made": "asc"}]}, ["sort[0]"]),
        ({"query": "a", "sort": [deep(2000)]}, ["sort[0]"]),
        ({"query": "a", "sort": ["price", "made", "colour", "tags", "fresh", "_score"]}, ["sort"]),
        ({"query": "a", "after": "*", "from": 1}, ["from"]),
        ({"query": "a", "after": "*", "size": 0}, ["size"]),
        ({"query": "a", "after": ""}, ["after"]),
        ({"query": "a", "after": "abc"}, ["after"]),
        ({"query": "a", "after": 7}, ["after"]),
        ({"query": "a", "after": "*", "filter": {"colour": [deep(2000)]}}, ["filter.colour"]),
        (
            {"query": " ", "facets": ["x"], "sort": ["y"], "filter": {"z": 1}},
            ["query", "filter.z", "facets[0]", "sort[0]"],
        ),
    ],
)
def test_what_is_wrong_is_named(body: Any, fields: list[str]) -> None:
    assert problems(body) == fields


@pytest.mark.parametrize(
    ("filter_", "place"),
    [
        ({"nope": 1}, "filter.nope"),
        ({"price": "cheap"}, "filter.price"),
        ({"price": {}}, "filter.price"),
        ({"price": {"from": 1}}, "filter.price"),
        ({"price": {"gte": 1, "exists": True}}, "filter.price"),
        ({"price": {"gte": True}}, "filter.price.gte"),
        ({"price": {"gte": {}}}, "filter.price.gte"),
        ({"price": {"exists": 1}}, "filter.price.exists"),
        ({"price": {"prefix": "1"}}, "filter.price.prefix"),
        ({"colour": {"prefix": ""}}, "filter.colour.prefix"),
        ({"colour": {"prefix": 1}}, "filter.colour.prefix"),
        ({"colour": {"prefix": "r", "exists": True}}, "filter.colour"),
        ({"colour": None}, "filter.colour"),
        ({"colour": []}, "filter.colour"),
        ({"colour": ["red"] * 501}, "filter.colour"),
        ({"made": "yesterday"}, "filter.made"),
        ({"made": "9999-12-31T23:59:59-05:00"}, "filter.made"),
        ({"made": "0001-01-01T00:00:00+05:00"}, "filter.made"),
        ({"fresh": {"gte": True}}, "filter.fresh"),
        ({"any": []}, "filter.any"),
        ({"any": {"colour": "red"}}, "filter.any"),
        ({"any": [{}]}, "filter.any[0]"),
        ({"any": [{"colour": "red"}] * 101}, "filter.any"),
        ({"any": [{"colour": "red"}, {"x": 1}]}, "filter.any[1].x"),
        ({"all": [{"any": [{"colour": "red"}] * 100}] * 6}, "filter.all[4].any[94].colour"),
        ({"not": []}, "filter.not"),
        ({"maxcos.text": "x"}, "filter.maxcos.text"),
        ({"variants": "red"}, "filter.variants"),
        ({"variants": {}}, "filter.variants"),
        ({"variants": {"exists": True}}, "filter.variants.exists"),
        ({"variants": {"price": 1}}, "filter.variants.price"),
        ({"variants": {"variants.colour": "red"}}, "filter.variants.variants.colour"),
        ({"variants": {"offers": {"shop": "a"}}}, "filter.variants.offers"),
        ({"variants": {"any": [{"colour": "red"}, {"stock": "many"}]}}, "filter.variants.any[1].stock"),
        ({"variants": {"any": [{"colour": "red"}] * 101}}, "filter.variants.any"),
        ({"variants.colour": "red"}, "filter.variants.colour"),
        ({"not": {"variants.stock": 1}}, "filter.not.variants.stock"),
    ],
)
def test_what_is_wrong_in_a_filter_is_named(filter_: Any, place: str) -> None:
    assert problems({"query": "a", "filter": filter_}) == [place]


def test_a_nested_field_outside_its_object_is_told_where_it_belongs() -> None:
    said = message({"query": "a", "filter": {"variants.colour": "red"}})
    assert '{"variants": {"colour": …}}' in said


@pytest.mark.parametrize("start", [{"colour": "red"}, {"variants": {"colour": "red"}}])
def test_a_deep_filter_is_refused(start: dict[str, Any]) -> None:
    for _ in range(10):
        start = {"not": start}
    assert problems({"query": "a", "filter": start}) == ["filter" + ".not" * 5]


def test_depth_counts_on_inside_an_object() -> None:
    inside: dict[str, Any] = {"colour": "red"}
    for _ in range(4):
        inside = {"not": inside}
    assert problems({"query": "a", "filter": {"variants": inside}}) == ["filter.variants.not.not.not.not"]


def test_filters_become_clauses() -> None:
    raw = {
        "colour": ["red", "blue"],
        "price": {"gte": 1, "lt": 5},
        "made": {"exists": False},
        "tags": {"prefix": "ab"},
        "not": {"any": [{"fresh": True}, {"tags": "x"}]},
        "variants": {"colour": "red", "not": {"stock": {"lt": 1}}, "any": [{"stock": {"exists": True}}]},
    }
    assert parse_filter(raw, SCHEMA) == AllOf(
        (
            OneOf("colour", ("red", "blue")),
            Range("price", gte=1.0, lt=5.0),
            Not(Exists("made")),
            Prefix("tags", "ab"),
            Not(AnyOf((OneOf("fresh", (True,)), OneOf("tags", ("x",))))),
            Nested(
                "variants",
                AllOf(
                    (
                        OneOf("variants.colour", ("red",)),
                        Not(Range("variants.stock", lt=1.0)),
                        AnyOf((Exists("variants.stock"),)),
                    )
                ),
            ),
        )
    )


@pytest.mark.parametrize(
    "settings",
    [
        {"filters": ("any",)},
        {"filters": ("not:number",)},
        {"filters": ("_score:number",)},
        {"filters": ("variants.all",), "nested": ("variants",)},
        {"filters": ("any.colour",), "nested": ("any",)},
    ],
)
def test_the_words_of_the_language_name_no_field(settings: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match="word of the query language"):
        build_schema(LexicalSettings(**settings), [Encodes()])


def test_facets_are_values_or_ranges() -> None:
    year = [{"to": "2020-01-01"}, {"from": "2020-01-01", "to": "2021-01-01T00:00:00+02:00"}]
    body = {
        "query": "a",
        "facets": [
            "colour",
            {"field": "tags"},
            {"field": "price", "ranges": [{"from": 0.5}, {"from": 1, "to": 2}]},
            {"field": "made", "ranges": year},
        ],
    }
    request = parse(body, SCHEMA)
    newyear = 1_577_836_800_000.0
    assert request.facets == (
        Facet("colour"),
        Facet("tags"),
        Facet("price", ((0.5, None), (1.0, 2.0))),
        Facet("made", ((None, newyear), (newyear, newyear + 366 * 86_400_000 - 7_200_000))),
    )
    assert request.ranges == {"price": ({"from": 0.5}, {"from": 1, "to": 2}), "made": tuple(year)}


def test_sorts_have_their_own_directions() -> None:
    request = parse({"query": "a", "sort": ["price", {"made": "desc"}, "_score", {"colour": "asc"}]}, SCHEMA)
    assert request.sort == (Sort("price"), Sort("made", True), Sort("_score", True), Sort("colour"))
    assert parse({"query": "a", "sort": [{"_score": "asc"}]}, SCHEMA).sort == (Sort("_score", False),)


@pytest.mark.parametrize(("wish", "count"), [(True, None), (False, 0), (1, 1), (10_000, 10_000)])
def test_totals_are_counted_as_far_as_wanted(wish: bool | int, count: int | None) -> None:
    assert parse({"query": "a", "track_total_hits": wish}, SCHEMA).count == count


def test_fusion_is_taken_over() -> None:
    wishes = {"method": "max", "calibration": "fitted", "missing": "penalize", "weights": {"text": 0, "lexical": 2}}
    request = parse({"query": "a", "fusion": wishes, "plan": "ann"}, SCHEMA)
    assert (request.method, request.calibration, request.missing) == ("max", "fitted", "penalize")
    assert request.weights == {"text": 0.0, "lexical": 2.0}
    assert request.plan == "ann"


def test_a_walk_begins_and_goes_on_with_the_same_request_only() -> None:
    body = {"query": "a", "size": 5, "filter": {"price": {"gte": 1}}}
    begun = parse({**body, "after": "*"}, SCHEMA)
    assert begun.walk == Walk()
    place = Walk("view", (0.1, "id"))
    token = cursor.encode(place, begun.digest)
    assert parse({**body, "after": token}, SCHEMA).walk == place
    assert parse(dict(reversed({**body, "after": token}.items())), SCHEMA).walk == place
    for other in ({"query": "b"}, {"size": 6}, {"filter": {"price": {"gte": 2}}}, {"facets": ["colour"]}):
        assert "belongs to another query" in message({**body, **other, "after": token})


def test_the_picture_is_part_of_what_a_cursor_belongs_to() -> None:
    begun = parse({"after": "*"}, SCHEMA, b"one")
    token = cursor.encode(Walk("view", (1,)), begun.digest)
    assert parse({"after": token}, SCHEMA, b"one").walk == Walk("view", (1,))
    with pytest.raises(InvalidRequest, match="belongs to another query"):
        parse({"after": token}, SCHEMA, b"two")


@pytest.mark.parametrize("after", [(), (-1,), (501,), (1.0,), (True,), ("1",), (1, 2)])
def test_a_forged_place_in_a_fused_list_is_refused(after: tuple[Any, ...]) -> None:
    body = {"query": "a", "fusion": {"method": "rrf"}}
    begun = parse({**body, "after": "*"}, SCHEMA)
    assert problems({**body, "after": cursor.encode(Walk("view", after), begun.digest)}) == ["after"]
    assert parse({**body, "after": cursor.encode(Walk("view", (500,)), begun.digest)}, SCHEMA).walk


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
names = st.sampled_from([field.alias or name for name, field in SearchModel.model_fields.items()])


@given(st.dictionaries(names, json_values, max_size=5) | json_values)
def test_any_json_is_parsed_or_refused(body: Any) -> None:
    try:
        parse(body, SCHEMA)
    except InvalidRequest as error:
        assert error.problems
        assert all(problem.field and problem.message for problem in error.problems)


def filters(depth: int = 4) -> st.SearchStrategy[Any]:
    """Filters that are right for the most part."""
    words = st.sampled_from(["colour", "tags", "price", "made", "fresh", "variants.colour", "stock", "nope"])
    values = st.sampled_from(["red", 1, True, "2024-01-01", None, ["red", "blue"], [1, 2]]) | st.dictionaries(
        st.sampled_from(["gt", "gte", "lt", "lte", "exists", "prefix"]), st.sampled_from([1, "a", True]), max_size=2
    )
    leaf = st.dictionaries(words, values, max_size=2)
    if depth == 0:
        return leaf
    inner = filters(depth - 1)
    return leaf | st.one_of(
        st.builds(lambda c: {"not": c}, inner),
        st.builds(lambda c: {"any": c}, st.lists(inner, max_size=3)),
        st.builds(lambda c: {"all": c}, st.lists(inner, max_size=3)),
        st.builds(lambda c: {"variants": c}, inner),
    )


@given(filters())
def test_what_a_filter_becomes_keeps_nested_fields_inside_their_objects(raw: Any) -> None:
    try:
        clause = parse_filter(raw, SCHEMA)
    except InvalidRequest as error:
        (problem,) = error.problems
        assert problem.field.startswith("filter")
        return
    assert_well_nested(clause, None)
    json.dumps(raw)


def assert_well_nested(clause: Any, path: str | None) -> None:
    match clause:
        case Nested(inside, inner):
            assert path is None
            assert_well_nested(inner, inside)
        case Not(inner):
            assert_well_nested(inner, path)
        case AllOf(clauses) | AnyOf(clauses):
            for inner in clauses:
                assert_well_nested(inner, path)
        case _:
            assert SCHEMA.filter_field(clause.field) is not None
            assert SCHEMA.nested_path(clause.field) == path


# --- recommendations


def test_a_recommendation_is_a_search_by_a_user_without_what_was_seen() -> None:
    request = parse_recommend({"user": "7", "size": 3}, SCHEMA, ("graph",), lambda user: (f"seen by {user}",))
    assert request.terms == (UserTerm("7", modalities=("graph",)),)
    assert (request.method, request.calibration, request.size) == ("max", "raw", 3)
    assert request.exclude == ("seen by 7",)


def test_more_seen_items_than_engines_leave_out_are_refused_with_what_to_do() -> None:
    def seen(_: str) -> tuple[str, ...]:
        return tuple(map(str, range(MAX_EXCLUDED + 1)))

    with pytest.raises(InvalidRequest, match=r"seen 65537 items, and no more than 65536 .* use false") as caught:
        parse_recommend({"user": "7"}, SCHEMA, ("graph",), seen)
    assert [problem.field for problem in caught.value.problems] == ["exclude_seen"]
    assert parse_recommend({"user": "7", "exclude_seen": False}, SCHEMA, ("graph",), seen).exclude == ()

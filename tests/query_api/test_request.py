"""The edge: every wrong request is refused, and the refusal names the field."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus import LEXICAL, Encodes
from es_mappings.errors import InvalidRequest
from es_mappings.schema import build_schema
from es_mappings.types import AllOf, AnyOf, ImageTerm, ItemTerm, Not, OneOf, Range, TextTerm
from query_api.request import SearchModel, parse, parse_filter

SCHEMA = build_schema(LEXICAL, [Encodes()])


def problems(body: Any) -> list[str]:
    with pytest.raises(InvalidRequest) as caught:
        parse(body, SCHEMA)
    return [problem.field for problem in caught.value.problems]


def test_words_become_one_text_term() -> None:
    request = parse({"query": "  red 椅子 "}, SCHEMA)
    assert request.terms == (TextTerm("red 椅子"),)
    assert (request.method, request.size, request.offset) == ("hybrid", 10, 0)


def test_terms_keep_weight_and_modalities() -> None:
    picture = base64.b64encode(b"bytes").decode()
    body = {"query": [{"text": "a", "weight": 0.5, "modalities": ["text"]}, {"item": "i"}, {"image": picture}]}
    assert parse(body, SCHEMA).terms == (
        TextTerm("a", weight=0.5, modalities=("text",)),
        ItemTerm("i"),
        ImageTerm(b"bytes"),
    )


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        (None, ["body"]),
        ([], ["body"]),
        ({}, ["query"]),
        ({"query": "   "}, ["query"]),
        ({"query": []}, ["query"]),
        ({"query": 7}, ["query"]),
        ({"query": "x" * 501}, ["query"]),
        ({"query": [{}]}, ["query[0]"]),
        ({"query": [{"text": "a", "item": "b"}]}, ["query[0]"]),
        ({"query": [{"text": " "}]}, ["query[0].text"]),
        ({"query": [{"image": "not base64!"}]}, ["query[0].image"]),
        ({"query": [{"text": "a", "modalities": ["smell"]}]}, ["query[0].modalities"]),
        ({"query": [{"text": "a", "weight": "1"}]}, ["query[0].weight"]),
        ({"query": "a", "size": "5"}, ["size"]),
        ({"query": "a", "size": 201}, ["size"]),
        ({"query": "a", "from": -1}, ["from"]),
        ({"query": "a", "from": 9_999, "size": 10}, ["body"]),
        ({"query": "a", "sise": 5, "form": 1}, ["sise", "form"]),
        ({"query": "a", "fusion": {"method": "min"}}, ["fusion.method"]),
        ({"query": "a", "fusion": {"weights": {"smell": 1}}}, ["fusion.weights.smell"]),
        ({"query": "a", "fusion": {"weights": {"text": -1}}}, ["fusion.weights.text"]),
        ({"query": "a", "facets": ["price"]}, ["facets[0]"]),
        ({"query": "a", "filter": {"nope": 1}}, ["filter.nope"]),
        ({"query": "a", "filter": {"price": "cheap"}}, ["filter.price"]),
        ({"query": "a", "filter": {"price": {"from": 1}}}, ["filter.price"]),
        ({"query": "a", "filter": {"price": {"gte": True}}}, ["filter.price.gte"]),
        ({"query": "a", "filter": {"made": "yesterday"}}, ["filter.made"]),
        ({"query": "a", "filter": {"fresh": {"gte": True}}}, ["filter.fresh"]),
        ({"query": "a", "filter": {"any": []}}, ["filter.any"]),
        ({"query": "a", "filter": {"any": [{"colour": "red"}, {"x": 1}]}}, ["filter.any[1].x"]),
        ({"query": "a", "filter": {"maxcos.text": "x"}}, ["filter.maxcos.text"]),
        ({"query": "a", "filter": {"colour": []}}, ["filter.colour"]),
    ],
)
def test_what_is_wrong_is_named(body: Any, fields: list[str]) -> None:
    assert problems(body) == fields


def test_a_deep_filter_is_refused() -> None:
    deep: dict[str, Any] = {"colour": "red"}
    for _ in range(10):
        deep = {"not": deep}
    assert problems({"query": "a", "filter": deep}) == ["filter" + ".not" * 5]


def test_filters_become_clauses() -> None:
    raw = {"colour": ["red", "blue"], "price": {"gte": 1, "lt": 5}, "not": {"any": [{"fresh": True}, {"tags": "x"}]}}
    assert parse_filter(raw, SCHEMA) == AllOf(
        (
            OneOf("colour", ("red", "blue")),
            Range("price", gte=1.0, lt=5.0),
            Not(AnyOf((OneOf("fresh", (True,)), OneOf("tags", ("x",))))),
        )
    )


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

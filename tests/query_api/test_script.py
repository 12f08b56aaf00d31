"""The scoring script's text: a few texts have to serve all queries, since engines compile only so many in a minute."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drawn import calibrations, vectors
from es_mappings.dialects import dialects
from es_mappings.types import Fusion, FusionMethod, Plan, QueryVector
from plans import PLANS, shop
from query_api.bodies.script import script
from query_api.bodies.search import search_body
from query_api.request import parse

DIALECTS = dialects()
numbers = st.floats(0.0625, 3, allow_nan=False)


@given(
    asked=vectors(),
    other=st.lists(numbers.filter(lambda weight: weight != 1), min_size=4, max_size=4),
    maps=st.lists(calibrations(40.0), min_size=4, max_size=4),
    shares=st.tuples(st.just(1.0) | numbers, st.just(1.0) | numbers),
    method=st.sampled_from(["max", "hybrid"]),
)
def test_no_weight_no_map_and_no_share_of_the_words_makes_a_new_text(
    asked: tuple[QueryVector, ...], other: list[float], maps: list[Any], shares: tuple[float, float], method: Any
) -> None:
    fitted = asked[0].calibration is not None
    again = tuple(
        replace(v, weight=weight, calibration=fit if fitted else None)
        for v, weight, fit in zip(asked, other, maps, strict=False)
    )
    weighted = any(v.weight != 1 for v in asked)
    plain = tuple(replace(v, weight=1.0) for v in again)
    first = Plan(asked, None, Fusion(method, shares[0]))
    second = Plan(again if weighted else plain, None, Fusion(method, shares[1]))
    for dialect in DIALECTS:
        assert script(first, dialect)["source"] == script(second, dialect)["source"]


def test_all_attributions_have_one_text() -> None:
    for dialect in DIALECTS:
        bodies = [search_body(plan, shop(), dialect) for plan in PLANS.values()]
        texts = {text for body in bodies for text in _sources(body.get("post_filter", {}))}
        assert len(texts) == 1


@pytest.mark.parametrize("method", ["max", "hybrid", "lexical"])
def test_no_text_of_a_request_gets_into_a_script(method: FusionMethod) -> None:
    text = "'\"; return 1; // ${marker}"
    asked = {"category": text, "brand": {"prefix": text}, "variants": {"colour": text}, "price": {"gt": 1}}
    request = parse({"query": text, "filter": asked, "facets": ["brand"], "sort": ["price"], "highlight": True}, shop())
    vectors = () if method == "lexical" else PLANS["max"].vectors
    plan = Plan(vectors, text, Fusion(method), request.filter, facets=request.facets, sort=request.sort, highlight=True)
    for dialect in DIALECTS:
        body = search_body(plan, shop(), dialect)
        assert json.dumps(text)[1:-1] in json.dumps(body, default=lambda numbers: numbers.tolist())
        assert bool(_sources(body)) == bool(vectors)
        assert not any("marker" in source for source in _sources(body))


def _sources(body: Any) -> list[str]:
    """Every script's text in a body, however deep."""
    if isinstance(body, list):
        return [text for one in body for text in _sources(one)]
    if isinstance(body, dict):
        return [text for name, one in body.items() for text in ([one] if name == "source" else _sources(one))]
    return []

"""Any documents, any missing modality, any weights: each engine's answer is numpy's."""

from __future__ import annotations

import uuid

from hypothesis import given, settings
from hypothesis import strategies as st

from corpus import SPACES, Engine, direction, document
from es_mappings.types import AllOf, AnyOf, EncodedItem, Filter, Fusion, Not, OneOf, Plan, QueryVector, Range
from reference import assert_page

WORDS = ("lamp", "chair", "oak", "steel", "椅子", "沙发", "緑")
COLOURS = ("red", "green", "blue", "绿")

seeds = st.integers(0, 40)  # a small pool, so that equal vectors and ties are common


@st.composite
def documents(draw: st.DrawFn) -> list[EncodedItem]:
    group = uuid.uuid4().hex
    return [
        document(
            f"{group}-{position:02}",
            {s.name: direction(draw(seeds), s.dims) for s in SPACES if draw(st.booleans())},
            group=group,
            title=" ".join(draw(st.lists(st.sampled_from(WORDS), max_size=3))),
            colour=draw(st.sampled_from(COLOURS)),
            tags=draw(st.lists(st.sampled_from(COLOURS), max_size=3, unique=True)),
            price=float(draw(st.integers(-3, 30))),
            fresh=draw(st.booleans()),
        )
        for position in range(draw(st.integers(1, 12)))
    ]


weights = st.floats(0.0625, 3, allow_nan=False, width=32)


@st.composite
def vectors(draw: st.DrawFn) -> tuple[QueryVector, ...]:
    chosen = draw(st.lists(st.sampled_from(SPACES), min_size=1, unique=True))
    return tuple(QueryVector(s, direction(draw(seeds), s.dims), draw(weights)) for s in SPACES if s in chosen)


bounds = st.integers(-3, 30).map(float)
leaves: st.SearchStrategy[Filter] = st.one_of(
    st.builds(OneOf, st.sampled_from(["colour", "tags"]), st.lists(st.sampled_from(COLOURS), min_size=1).map(tuple)),
    st.builds(OneOf, st.just("fresh"), st.tuples(st.booleans())),
    st.builds(Range, st.just("price"), gte=bounds, lt=st.none() | bounds),
    st.builds(Range, st.just("price"), gt=bounds, lte=st.none() | bounds),
)
filters = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(AllOf, st.lists(inner, min_size=1, max_size=3).map(tuple)),
        st.builds(AnyOf, st.lists(inner, min_size=1, max_size=3).map(tuple)),
        st.builds(Not, inner),
    ),
    max_leaves=4,
)


def within(found: list[EncodedItem], extra: Filter | None) -> Filter:
    group = OneOf("group", (found[0].item.source["group"],))
    return group if extra is None else AllOf((group, extra))


@settings(max_examples=40)
@given(found=documents(), asked=vectors(), extra=st.none() | filters, offset=st.integers(0, 4), size=st.integers(0, 8))
def test_max_is_numpys(
    engine: Engine,
    found: list[EncodedItem],
    asked: tuple[QueryVector, ...],
    extra: Filter | None,
    offset: int,
    size: int,
) -> None:
    engine.write(found)
    plan = Plan(asked, None, Fusion("max"), within(found, extra), size=size, offset=offset)
    assert_page(engine.searcher.search(plan), plan, found)


@settings(max_examples=40)
@given(found=documents(), asked=vectors(), words=st.sampled_from(WORDS), extra=st.none() | filters, share=weights)
def test_hybrid_adds_the_saturated_lexical_score(
    engine: Engine,
    found: list[EncodedItem],
    asked: tuple[QueryVector, ...],
    words: str,
    extra: Filter | None,
    share: float,
) -> None:
    engine.write(found)
    plan = Plan(asked, words, Fusion("hybrid", share), within(found, extra), size=20)
    page = engine.searcher.search(plan)
    assert_page(page, plan, found)
    titles = {d.item.id: d.item.source["title"].split() for d in found}
    assert all((hit.lexical is not None) == (words in titles[hit.id]) for hit in page.hits)


@settings(max_examples=20)
@given(found=documents(), asked=vectors(), extra=st.none() | filters)
def test_facets_count_what_is_scored(
    engine: Engine, found: list[EncodedItem], asked: tuple[QueryVector, ...], extra: Filter | None
) -> None:
    engine.write(found)
    plan = Plan(asked, None, Fusion("max"), within(found, extra), facets=("colour", "tags"), size=20)
    page = engine.searcher.search(plan)
    sources = {d.item.id: d.item.source for d in found}
    for facet in plan.facets:
        expected: dict[str, int] = {}
        for hit in page.hits:
            values = sources[hit.id][facet]
            for value in values if isinstance(values, list) else [values]:
                expected[value] = expected.get(value, 0) + 1
        assert page.facets[facet] == expected

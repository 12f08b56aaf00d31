"""What hypothesis draws for the contract suite: documents, queries, filters, facets and orders."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

from corpus import SPACES, direction, document, new_group
from es_mappings.types import (
    SCORE,
    AllOf,
    AnyOf,
    Calibration,
    EncodedItem,
    Exists,
    Facet,
    Filter,
    Fusion,
    Has,
    Nested,
    Not,
    OneOf,
    Plan,
    Prefix,
    QueryVector,
    Range,
    Sort,
)

WORDS = ("lamp", "chair", "oak", "steel", "椅子", "沙发", "緑")
"""No word shares a stem or a character with another one."""
KEYWORDS = ("red", "green", "Red", "re", "绿", "绿色", "💡", "💡💡", "～", "", "a*b", "a_b%")
"""The emoji come after the fullwidth tilde by code point, and before it by the 16-bit units of Java and JavaScript."""
MOMENTS = (
    "2001-02-03",
    "2001-02-03T00:00:00Z",
    "2020-05-06T12:00:00+02:00",
    "2020-05-06T10:00:00.123Z",
    "1969-12-31T23:59:59.999Z",
    "1850-06-01T01:02:03",
)
MILLISECONDS = (981_158_400_000.0, 1_588_759_200_000.0, 1_588_759_200_123.0, -1.0, 0.0, -3_773_256_000_000.0)

seeds = st.integers(0, 40)  # a small pool, so that equal vectors and ties are common
keywords = st.sampled_from(KEYWORDS)
numbers = st.sampled_from([-3.0, 0.0, 0.5, 7.0, 10.5, 11.0, 1e9]) | st.integers(-3, 30).map(float)
moments = st.sampled_from(MOMENTS)


def one_or_many(value: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | value | st.lists(value, max_size=3)


# --- documents

objects = st.fixed_dictionaries({}, optional={"colour": one_or_many(keywords), "size": one_or_many(numbers)})
titles = st.lists(st.sampled_from(WORDS), max_size=3).map(" ".join)
sources = st.fixed_dictionaries(
    {"title": titles},
    optional={
        "body": titles,
        "colour": one_or_many(keywords),
        "tags": one_or_many(keywords),
        "maker": st.fixed_dictionaries({}, optional={"name": one_or_many(keywords)}),
        "price": one_or_many(numbers),
        "made": one_or_many(moments),
        "fresh": one_or_many(st.booleans()),
        "variants": one_or_many(objects),
    },
)
encoded = st.fixed_dictionaries({}, optional={s.name: seeds for s in SPACES})


def _documents(drawn: list[tuple[Mapping[str, Any], Mapping[str, int]]]) -> list[EncodedItem]:
    group = new_group()
    dims = {s.name: s.dims for s in SPACES}
    return [
        document(f"{group}-{i:02}", {n: direction(seed, dims[n]) for n, seed in vectors.items()}, **source, group=group)
        for i, (source, vectors) in enumerate(drawn)
    ]


documents = st.lists(st.tuples(sources, encoded), min_size=1, max_size=12).map(_documents)


# --- queries

weights = st.just(0.0) | st.floats(0.0625, 3, allow_nan=False, width=32)


@st.composite
def calibrations(draw: st.DrawFn, steepest: float) -> Calibration:
    slope = draw(st.just(0.0) | st.floats(0.01, steepest))
    return Calibration(slope, draw(st.floats(-8, 8)), draw(st.floats(0, 1)), "")


@st.composite
def vectors(draw: st.DrawFn, *, missing: str = "ignore", steepest: float = 40.0) -> tuple[QueryVector, ...]:
    """Vectors for some spaces: all calibrated or none, as a planner makes them, with a weight for each modality."""
    chosen = draw(st.lists(st.sampled_from(SPACES), min_size=1, unique=True))
    by_modality = {modality: draw(weights) for modality in sorted({s.modality for s in chosen})}
    fitted = missing == "penalize" or draw(st.booleans())
    maps = {s.name: draw(calibrations(steepest)) for s in chosen} if fitted else {}
    return tuple(
        QueryVector(
            space,
            direction(draw(seeds), space.dims),
            by_modality[space.modality],
            maps.get(space.name),
            maps[space.name].background if missing == "penalize" else None,
            common=draw(st.booleans()),
        )
        for space in SPACES
        if space in chosen
    )


queries = st.lists(st.sampled_from(WORDS), min_size=1, max_size=2, unique=True).map(" ".join)


# --- filters


def ranges(field: str, bounds: st.SearchStrategy[Any]) -> st.SearchStrategy[Filter]:
    return st.one_of(
        st.builds(Range, st.just(field), gte=bounds, lt=st.none() | bounds),
        st.builds(Range, st.just(field), gt=bounds, lte=st.none() | bounds),
        st.builds(Range, st.just(field), lte=bounds),
    )


def keyword_filters(*names: str) -> st.SearchStrategy[Filter]:
    fields = st.sampled_from(names)
    return st.one_of(
        st.builds(OneOf, fields, st.lists(keywords, min_size=1, max_size=3).map(tuple)),
        st.builds(Prefix, fields, st.sampled_from(["r", "re", "Re", "绿", "💡", "a*", "a_", "a", "*", "～"])),
        st.builds(Exists, fields),
        fields.flatmap(lambda name: ranges(name, keywords.filter(bool))),
    )


def number_filters(name: str, numbers: st.SearchStrategy[float]) -> st.SearchStrategy[Filter]:
    one_of = st.builds(OneOf, st.just(name), st.lists(numbers, min_size=1, max_size=3).map(tuple))
    return st.one_of(one_of, ranges(name, numbers), st.just(Exists(name)))


def combined(leaves: st.SearchStrategy[Filter], max_leaves: int) -> st.SearchStrategy[Filter]:
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.builds(AllOf, st.lists(inner, min_size=1, max_size=3).map(tuple)),
            st.builds(AnyOf, st.lists(inner, min_size=1, max_size=3).map(tuple)),
            st.builds(Not, inner),
        ),
        max_leaves=max_leaves,
    )


inside = combined(keyword_filters("variants.colour") | number_filters("variants.size", numbers), 3)
facet_leaves = st.one_of(
    keyword_filters("colour", "tags", "maker.name"),
    number_filters("price", numbers),
    number_filters("made", st.sampled_from(MILLISECONDS)),
    st.builds(OneOf, st.just("fresh"), st.sampled_from([(True,), (False,), (True, False)])),
    st.just(Exists("fresh")),
)
leaves = st.one_of(
    facet_leaves,
    st.builds(OneOf, st.just("title"), st.tuples(titles)),
    st.builds(Has, st.lists(st.sampled_from([s.name for s in SPACES]), min_size=1, max_size=2).map(tuple)),
    st.builds(Nested, st.just("variants"), inside),
)
filters = combined(leaves, 4)


# --- facets and orders


def between(bounds: st.SearchStrategy[float]) -> st.SearchStrategy[tuple[tuple[float | None, float | None], ...]]:
    pairs = st.lists(bounds, min_size=2, max_size=2, unique=True).map(sorted).map(tuple)
    open_ended = st.builds(lambda b: (None, b), bounds) | st.builds(lambda b: (b, None), bounds)
    return st.lists(pairs | open_ended, min_size=1, max_size=4).map(tuple)


facets = st.lists(
    st.one_of(
        st.builds(Facet, st.sampled_from(["colour", "tags", "maker.name", "price", "made", "fresh"])),
        st.builds(Facet, st.just("price"), between(numbers)),
        st.builds(Facet, st.just("made"), between(st.sampled_from(MILLISECONDS))),
    ),
    max_size=4,
    unique_by=lambda facet: facet.field,
).map(tuple)

sorts = st.lists(
    st.builds(
        Sort,
        st.sampled_from([SCORE, "colour", "tags", "title", "maker.name", "price", "made", "fresh"]),
        st.booleans(),
    ),
    min_size=1,
    max_size=3,
    unique_by=lambda sort: sort.field,
).map(tuple)


@st.composite
def unranked_plans(draw: st.DrawFn) -> Plan:
    """A query under any fusion that takes a sort, without filter."""
    match draw(st.sampled_from(["max", "hybrid", "lexical"])):
        case "max":
            return Plan(draw(vectors()), None, Fusion("max"))
        case "hybrid":
            return Plan(draw(vectors()), draw(queries), Fusion("hybrid"))
        case _:
            return Plan((), draw(queries), Fusion("lexical"))

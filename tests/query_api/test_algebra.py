"""The algebra of terms, as docs/query.md states it, on real vectors: `combine` is a sum of unit vectors per space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from corpus import LEXICAL, SPACES, direction
from encoders.contract import Encoded, Encoder
from es_mappings.errors import InvalidRequest, ItemNotFound
from es_mappings.schema import build_schema
from es_mappings.types import (
    EntityTerm,
    ItemTerm,
    Provenance,
    Space,
    StoredItem,
    Term,
    TextTerm,
    Vector,
    VectorTerm,
)
from query_api.planner import combine


class Drawn:
    """An encoder whose vectors are drawn from the length of a text or an entity's id."""

    def __init__(self, *spaces: Space) -> None:
        self.spaces = spaces
        self.provenance = {s.name: Provenance("drawn", "0", s.dims) for s in spaces}

    def encode_items(self, values: Sequence[Sequence[Any]], base: Path) -> Encoded:
        return Encoded({s.name: [None] * len(values) for s in self.spaces})

    def encode_query(self, term: Term) -> Mapping[str, Vector]:
        match term:
            case TextTerm(text):
                return {s.name: direction(len(text), s.dims) for s in self.spaces}
            case EntityTerm(identifier):
                return {s.name: direction(1000 + len(identifier), s.dims) for s in self.spaces if s.name == "graph"}
        return {}


TEXT, IMAGE, WORDS, GRAPH = SPACES
ENCODERS: dict[str, Encoder] = {"text": Drawn(TEXT), "image": Drawn(IMAGE, WORDS), "graph": Drawn(GRAPH)}
SCHEMA = build_schema(LEXICAL, ENCODERS.values())
ITEMS = {
    "whole": {s.name: direction(2000, s.dims) for s in SPACES},
    "part": {s.name: direction(2001, s.dims) for s in (TEXT, GRAPH)},
}


def stored(identifier: str) -> StoredItem:
    if identifier not in ITEMS:
        raise ItemNotFound(identifier)
    return StoredItem(identifier, {}, ITEMS[identifier])


def combined(terms: Sequence[Term]) -> dict[str, Vector]:
    vectors, failed = combine(terms, ENCODERS, SCHEMA, {}, stored)
    assert failed == ()
    assert all(v.dtype == np.float32 and abs(float(np.linalg.norm(v)) - 1) < 1e-5 for v in vectors.values())
    return vectors


def assert_equal(one: Mapping[str, Vector], other: Mapping[str, Vector]) -> None:
    assert one.keys() == other.keys()
    for space, vector in one.items():
        assert np.allclose(vector, other[space], atol=2e-4)


def parts(term: Term) -> dict[str, Vector]:
    """What a term says by itself, at weight 1."""
    return combined([replace(term, weight=1.0)])


def lengths(terms: Sequence[Term]) -> dict[str, float]:
    """How much of the terms is left in each space after they met, as a share of what went in."""
    sums: dict[str, Any] = {}
    weights: dict[str, float] = {}
    for term in terms:
        for space, vector in parts(term).items():
            sums[space] = sums.get(space, 0) + term.weight * vector.astype(np.float64)
            weights[space] = weights.get(space, 0) + abs(term.weight)
    return {space: float(np.linalg.norm(total)) / weights[space] for space, total in sums.items()}


weights = st.floats(-3, 3).filter(lambda w: abs(w) > 0.1)
modalities = st.none() | st.just(("text",)) | st.just(("graph", "image")) | st.just(("text", "image", "graph"))
texts = st.builds(
    lambda n, **rest: TextTerm("x" * n, **rest), st.integers(1, 40), weight=weights, modalities=modalities
)
entities = st.builds(lambda n, **rest: EntityTerm("e" * n, **rest), st.integers(1, 5), weight=weights)
items = st.builds(ItemTerm, st.sampled_from(sorted(ITEMS)), weight=weights, modalities=modalities)
vectors = st.builds(
    lambda space, numbers, length, weight: VectorTerm(
        space.name, tuple(length * n for n in numbers[: space.dims]), weight=weight
    ),
    st.sampled_from(SPACES),
    st.lists(st.floats(-1, 1), min_size=9, max_size=9).filter(lambda n: max(map(abs, n[:4])) > 0.1),
    st.sampled_from([0.01, 1.0, 1000.0]),
    weights,
)
terms = texts | entities | items | vectors
queries = st.lists(terms, min_size=1, max_size=16)


def something_left(query: Sequence[Term]) -> bool:
    """Float32 can tell a direction from the noise of what was taken away from each other."""
    return all(length > 0.01 for length in lengths(query).values())


@given(queries)
def test_terms_meet_per_space_as_a_weighted_sum_of_unit_vectors(query: list[Term]) -> None:
    assume(something_left(query))
    expected: dict[str, Any] = {}
    for term in query:
        for space, vector in parts(term).items():
            expected[space] = expected.get(space, 0) + term.weight * vector.astype(np.float64)
    assert_equal(combined(query), {space: total / np.linalg.norm(total) for space, total in expected.items()})


@given(queries, st.sampled_from([1e-9, 1e-3, 0.3, 7.0, 300.0]))
def test_the_scale_of_all_weights_is_irrelevant(query: list[Term], scale: float) -> None:
    assume(something_left(query))
    assert_equal(combined(query), combined([replace(term, weight=term.weight * scale) for term in query]))


@given(queries, st.randoms())
def test_the_order_of_terms_is_irrelevant(query: list[Term], random: Any) -> None:
    assume(something_left(query))
    shuffled = list(query)
    random.shuffle(shuffled)
    assert_equal(combined(query), combined(shuffled))


@given(terms)
def test_a_term_and_its_negation_cancel_and_are_refused(term: Term) -> None:
    with pytest.raises(InvalidRequest, match="cancel each other out") as caught:
        combined([term, replace(term, weight=-term.weight)])
    assert [problem.field for problem in caught.value.problems] == ["query"]


@given(queries, terms)
def test_a_term_twice_is_a_term_of_twice_the_weight(query: list[Term], term: Term) -> None:
    assume(something_left([*query, term, term]))
    assert_equal(combined([*query, term, term]), combined([*query, replace(term, weight=2 * term.weight)]))


@given(queries, terms)
def test_a_weight_of_zero_says_nothing_where_another_term_speaks(query: list[Term], term: Term) -> None:
    assume(something_left(query) and parts(term).keys() <= combined(query).keys())
    assert_equal(combined([*query, replace(term, weight=0.0)]), combined(query))


@given(terms)
def test_one_term_is_its_own_vector_or_the_opposite(term: Term) -> None:
    sign = np.float32(np.sign(term.weight))
    assert_equal(combined([term]), {space: sign * vector for space, vector in parts(term).items()})


@given(vectors, st.floats(0.01, 100))
def test_the_length_of_a_given_vector_is_irrelevant(term: VectorTerm, length: float) -> None:
    longer = replace(term, values=tuple(length * value for value in term.values))
    assert_equal(combined([term]), combined([longer]))

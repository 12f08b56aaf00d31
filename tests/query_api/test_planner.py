"""From terms to one vector per space: weights, modalities, failures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus import LEXICAL, SPACES, direction
from encoders.contract import Encoded, Encoder
from es_mappings.errors import EncoderError, InvalidRequest, ItemNotFound, NothingToSearch
from es_mappings.schema import build_schema
from es_mappings.types import Provenance, Space, StoredItem, Term, TextTerm, Vector
from query_api.planner import Planned, make_plan
from query_api.request import parse


class Seeded:
    """An encoder whose vector of a text is drawn from the text's length; `broken` ones fail as a whole."""

    def __init__(self, *spaces: Space, broken: bool = False) -> None:
        self.spaces = spaces
        self.provenance = {s.name: Provenance("seeded", "0", s.dims) for s in spaces}
        self.broken = broken

    def encode_items(self, values: Sequence[Sequence[Any]], base: Path) -> Encoded:
        raise NotImplementedError

    def encode_query(self, term: Term) -> Mapping[str, Vector]:
        if self.broken:
            raise EncoderError("no weights")
        return {s.name: vector_of(term, s) for s in self.spaces} if isinstance(term, TextTerm) else {}


def vector_of(term: TextTerm, space: Space) -> Vector:
    return direction(len(term.text), space.dims)


TEXT, IMAGE, WORDS, GRAPH = SPACES
STORED = StoredItem("known", {}, {s.name: direction(99, s.dims) for s in (TEXT, IMAGE, WORDS)})


def stored(identifier: str) -> StoredItem:
    if identifier != "known":
        raise ItemNotFound(identifier)
    return STORED


def plan(body: dict[str, Any], *broken: str, weights: Mapping[str, float] | None = None) -> Planned:
    encoders: dict[str, Encoder] = {
        "text": Seeded(TEXT, broken="text" in broken),
        "image": Seeded(IMAGE, WORDS, broken="image" in broken),
        "graph": Seeded(GRAPH, broken="graph" in broken),
    }
    schema = build_schema(LEXICAL, encoders.values())
    return make_plan(parse(body, schema), schema, encoders, weights or {}, stored)


def asked(planned: Planned) -> dict[str, float]:
    return {v.space.name: v.weight for v in planned.plan.vectors}


def test_weights_of_the_request_win_over_those_of_the_settings() -> None:
    body = {"query": "abc", "fusion": {"weights": {"image": 0.25, "lexical": 0.5}}}
    planned = plan(body, weights={"image": 2.0, "graph": 3.0})
    assert asked(planned) == {"text": 1.0, "image": 0.25, "image_words": 0.25, "graph": 3.0}
    assert planned.plan.fusion.lexical_weight == 0.5


def test_a_weight_of_zero_leaves_a_modality_out() -> None:
    planned = plan({"query": "abc", "fusion": {"weights": {"graph": 0, "lexical": 0}}})
    assert "graph" not in asked(planned)
    assert planned.plan.words is None


def test_a_term_speaks_only_to_its_modalities() -> None:
    planned = plan({"query": [{"text": "abc", "modalities": ["graph"]}, {"item": "known", "modalities": ["text"]}]})
    assert set(asked(planned)) == {"graph", "text"}


def test_an_item_asks_the_first_space_of_each_of_its_modalities() -> None:
    planned = plan({"query": [{"item": "known"}]})
    assert set(asked(planned)) == {"text", "image"}  # not image_words, and it has no graph vector
    assert planned.plan.exclude == ("known",)


def test_max_and_lexical_ask_for_what_they_use() -> None:
    assert plan({"query": "abc", "fusion": {"method": "max"}}).plan.words is None
    lexical = plan({"query": "abc", "fusion": {"method": "lexical"}}).plan
    assert (lexical.vectors, lexical.words) == ((), "abc")


def test_negative_words_are_not_looked_for() -> None:
    planned = plan({"query": [{"text": "abc"}, {"text": "plastic", "weight": -0.5}]})
    assert planned.plan.words == "abc"


weights = st.floats(-3, 3, allow_nan=False).filter(lambda w: abs(w) > 0.1)


@given(st.lists(st.tuples(st.integers(1, 20), weights), min_size=1, max_size=5), st.floats(0.5, 4))
def test_terms_add_up_and_their_scale_does_not_matter(terms: list[tuple[int, float]], scale: float) -> None:
    total = sum((w * direction(n, TEXT.dims).astype(np.float64) for n, w in terms), np.zeros(TEXT.dims))
    if np.linalg.norm(total) < 0.05:
        return
    query = [{"text": "x" * n, "weight": w, "modalities": ["text"]} for n, w in terms]
    scaled = [{**term, "weight": term["weight"] * scale} for term in query]
    (first,) = plan({"query": query}).plan.vectors
    (second,) = plan({"query": scaled}).plan.vectors
    assert first.vector.dtype == np.float32
    assert np.allclose(first.vector, total / np.linalg.norm(total), atol=1e-4)
    assert np.allclose(first.vector, second.vector, atol=1e-4)


def test_a_failed_encoder_is_left_out_and_named() -> None:
    planned = plan({"query": "abc"}, "image", "graph")
    assert set(asked(planned)) == {"text"}
    assert planned.degraded == ("image", "graph")


def test_words_are_still_found_when_every_encoder_failed() -> None:
    planned = plan({"query": "abc"}, "text", "image", "graph")
    assert (planned.plan.vectors, planned.plan.words) == ((), "abc")


def test_nothing_left_is_an_encoder_error_and_nothing_meant_is_not() -> None:
    with pytest.raises(EncoderError, match="text, image, graph"):
        plan({"query": "abc", "fusion": {"method": "max"}}, "text", "image", "graph")
    with pytest.raises(NothingToSearch):
        plan({"query": [{"item": "known", "modalities": ["graph"]}]})


def test_an_unknown_item_is_the_request_s_fault() -> None:
    with pytest.raises(InvalidRequest, match=r"query\[1\]\.item"):
        plan({"query": [{"text": "a"}, {"item": "nobody"}]})

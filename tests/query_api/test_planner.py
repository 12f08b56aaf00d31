"""From terms to one vector per space: weights, modalities, failures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus import LEXICAL, SPACES, direction, document
from encoders.contract import Encoded, Encoder
from es_mappings.errors import EncoderError, InvalidRequest, NothingToSearch
from es_mappings.provenance import Manifest, vectors_fingerprint
from es_mappings.schema import Schema, build_schema
from es_mappings.settings import EngineSettings
from es_mappings.types import (
    AllOf,
    Calibration,
    Centre,
    Has,
    ItemTerm,
    OneOf,
    Provenance,
    Space,
    StoredItem,
    Term,
    TextTerm,
    Vector,
)
from ingest.sinks import open_sink
from query_api.planner import Planned, combine, make_plan
from query_api.request import parse
from query_api.searchers import Searcher, open_searcher

Plans = Callable[..., Planned]


class Seeded:
    """An encoder whose vector of a text is drawn from the text's length; `broken` ones fail as a whole."""

    def __init__(self, *spaces: Space, broken: bool = False) -> None:
        self.spaces = spaces
        self.provenance = {s.name: Provenance("seeded", "0", s.dims) for s in spaces}
        self.broken = broken

    def encode_items(self, values: Sequence[Sequence[Any]], base: Path) -> Encoded:
        return Encoded({s.name: [None] * len(values) for s in self.spaces})

    def encode_query(self, term: Term) -> Mapping[str, Vector]:
        if self.broken:
            raise EncoderError("no weights")
        return {s.name: vector_of(term, s) for s in self.spaces} if isinstance(term, TextTerm) else {}


def vector_of(term: TextTerm, space: Space) -> Vector:
    return direction(len(term.text), space.dims)


TEXT, IMAGE, WORDS, GRAPH = SPACES
KNOWN = document("known", {s.name: direction(99, s.dims) for s in (TEXT, IMAGE, WORDS)}, title="known")
MEAN = (direction(5, TEXT.dims) * np.float32(0.3)).astype(np.float32)
QUERIES_MEAN = (direction(6, TEXT.dims) * np.float32(0.2)).astype(np.float32)


@pytest.fixture(scope="module")
def schema() -> Schema:
    return build_schema(LEXICAL, [Seeded(*SPACES)])


@pytest.fixture(scope="module")
def searchers(schema: Schema, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Manifest], Searcher]:
    """Opens a store of one item that tells this of itself."""

    def opened(manifest: Manifest) -> Searcher:
        engine = EngineSettings(url=f"embedded:{tmp_path_factory.mktemp('store')}")
        sink = open_sink(engine, schema)
        sink.prepare(manifest.centres)
        assert sink.write([KNOWN]) == []
        sink.calibrate(manifest.calibration)
        sink.close()
        return open_searcher(engine, schema)

    return opened


@pytest.fixture(scope="module")
def searcher(searchers: Callable[[Manifest], Searcher]) -> Searcher:
    return searchers(Manifest())


@pytest.fixture(scope="module")
def plan(searcher: Searcher, schema: Schema) -> Callable[..., Planned]:
    def planned(
        body: dict[str, Any], *broken: str, weights: Mapping[str, float] | None = None, on: Searcher = searcher
    ) -> Planned:
        encoders: dict[str, Encoder] = {
            "text": Seeded(TEXT, broken="text" in broken),
            "image": Seeded(IMAGE, WORDS, broken="image" in broken),
            "graph": Seeded(GRAPH, broken="graph" in broken),
        }
        return make_plan(parse(body, schema), schema, encoders, weights or {}, on)

    return planned


def calibrated(schema: Schema, *names: str, **centres: Centre) -> Manifest:
    maps = {name: Calibration(10.0, -3.0, 0.06, vectors_fingerprint(schema, centres, name)) for name in names}
    return Manifest(None, centres, maps)


def asked(planned: Planned) -> dict[str, float]:
    return {v.space.name: v.weight for v in planned.plan.vectors}


def test_weights_of_the_request_win_over_those_of_the_settings(plan: Plans) -> None:
    body = {"query": "abc", "fusion": {"weights": {"image": 0.25, "lexical": 0.5}}}
    planned = plan(body, weights={"image": 2.0, "graph": 3.0})
    assert asked(planned) == {"text": 1.0, "image": 0.25, "image_words": 0.25, "graph": 3.0}
    assert planned.plan.fusion.lexical_weight == 0.5


def test_a_weight_of_zero_leaves_a_modality_out(plan: Plans) -> None:
    planned = plan({"query": "abc", "fusion": {"weights": {"graph": 0, "lexical": 0}}})
    assert "graph" not in asked(planned)
    assert planned.plan.words is None


def test_a_term_speaks_only_to_its_modalities(plan: Plans) -> None:
    planned = plan({"query": [{"text": "abc", "modalities": ["graph"]}, {"item": "known", "modalities": ["text"]}]})
    assert set(asked(planned)) == {"graph", "text"}


def test_an_item_asks_the_first_space_of_each_of_its_modalities(plan: Plans) -> None:
    planned = plan({"query": [{"item": "known"}]})
    assert set(asked(planned)) == {"text", "image"}  # not image_words, and it has no graph vector
    assert planned.plan.exclude == ("known",)


@pytest.mark.parametrize("length", [0.2, 3.0])
def test_an_item_counts_by_the_direction_of_its_vector(schema: Schema, length: float) -> None:
    """An attached index may hold vectors of any length."""
    item = StoredItem("long", {}, {TEXT.name: direction(99, TEXT.dims) * np.float32(length)})
    terms = [ItemTerm("long"), TextTerm("abc")]
    found, _ = combine(terms, {"text": Seeded(TEXT)}, schema, {}, lambda _: item)
    total = direction(99, TEXT.dims) + direction(3, TEXT.dims)
    assert np.allclose(found[TEXT.name], total / np.linalg.norm(total), atol=1e-6)
    alone, _ = combine(terms[:1], {"text": Seeded(TEXT)}, schema, {}, lambda _: item)
    assert np.allclose(alone[TEXT.name], direction(99, TEXT.dims), atol=1e-6)


def test_an_item_s_vector_of_zeros_says_nothing(schema: Schema) -> None:
    item = StoredItem("empty", {}, {TEXT.name: np.zeros(TEXT.dims, np.float32)})
    encoders = {"text": Seeded(TEXT)}
    assert combine([ItemTerm("empty")], encoders, schema, {}, lambda _: item) == ({}, ())
    found, _ = combine([ItemTerm("empty"), TextTerm("abc")], encoders, schema, {}, lambda _: item)
    assert np.allclose(found[TEXT.name], direction(3, TEXT.dims), atol=1e-6)


def test_max_and_lexical_ask_for_what_they_use(plan: Plans) -> None:
    assert plan({"query": "abc", "fusion": {"method": "max"}}).plan.words is None
    lexical = plan({"query": "abc", "fusion": {"method": "lexical"}}).plan
    assert (lexical.vectors, lexical.words) == ((), "abc")


def test_negative_words_are_not_looked_for(plan: Plans) -> None:
    planned = plan({"query": [{"text": "abc"}, {"text": "plastic", "weight": -0.5}]})
    assert planned.plan.words == "abc"


weights = st.floats(-3, 3, allow_nan=False).filter(lambda w: abs(w) > 0.1)


@given(terms=st.lists(st.tuples(st.integers(1, 20), weights), min_size=1, max_size=5), scale=st.floats(0.5, 4))
def test_terms_add_up_and_their_scale_does_not_matter(
    plan: Plans, terms: list[tuple[int, float]], scale: float
) -> None:
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


def test_a_failed_encoder_is_left_out_and_named(plan: Plans) -> None:
    planned = plan({"query": "abc"}, "image", "graph")
    assert set(asked(planned)) == {"text"}
    assert planned.degraded == ("image", "graph")


def test_words_are_still_found_when_every_encoder_failed(plan: Plans) -> None:
    planned = plan({"query": "abc"}, "text", "image", "graph")
    assert (planned.plan.vectors, planned.plan.words) == ((), "abc")


def test_nothing_left_is_an_encoder_error_and_nothing_meant_is_not(plan: Plans) -> None:
    with pytest.raises(EncoderError, match="text, image, graph"):
        plan({"query": "abc", "fusion": {"method": "max"}}, "text", "image", "graph")
    with pytest.raises(NothingToSearch):
        plan({"query": [{"item": "known", "modalities": ["graph"]}]})


def test_an_unknown_item_is_the_request_s_fault(plan: Plans) -> None:
    with pytest.raises(InvalidRequest, match=r"query\[1\]\.item"):
        plan({"query": [{"text": "a"}, {"item": "nobody"}]})


# --- centring, calibration, missing modalities


def test_queries_lose_their_own_mean_and_items_come_as_they_are(
    plan: Plans, searchers: Callable[[Manifest], Searcher]
) -> None:
    on = searchers(Manifest(None, {"text": Centre(MEAN, {"text": QUERIES_MEAN})}))
    (words,) = plan({"query": [{"text": "abc", "modalities": ["text"]}]}, on=on).plan.vectors
    expected = vector_of(TextTerm("abc"), TEXT) - QUERIES_MEAN
    assert np.allclose(words.vector, expected / np.linalg.norm(expected), atol=1e-6)
    (item,) = plan({"query": [{"item": "known", "modalities": ["text"]}]}, on=on).plan.vectors
    assert np.allclose(item.vector, KNOWN.vectors["text"], atol=1e-6)


def test_a_given_vector_is_treated_like_the_queries_of_its_space(
    plan: Plans, searchers: Callable[[Manifest], Searcher]
) -> None:
    on = searchers(Manifest(None, {"text": Centre(MEAN, {"text": QUERIES_MEAN})}))
    given_ = {"vector": (vector_of(TextTerm("abc"), TEXT) * 7).tolist(), "space": "text"}
    (vector,) = plan({"query": [given_]}, on=on).plan.vectors
    (words,) = plan({"query": [{"text": "abc", "modalities": ["text"]}]}, on=on).plan.vectors
    assert np.allclose(vector.vector, words.vector, atol=1e-6)


def test_a_kind_of_query_that_was_not_measured_loses_the_items_mean(
    plan: Plans, searchers: Callable[[Manifest], Searcher]
) -> None:
    (words,) = plan(
        {"query": [{"text": "abc", "modalities": ["text"]}]}, on=searchers(Manifest(None, {"text": Centre(MEAN)}))
    ).plan.vectors
    expected = vector_of(TextTerm("abc"), TEXT) - MEAN
    assert np.allclose(words.vector, expected / np.linalg.norm(expected), atol=1e-6)


def test_maps_are_used_only_when_every_queried_space_has_one(
    plan: Plans, schema: Schema, searchers: Callable[[Manifest], Searcher]
) -> None:
    on = searchers(calibrated(schema, "text", "graph"))
    assert plan({"query": "abc"}, on=on).calibration == "raw"
    some = plan({"query": [{"text": "abc", "modalities": ["text", "graph"]}]}, on=on)
    assert some.calibration == "fitted"
    assert all(v.calibration is not None and v.background is None for v in some.plan.vectors)
    raw = {"query": [{"text": "abc", "modalities": ["text"]}], "fusion": {"calibration": "raw"}}
    assert all(v.calibration is None for v in plan(raw, on=on).plan.vectors)
    with pytest.raises(InvalidRequest, match=r"fusion\.calibration: nothing was fitted for image, image_words"):
        plan({"query": "abc", "fusion": {"calibration": "fitted"}}, on=on)


def test_a_map_of_other_vectors_is_void(plan: Plans, schema: Schema, searchers: Callable[[Manifest], Searcher]) -> None:
    other = {"text": Calibration(10.0, -3.0, 0.06, "of another encoder")}
    body = {"query": [{"text": "abc", "modalities": ["text"]}]}
    assert plan(body, on=searchers(Manifest(None, {}, other))).calibration == "raw"
    # The same encoder, but other means.
    uncentred = calibrated(schema, "text").calibration
    assert plan(body, on=searchers(Manifest(None, {"text": Centre(MEAN)}, uncentred))).calibration == "raw"


def test_penalties_need_a_fitted_background(
    plan: Plans, schema: Schema, searchers: Callable[[Manifest], Searcher]
) -> None:
    text = [{"text": "abc", "modalities": ["text"]}]
    penalized = plan({"query": text, "fusion": {"missing": "penalize"}}, on=searchers(calibrated(schema, "text")))
    assert [v.background for v in penalized.plan.vectors] == [0.06]
    assert penalized.kind == "exact"
    with pytest.raises(InvalidRequest, match=r"fusion\.missing: nothing was fitted"):
        plan({"query": text, "fusion": {"missing": "penalize"}})
    with pytest.raises(InvalidRequest, match=r"fusion\.missing: raw"):
        plan({"query": text, "fusion": {"missing": "penalize", "calibration": "raw"}})


def test_required_modalities_are_part_of_the_filter(plan: Plans) -> None:
    body = {"query": "abc", "filter": {"colour": "red"}, "fusion": {"missing": "require"}}
    assert plan(body).plan.filter == AllOf(
        (OneOf("colour", ("red",)), Has(("text",)), Has(("image", "image_words")), Has(("graph",)))
    )

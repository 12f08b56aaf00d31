"""Any documents, any missing modality, any weights, any calibration: each engine's answer is numpy's."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from corpus import SPACES, Engine, direction, directions, grouped, within
from drawn import documents, filters, queries, vectors, weights
from es_mappings.types import Calibration, EncodedItem, Filter, Fusion, Has, Plan, QueryVector
from reference import NEAR, counted, list_scores

TEXT, IMAGE, IMAGE_WORDS, GRAPH = SPACES


@settings(max_examples=40)
@given(found=documents, asked=vectors(), extra=st.none() | filters, offset=st.integers(0, 4), size=st.integers(0, 8))
def test_max_is_numpys(
    engine: Engine,
    found: list[EncodedItem],
    asked: tuple[QueryVector, ...],
    extra: Filter | None,
    offset: int,
    size: int,
) -> None:
    engine.write(found)
    engine.search(Plan(asked, None, Fusion("max"), within(found, extra), size=size, offset=offset), found)


@settings(max_examples=40)
@given(
    found=documents,
    asked=st.just(()) | vectors(),
    words=queries,
    extra=st.none() | filters,
    share=weights,
    saturation=st.floats(0.5, 20),
)
def test_hybrid_adds_the_saturated_lexical_score(
    engine: Engine,
    found: list[EncodedItem],
    asked: tuple[QueryVector, ...],
    words: str,
    extra: Filter | None,
    share: float,
    saturation: float,
) -> None:
    engine.write(found)
    plan = Plan(asked, words, Fusion("hybrid", share, saturation), within(found, extra), size=20)
    page = engine.search(plan, found)
    assert {hit.id for hit in page.hits if hit.lexical is not None} == matching(found, words) & ids(page.hits)


@settings(max_examples=20)
@given(found=documents, words=queries, extra=st.none() | filters)
def test_lexical_is_the_engines_bm25(
    engine: Engine, found: list[EncodedItem], words: str, extra: Filter | None
) -> None:
    engine.write(found)
    page = engine.search(Plan((), words, Fusion("lexical"), within(found, extra), size=20), found)
    everything = engine.search(Plan((), words, Fusion("lexical"), within(found), size=20), found)
    assert ids(everything.hits) == matching(found, words)
    assert all(hit.lexical == hit.score > 0 for hit in page.hits)


@settings(max_examples=40)
@given(
    found=documents,
    asked=vectors(missing="penalize"),
    words=st.none() | queries,
    extra=st.none() | filters,
    method=st.sampled_from(["max", "hybrid"]),
)
def test_penalize_puts_the_background_where_a_modality_is_missing(
    engine: Engine,
    found: list[EncodedItem],
    asked: tuple[QueryVector, ...],
    words: str | None,
    extra: Filter | None,
    method: str,
) -> None:
    engine.write(found)
    fusion = Fusion(method, missing="penalize")
    engine.search(Plan(asked, words if method == "hybrid" else None, fusion, within(found, extra), size=20), found)


@settings(max_examples=20)
@given(found=documents, asked=vectors(), words=queries, method=st.sampled_from(["max", "hybrid", "rrf"]))
def test_require_leaves_items_with_every_queried_modality(
    engine: Engine, found: list[EncodedItem], asked: tuple[QueryVector, ...], words: str, method: str
) -> None:
    """As the planner asks for it: a filter that the item has one of each modality's queried spaces."""
    engine.write(found)
    spaces = {m: tuple(v.space.name for v in asked if v.space.modality == m) for m in {v.space.modality for v in asked}}
    required = within(found, *map(Has, spaces.values()))
    page = engine.searcher.search(
        Plan(asked, None if method == "max" else words, Fusion(method, missing="require"), required, size=20)
    )
    assert ids(page.hits) == {d.item.id for d in found if all(set(names) & set(d.vectors) for names in spaces.values())}


@settings(max_examples=30)
@given(
    found=documents,
    asked=vectors(steepest=8.0),
    words=st.none() | queries,
    extra=st.none() | filters,
    share=weights,
    offset=st.integers(0, 4),
    size=st.integers(0, 8),
)
def test_rank_fusion_is_numpys(
    engine: Engine,
    found: list[EncodedItem],
    asked: tuple[QueryVector, ...],
    words: str | None,
    extra: Filter | None,
    share: float,
    offset: int,
    size: int,
) -> None:
    engine.write(found)
    plan = Plan(asked, words, Fusion("rrf", share), within(found, extra), size=size, offset=offset)
    assume(certain_ranks(plan, found, engine.bm25(words, found)))
    engine.search(plan, found)


# --- what is said of the formulas, one sentence each


def test_equal_items_are_ordered_by_id_wherever_a_page_is_cut(engine: Engine) -> None:
    """Equal vectors score equal to the last bit, in however many rows an engine computes at once."""
    found = grouped([{}] * 37)
    engine.write(found[20:])
    engine.write(found[:20])
    asked = tuple(QueryVector(s, direction(5, s.dims)) for s in SPACES)
    for size in (1, 10):
        pages = [
            engine.searcher.search(Plan(asked, None, Fusion("max"), within(found), size=size, offset=offset))
            for offset in range(0, 40, size)
        ]
        assert [hit.id for page in pages for hit in page.hits] == [d.item.id for d in found]


def test_a_flat_calibration_leaves_the_order_to_the_ids(engine: Engine) -> None:
    found = grouped([{}] * 9, [directions(i) for i in range(9)])
    engine.write(found)
    flat = Calibration(0.0, 1.0, 0.5, "")
    page = engine.search(Plan((QueryVector(TEXT, direction(3, 6), 1.0, flat),), None, filter=within(found)), found)
    assert [hit.id for hit in page.hits] == [d.item.id for d in found]


@pytest.mark.parametrize("slope", [200.0, 5_000.0, 1e9])
def test_a_step_is_a_calibration_too(engine: Engine, slope: float) -> None:
    """exp() overflows on one side of it and vanishes on the other."""
    found = grouped([{}] * 9, [directions(i) for i in range(9)])
    engine.write(found)
    step = Calibration(slope, -slope * 0.1, 0.5, "")
    asked = (QueryVector(TEXT, direction(3, 6), 1.0, step),)
    page = engine.searcher.search(Plan(asked, None, Fusion("max"), within(found)))
    assert len(page.hits) == 9
    assert all(abs(hit.score - (hit.cosines["text"] > 0.1)) < 0.01 for hit in page.hits)


def test_a_modality_counts_by_the_best_of_its_spaces(engine: Engine) -> None:
    found = grouped([{}] * 3, [directions(1, "image", "image_words"), directions(1, "image"), directions(1, "text")])
    engine.write(found)
    calibration = {s: Calibration(slope, 0.5, 0.25, "") for s, slope in ((IMAGE, 0.0), (IMAGE_WORDS, 30.0))}
    asked = tuple(QueryVector(s, direction(1, s.dims), 2.0, fitted) for s, fitted in calibration.items())
    page = engine.search(Plan(asked, None, Fusion("max"), within(found)), found)
    assert [hit.id for hit in page.hits] == [d.item.id for d in found[:2]]
    assert page.hits[0].score == pytest.approx(2.0, abs=1e-5)
    assert set(page.hits[0].cosines) == {"image", "image_words"}


def test_opposite_vectors_are_hits_with_negative_scores(engine: Engine) -> None:
    found = grouped([{"title": "lamp"}, {}], [{"text": -direction(1, 6)}, {"text": -direction(1, 6)}])
    engine.write(found)
    asked = (QueryVector(TEXT, direction(1, 6), 3.0),)
    page = engine.search(Plan(asked, None, Fusion("max"), within(found)), found)
    assert [hit.score for hit in page.hits] == pytest.approx([-3.0, -3.0], abs=1e-5)
    page = engine.search(Plan(asked, "lamp", Fusion("hybrid"), within(found)), found)
    assert [hit.id for hit in page.hits] == [d.item.id for d in found]


def test_an_item_without_any_queried_modality_is_a_hit_of_a_hybrid_by_its_words(engine: Engine) -> None:
    found = grouped([{"title": "lamp"}, {"title": "chair"}], [{}, directions(1, "graph")])
    engine.write(found)
    asked = (QueryVector(TEXT, direction(1, 6), 0.5, Calibration(4.0, 0.0, 0.25, ""), 0.25),)
    for missing, best in (("ignore", 0.0), ("penalize", 0.125)):
        fusion = Fusion("hybrid", 1.0, missing=missing)
        (hit,) = engine.search(Plan(asked, "lamp", fusion, within(found)), found).hits
        assert hit.lexical is not None
        assert hit.score == pytest.approx(best + hit.lexical / (hit.lexical + 8.0), abs=1e-5)
        assert hit.cosines == {}
    assert engine.search(Plan(asked, None, Fusion("max", missing="penalize"), within(found)), found).hits == ()


def test_a_page_beyond_the_end_or_of_no_size_is_empty_and_counts_all_the_same(engine: Engine) -> None:
    found = grouped([{}] * 3)
    engine.write(found)
    asked = (QueryVector(GRAPH, direction(1, 4)),)
    for size, offset in ((0, 0), (10, 3), (10, 500)):
        page = engine.search(Plan(asked, None, Fusion("max"), within(found), size=size, offset=offset), found)
        assert page.hits == ()


@pytest.mark.parametrize("method", ["max", "hybrid", "rrf", "lexical"])
def test_who_wants_neither_hits_nor_counts_gets_neither(engine: Engine, method: str) -> None:
    found = grouped([{"title": "lamp"}] * 3)
    engine.write(found)
    asked = (QueryVector(GRAPH, direction(1, 4)),) if method != "lexical" else ()
    page = engine.search(Plan(asked, "lamp", Fusion(method), within(found), size=0, count=0), found)
    assert (page.hits, page.total, page.facets) == ((), None, ())


def test_a_query_vector_of_any_float_is_searched(engine: Engine) -> None:
    """float32's small numbers survive their way to the engine."""
    vector = np.array([1.0, 1e-30, -1e-38, 0.0, 0.0, 0.0], np.float32)
    found = grouped([{}], [{"text": vector}])
    engine.write(found)
    page = engine.search(Plan((QueryVector(TEXT, vector),), None, Fusion("max"), within(found)), found)
    assert page.hits[0].score == pytest.approx(1.0, abs=1e-6)


def certain_ranks(plan: Plan, found: Sequence[EncodedItem], bm25: dict[str, float]) -> bool:
    """Whether no rank hangs on rounding; that of equal items hangs on their ids."""
    lists = list_scores(plan, counted(plan, found, bm25), bm25).values()
    return all(a == b or abs(a - b) > NEAR for scores in lists for (_, a), (_, b) in pairwise(scores))


def ids(hits: Sequence[object]) -> set[str]:
    return {hit.id for hit in hits}


def matching(found: Sequence[EncodedItem], words: str) -> set[str]:
    """The documents with one of the words in a searched field: WORDS match as they are."""
    return {
        d.item.id
        for d in found
        if set(words.split()) & {w for name in ("title", "body") for w in d.item.source.get(name, "").split()}
    }

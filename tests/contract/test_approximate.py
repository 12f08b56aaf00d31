"""Approximate search: it finds its candidates by the graphs, and everything else about it is exact.

An engine without graphs ignores the wish, and passes all the more.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from corpus import SPACES, Engine, direction, grouped, within
from es_mappings.types import Ann, EncodedItem, Facet, Filter, Fusion, Has, Not, OneOf, Plan, QueryVector, Range
from reference import assert_hit, facets, rank, total

NUMBER = 400
EVERYTHING = Ann(k=NUMBER, candidates=NUMBER)
FEW = Ann(k=10, candidates=40)
WEIGHTS = {"text": 1.0, "image": 0.5, "graph": 2.0}
ASKED = tuple(QueryVector(s, direction(5000 + i, s.dims), WEIGHTS[s.modality]) for i, s in enumerate(SPACES))


@pytest.fixture(scope="module")
def many(engine: Engine) -> list[EncodedItem]:
    """Vectors without two alike; every space is missing somewhere, and so are all of them."""
    random = np.random.default_rng(0)
    vectors = [
        {s.name: direction(1000 + 7 * i + j, s.dims) for j, s in enumerate(SPACES) if random.random() < 0.7}
        for i in range(NUMBER)
    ]
    sources = [
        {"title": ["oak lamp", "chair", "lamp", ""][i % 4], "colour": ["red", "blue", "green"][i % 3], "price": i}
        for i in range(NUMBER)
    ]
    found = grouped(sources, vectors)
    engine.write(found)
    return found


CLAUSES: dict[str, Filter | None] = {
    "everything": None,
    "a third": OneOf("colour", ("red",)),
    "a few": Range("price", lt=12.0),
    "nothing": OneOf("colour", ("purple",)),
    "not": Not(OneOf("colour", ("red", "blue"))),
    "with a space": Has(("image", "image_words")),
}


@pytest.mark.parametrize("clause", CLAUSES)
@pytest.mark.parametrize("method", ["max", "hybrid", "rrf"])
def test_all_candidates_are_the_exact_search(engine: Engine, many: list[EncodedItem], method: str, clause: str) -> None:
    wanted = (Facet("colour"), Facet("price", ((None, 100.0), (100.0, None))))
    words = None if method == "max" else "lamp"
    plan = Plan(ASKED, words, Fusion(method), within(many, CLAUSES[clause]), facets=wanted, size=30)
    exact = engine.search(plan, many)
    found = engine.searcher.search(replace(plan, ann=EVERYTHING))
    assert [(hit.id, hit.ranks) for hit in found.hits] == [(hit.id, hit.ranks) for hit in exact.hits]
    assert [hit.score for hit in found.hits] == pytest.approx([hit.score for hit in exact.hits], abs=1e-6)
    assert [hit.cosines for hit in found.hits] == [pytest.approx(hit.cosines, abs=1e-6) for hit in exact.hits]
    assert [hit.lexical for hit in found.hits] == [pytest.approx(hit.lexical, abs=1e-6) for hit in exact.hits]
    assert (found.total, found.facets) == (exact.total, exact.facets)


@pytest.mark.parametrize("clause", CLAUSES)
@pytest.mark.parametrize("method", ["max", "hybrid"])
def test_with_few_candidates_everything_but_who_is_found_is_exact(
    engine: Engine, many: list[EncodedItem], method: str, clause: str
) -> None:
    bm25 = {} if method == "max" else engine.bm25("oak", many)
    words = None if method == "max" else "oak"
    gone = (many[0].item.id, many[1].item.id)
    plan = Plan(ASKED, words, Fusion(method), within(many, CLAUSES[clause]), gone, (Facet("colour"),), size=8, ann=FEW)
    page = engine.searcher.search(plan)
    expected = {scored.id: scored for scored in rank(plan, many, bm25)}
    assert len(page.hits) == min(8, len(expected))
    for hit in page.hits:
        assert_hit(hit, plan, expected[hit.id])
    assert [(-hit.score, hit.id) for hit in page.hits] == sorted((-hit.score, hit.id) for hit in page.hits)
    assert page.total == total(plan, many, bm25)
    assert page.facets == facets(plan, many, bm25)
    assert len(page.hits) <= page.scored <= len(expected)


def test_words_that_match_are_candidates_however_far_their_vectors(engine: Engine) -> None:
    """Without them the theorem of `query_api.candidates` would not hold for a hybrid."""
    near, far = direction(1, 6), -direction(1, 6)
    found = grouped([{}] * 99 + [{"title": "lamp"}], [{"text": near}] * 99 + [{"text": far}])
    engine.write(found)
    asked = (QueryVector(SPACES[0], near, 0.01),)
    plan = Plan(asked, "lamp", Fusion("hybrid", 3.0), within(found), size=3, ann=Ann(k=5, candidates=10))
    assert engine.searcher.search(plan).hits[0].id == found[-1].item.id


@pytest.mark.parametrize("words", [1, 2, 3, 4, 6, 50])
def test_of_many_items_with_the_words_the_best_are_candidates(engine: Engine, words: int) -> None:
    """With those that tie with the last of them; the other neighbours get what their own words are worth."""
    near, far = direction(1, 6), -direction(1, 6)
    sources = [{"title": "lamp lamp lamp"}, {"title": "lamp lamp chair"}, *[{"title": "lamp chair sofa"}] * 3, {}]
    found = grouped([*sources, {"title": "lamp chair sofa desk bed"}], [{"text": far}] * 5 + [{"text": near}] * 2)
    engine.write(found)
    asked = (QueryVector(SPACES[0], near, 0.125),)
    ann = Ann(k=2, candidates=50, words=words)
    plan = Plan(asked, "lamp", Fusion("hybrid", 0.5), within(found), size=10, ann=ann)
    page = engine.searcher.search(plan)
    matching = engine.bm25("lamp", found)
    expected = {scored.id: scored for scored in rank(plan, found, matching)}
    for hit in page.hits:
        assert_hit(hit, plan, expected[hit.id])
    if engine.is_cluster:
        least = sorted(matching.values(), reverse=True)[words - 1] if words <= len(matching) else 0.0
        best = {i for i, score in matching.items() if score >= least}
        assert {hit.id for hit in page.hits} == best | {found[5].item.id, found[6].item.id}
    assert page.total == total(plan, found, matching)


def test_one_neighbour_of_each_space_is_enough_for_the_best_hit(engine: Engine, many: list[EncodedItem]) -> None:
    """A graph of this size finds the nearest of a space; its maximum is then the best hit."""
    item = many[200]
    asked = tuple(QueryVector(s, item.vectors[s.name]) for s in SPACES if s.name in item.vectors)
    plan = Plan(asked, None, Fusion("max"), within(many), size=1, ann=Ann(k=5, candidates=200))
    assert [hit.id for hit in engine.searcher.search(plan).hits] == [item.item.id]


def test_pages_of_an_approximate_search_are_pages_of_one_list(engine: Engine, many: list[EncodedItem]) -> None:
    plan = Plan(ASKED, "oak", Fusion("hybrid"), within(many), size=20, ann=Ann(k=60, candidates=NUMBER))
    whole = engine.searcher.search(plan).hits
    paged = [hit for offset in (0, 10) for hit in engine.searcher.search(replace(plan, offset=offset, size=10)).hits]
    assert [hit.id for hit in paged] == [hit.id for hit in whole]

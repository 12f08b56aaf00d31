"""Exact or approximate, and the reasons that are given."""

from __future__ import annotations

from dataclasses import replace

import pytest

from corpus import SPACES, direction
from es_mappings.provenance import Manifest
from es_mappings.types import RRF_WINDOW, SCORE, Ann, Filter, Fusion, OneOf, Plan, QueryVector, Sort, Walk
from query_api.candidates import MAX_CANDIDATES, Choice, choose, depth
from query_api.searchers import IndexState

VECTORS = tuple(QueryVector(space, direction(i, space.dims)) for i, space in enumerate(SPACES))
EXACT_WORK = 1_000_000
LIMIT = EXACT_WORK // sum(space.dims for space in SPACES)
MANY = LIMIT + 1
PLAN = Plan(VECTORS, "words", Fusion("hybrid"))
FILTER = OneOf("colour", ("red",))


def chosen(
    plan: Plan = PLAN,
    asked: str = "auto",
    *,
    documents: int = MANY,
    left: int = -1,
    able: bool = True,
    shards: int = 1,
) -> Choice:
    def count(clause: Filter | None) -> int:
        assert left >= 0, "nobody needs to know how many documents are left"
        assert clause == plan.filter
        return left

    return choose(
        plan, asked, IndexState("some engine", documents, able, Manifest(), shards=shards, exact_work=EXACT_WORK), count
    )


def test_many_documents_are_searched_approximately_and_few_exactly() -> None:
    assert chosen().ann == depth(PLAN)
    assert str(MANY) in chosen().reason
    assert chosen(documents=LIMIT) == Choice(
        None, f"{LIMIT} documents to score: all of them cost no more than a walk through the graphs"
    )


def test_a_filter_counts_by_what_it_leaves_and_is_counted_only_in_a_large_index() -> None:
    filtered = replace(PLAN, filter=FILTER)
    assert chosen(filtered, left=LIMIT).ann is None
    assert chosen(filtered, left=MANY).ann is not None
    assert chosen(filtered, documents=LIMIT).ann is None


def test_a_wish_is_heard() -> None:
    assert chosen(asked="exact") == Choice(None, "exact search was asked for")
    assert chosen(asked="ann", documents=1) == Choice(depth(PLAN), "approximate search was asked for")


@pytest.mark.parametrize(
    ("plan", "reason"),
    [
        (Plan((), "words", Fusion("lexical")), "words match"),
        (Plan((), "words", Fusion("hybrid")), "words match"),
        (replace(PLAN, walk=Walk()), "walk"),
        (replace(PLAN, fusion=Fusion("max", missing="penalize")), "background"),
        (replace(PLAN, sort=(Sort("price"),)), "order by a field"),
        (replace(PLAN, sort=(Sort(SCORE, True), Sort("price"))), "order by a field"),
        (replace(PLAN, offset=MAX_CANDIDATES), "deep"),
    ],
)
def test_what_approximate_search_cannot_do_is_done_exactly_even_when_it_is_wished(plan: Plan, reason: str) -> None:
    choice = chosen(plan, "ann")
    assert choice.ann is None
    assert reason in choice.reason


def test_an_engine_without_graphs_is_exact() -> None:
    assert chosen(asked="ann", able=False).ann is None


def test_the_depth_follows_the_last_hit_of_the_page() -> None:
    alone = replace(PLAN, words=None, fusion=Fusion("max"))
    assert depth(alone) == Ann(50, 100, 2000)
    assert depth(replace(alone, size=100, offset=100)) == Ann(400, 800, 2000)
    assert depth(PLAN) == Ann(200, 200, 2000)
    assert depth(replace(PLAN, size=100, offset=300)) == Ann(800, 1600, 4000)
    assert depth(replace(PLAN, fusion=Fusion("rrf"))).k == RRF_WINDOW


def test_a_filter_makes_the_graphs_be_searched_further() -> None:
    filtered = replace(PLAN, words=None, filter=FILTER)
    assert depth(filtered) == Ann(50, 400, 2000)
    assert depth(replace(filtered, offset=2000)).candidates == MAX_CANDIDATES


def test_shards_share_the_work_and_each_is_able_to_fill_the_page() -> None:
    alone = replace(PLAN, words=None, fusion=Fusion("max"))
    assert [depth(alone, shards) for shards in (1, 2, 4, 16)] == [
        Ann(50, 100, 2000),
        Ann(25, 50, 2000),
        Ann(13, 25, 2000),
        Ann(10, 20, 2000),
    ]
    assert depth(PLAN, 4) == Ann(50, 50, 2000)
    assert depth(replace(alone, filter=FILTER), 4) == Ann(13, 100, 2000)
    assert chosen(alone, shards=4).ann == depth(alone, 4)


def test_engines_are_not_asked_for_more_than_they_take() -> None:
    for offset in range(0, 10_000, 90):
        ann = chosen(replace(PLAN, offset=offset, filter=FILTER), "ann").ann
        assert ann is None or ann.k <= ann.candidates <= MAX_CANDIDATES
        assert ann is None or ann.words <= 10_000

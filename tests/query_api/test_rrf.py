"""Rank fusion against its definition."""

from __future__ import annotations

import itertools
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus import SPACES, direction
from es_mappings.types import RRF_K, RRF_WINDOW, Ann, Calibration, Facet, Fusion, OneOf, Plan, QueryVector, Walk
from query_api.rrf import fuse, list_plans

FITTED = Calibration(4.0, -1.0, 0.25, "")


def plan(weights: dict[str, float], lexical: float = 1.0) -> Plan:
    vectors = tuple(QueryVector(s, direction(0, s.dims), weights.get(s.modality, 1.0), FITTED) for s in SPACES)
    return Plan(vectors, "words", Fusion("rrf", lexical))


NAMES = ("text", "image", "graph", "lexical")
orders = st.permutations([f"{i:02}" for i in range(12)]).flatmap(lambda ids: st.integers(0, 12).map(lambda n: ids[:n]))
quarters = st.integers(0, 12).map(lambda n: n / 4)


@given(
    lists=st.fixed_dictionaries({}, optional=dict.fromkeys(NAMES, orders)),
    weights=st.fixed_dictionaries(dict.fromkeys(NAMES, quarters)),
)
def test_a_fusion_is_the_sum_over_the_lists(lists: dict[str, list[str]], weights: dict[str, float]) -> None:
    fused = fuse(lists, plan(weights, weights["lexical"]))
    exact = {
        i: sum(Fraction(weights[n]) / (RRF_K + ids.index(i) + 1) for n, ids in lists.items() if i in ids)
        for i in set().union(*lists.values())
    }
    assert {ranked.id for ranked in fused} == exact.keys()
    for ranked in fused:
        assert ranked.score == pytest.approx(float(exact[ranked.id]), rel=1e-12)
        assert ranked.ranks == {n: ids.index(ranked.id) + 1 for n, ids in lists.items() if ranked.id in ids}
    for one, other in itertools.pairwise(fused):
        assert (-one.score, one.id) < (-other.score, other.id)


@pytest.mark.parametrize("before", range(20))
def test_the_same_ranks_in_other_lists_are_a_tie(before: int) -> None:
    """The last digit of a sum of floats hangs on its order; who comes first must not."""
    first = [f"0{i:02}" for i in range(before)]
    lists = {"text": [*first, "a", "b", "c"], "image": [*first, "c", "a", "b"], "graph": [*first, "b", "c", "a"]}
    a, b, c = fuse(lists, plan({}))[-3:]
    assert [a.id, b.id, c.id] == ["a", "b", "c"]
    assert a.score == b.score == c.score


def test_weights_decide_who_comes_first() -> None:
    lists = {"text": ["a", "b"], "lexical": ["b", "a"]}
    assert [r.id for r in fuse(lists, plan({"text": 1.5}, 0.5))] == ["a", "b"]
    assert [r.id for r in fuse(lists, plan({"text": 0.5}, 1.5))] == ["b", "a"]
    assert [r.id for r in fuse(lists, plan({}))] == ["a", "b"]
    assert [(r.id, r.score) for r in fuse({"text": ["z", "y"]}, plan({"text": 0.0}))] == [("y", 0.0), ("z", 0.0)]


def test_nothing_is_made_of_nothing() -> None:
    assert fuse({}, plan({})) == []
    assert fuse({"text": [], "lexical": []}, plan({})) == []


# --- the lists


ASKED = replace(
    plan({"text": 0.5, "image": 2.0, "graph": 3.0}, 0.25),
    filter=OneOf("colour", ("red",)),
    exclude=("x",),
    facets=(Facet("colour"),),
    size=5,
    offset=40,
    fields=("title",),
    highlight=True,
    count=10,
    ann=Ann(1000, 2000),
    walk=Walk("snapshot", (40,)),
)


def test_there_is_a_list_for_each_modality_and_one_of_the_words() -> None:
    lists = list_plans(ASKED)
    assert list(lists) == ["text", "image", "graph", "lexical"]
    assert {name: [v.space.name for v in own.vectors] for name, own in lists.items()} == {
        "text": ["text"],
        "image": ["image", "image_words"],
        "graph": ["graph"],
        "lexical": [],
    }
    assert {name: (own.fusion.method, own.words) for name, own in lists.items()} == {
        **dict.fromkeys(("text", "image", "graph"), ("max", None)),
        "lexical": ("lexical", "words"),
    }
    assert "lexical" not in list_plans(replace(ASKED, words=None))
    assert list(list_plans(replace(ASKED, vectors=()))) == ["lexical"]


def test_a_list_is_cut_off_after_its_window_wherever_the_page_is() -> None:
    for own in list_plans(ASKED).values():
        assert (own.size, own.offset) == (RRF_WINDOW, 0)


def test_a_list_is_of_the_same_items_and_asks_for_nothing_but_their_ids() -> None:
    for name, own in list_plans(ASKED).items():
        assert (own.filter, own.exclude) == (ASKED.filter, ASKED.exclude)
        assert (own.facets, own.fields, own.highlight, own.count, own.walk) == ((), (), False, 0, None)
        assert own.ann == (None if name == "lexical" else ASKED.ann)


def test_weights_are_for_ranks_and_maps_for_cosines() -> None:
    """Within a modality its spaces are compared by their maps; a weight of 0 must not make all of them equal."""
    vectors = [v for own in list_plans(ASKED).values() for v in own.vectors]
    assert {v.weight for v in vectors} == {1.0}
    assert {v.calibration for v in vectors} == {FITTED}

"""The best short paths of a graph, held to every simple path of small graphs."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from encoders.parts import paths
from encoders.parts.paths import MOST_PATHS, Adjacency, Hop, Origins, Trail

Triple = tuple[int, int, int]


def origins(triples: list[Triple], *entities: int, size: int = 10) -> Origins:
    return Origins(Adjacency(np.array(triples, dtype=np.int32).reshape(-1, 3), size), entities)


def shown(trails: list[Trail]) -> list[str]:
    """`0 >5 3 <7 4`: from 0 along relation 5 to 3, then against relation 7 to 4."""
    return [
        " ".join([str(trail.start), *(f"{'>' if hop.outward else '<'}{hop.relation} {hop.to}" for hop in trail.hops)])
        for trail in trails
    ]


def test_a_link_is_a_path_of_one_step_in_either_direction() -> None:
    triples = [(0, 0, 1)]
    assert shown(origins(triples, 0).trails(1)) == ["0 >0 1"]
    assert shown(origins(triples, 1).trails(0)) == ["1 <0 0"]


def test_there_is_no_path_to_an_origin_nor_to_what_is_apart_or_too_far() -> None:
    triples = [(0, 0, 1), (1, 0, 2), (2, 0, 3), (3, 0, 4), (5, 0, 6)]
    start = origins(triples, 0)
    assert start.trails(0) == []
    assert shown(start.trails(3)) == ["0 >0 1 >0 2 >0 3"]
    assert start.trails(4) == []
    assert start.trails(6) == []
    assert origins(triples).trails(3) == []
    assert origins([], 0).trails(1) == []


def test_rare_links_come_before_common_ones() -> None:
    # 0 and 1 share the tag 2 with one more, and the size 3 with everybody.
    triples = [(0, 0, 2), (1, 0, 2), (4, 0, 2), *((item, 1, 3) for item in (0, 1, 4, 5, 6, 7, 8))]
    assert shown(origins(triples, 0).trails(1)) == ["0 >0 2 <0 1", "0 >1 3 <1 1"]


def test_a_longer_path_counts_only_where_it_costs_less() -> None:
    hub = [(item, 0, 9) for item in range(8)]
    rare = [(0, 1, 8), (8, 1, 1)]
    assert shown(origins([*hub, *rare], 0).trails(1)) == ["0 >1 8 >1 1", "0 >0 9 <0 1"]
    direct = [(0, 2, 1)]
    assert shown(origins([*hub, *rare, *direct], 0).trails(1)) == ["0 >2 1"]


def test_of_the_paths_that_arrive_by_one_triple_only_the_best_is_shown() -> None:
    triples = [(0, 0, 2), (0, 0, 3), (2, 1, 4), (3, 1, 4), (4, 2, 1)]
    assert shown(origins(triples, 0).trails(1)) == ["0 >0 2 >1 4 >2 1"]


def test_a_detour_by_a_hub_says_nothing_beside_a_link() -> None:
    triples = [(0, 0, 1), *((item, 1, 9) for item in (1, 2, *range(10, 30)))]
    assert shown(origins(triples, 2, size=30).trails(1)) == ["2 >1 9 <1 1"]
    assert shown(origins(triples, 0, 2, size=30).trails(1)) == ["0 >0 1"]


def test_an_origin_is_reached_from_the_others() -> None:
    triples = [(0, 0, 1), (2, 0, 1), (2, 1, 3), (0, 1, 3)]
    assert shown(origins(triples, 0, 3).trails(3)) == ["0 >1 3"]
    assert shown(origins(triples, 0, 2).trails(2)) == ["0 >0 1 <0 2", "0 >1 3 <1 2"]


def test_no_path_goes_through_another_origin() -> None:
    triples = [(0, 0, 1), (1, 0, 2)]
    assert shown(origins(triples, 0, 1).trails(2)) == ["1 >0 2"]


def test_an_item_outside_the_graph_is_reached_along_its_own_edges() -> None:
    graph = Adjacency(np.array([(0, 0, 1)], dtype=np.int32), 2)
    edges = graph.edges_to(2, [(0, 1)])
    assert shown(Origins(graph, [0]).trails_along(edges, 2)) == ["0 >0 1 <0 2"]


def test_a_hub_of_any_size_costs_a_fixed_number_of_edges(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "MOST_EDGES", 50)
    items = range(10, 500)
    hub = [(item, 0, 9) for item in items] + [(8, 0, 9)]
    way = [(0, 1, 7), (7, 1, 8), (8, 1, 1)]
    found = origins([*hub, *way, (1, 0, 9)], 0, size=500).trails(1)
    assert shown(found) == ["0 >1 7 >1 8 >1 1"]


# --- every graph


def reference(triples: list[Triple], entities: set[int], target: int, most: int) -> list[Trail]:
    """All walks of up to three steps, then the rules one by one."""
    found = sorted(_walks(triples, entities, target), key=_order)
    cheaper = [
        trail
        for trail in found
        if not any(
            other.start == trail.start and len(other.hops) < len(trail.hops) and other.cost <= trail.cost
            for other in found
        )
    ]
    arrivals: dict[tuple[int, ...], Trail] = {}
    for trail in cheaper:
        nodes = [trail.start, *(hop.to for hop in trail.hops)]
        arrivals.setdefault((trail.start, nodes[-2], *trail.hops[-1]), trail)
    kept = list(arrivals.values())
    return [t for t in kept if len(t.hops) <= len(kept[0].hops) or t.cost - kept[0].cost <= math.log(100)][:most]


def _order(trail: Trail) -> tuple[float, int, int, tuple[Hop, ...]]:
    return trail.cost, len(trail.hops), trail.start, trail.hops


def _walks(triples: list[Triple], entities: set[int], target: int) -> Iterator[Trail]:
    leaving, arriving = Counter((h, r) for h, r, _ in triples), Counter((t, r) for _, r, t in triples)

    def steps(entity: int) -> Iterator[tuple[Hop, float]]:
        for head, relation, tail in triples:
            cost = math.log(leaving[head, relation]) + math.log(arriving[tail, relation])
            if head == entity:
                yield Hop(relation, True, tail), cost
            if tail == entity:
                yield Hop(relation, False, head), cost

    def go_on(start: int, hops: tuple[Hop, ...], cost: float) -> Iterator[Trail]:
        here = hops[-1].to if hops else start
        if here == target:
            yield Trail(round(cost, 9), start, hops)
        elif len(hops) < 3:
            for hop, more in steps(here):
                if hop.to not in entities - {target} and hop.to not in {h.to for h in hops}:
                    yield from go_on(start, (*hops, hop), cost + more)

    for start in entities - {target}:
        yield from go_on(start, (), 0.0)


entity = st.integers(0, 6)
graphs = st.lists(st.tuples(entity, st.integers(0, 2), entity), unique=True, max_size=25)


@settings(max_examples=300)
@given(graphs, st.sets(entity, min_size=1, max_size=3), entity, st.integers(1, 5))
def test_paths_are_those_that_trying_everything_finds(
    triples: list[Triple], entities: set[int], target: int, most: int
) -> None:
    found = origins(triples, *entities, size=7).trails(target, most)
    expected = reference(triples, entities, target, most)
    assert [trail[1:] for trail in found] == [trail[1:] for trail in expected]
    assert [trail.cost for trail in found] == pytest.approx([trail.cost for trail in expected], abs=1e-8)


@given(graphs, st.sets(entity, min_size=1, max_size=3), entity, st.randoms())
def test_the_order_of_the_triples_of_a_file_decides_nothing(
    triples: list[Triple], entities: set[int], target: int, random: object
) -> None:
    shuffled = list(triples)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    expected = origins(triples, *entities, size=7).trails(target, MOST_PATHS)
    assert origins(shuffled, *entities, size=7).trails(target, MOST_PATHS) == expected

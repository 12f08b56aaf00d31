"""The best short paths between entities of a knowledge graph, for telling a person why an item was found.

A path is a walk along triples in either direction that meets no entity twice. What makes one tell more than another is
how rare its links are: everything is linked to everything by way of "small" and "in stock". So a path costs

    c(p) = sum over its triples (h, r, t) of  ln out_r(h) + ln in_r(t)

where out_r(h) counts the triples of relation r that leave h, and in_r(t) those that arrive at t: up to the exponent,
which changes no order, the degree-weighted path of Himmelstein and Baranzini 2015 ("Heterogeneous Network Edge
Prediction", PLOS Computational Biology 11(7): e1004259).

The triples are kept as compressed sparse rows: the edges of an entity are one slice. A search meets in the middle, so
that a path of three steps needs the edges of the entities next to its end, and no more. It looks at the rarest of them
first and stops after a fixed number of edges, not after a time: equal questions have equal answers.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from es_mappings.types import Direction

Numbers = NDArray[np.int64]

MOST_PATHS = 3
"""For one item: people read no more."""
MOST_EDGES = 20_000
"""Edges that are looked at for one item, and for the entities of a query together."""
MOST_JOINS = 100_000
"""Paths of one length that are compared for one item."""
FAR = math.log(100)
"""A path with more steps than the best one is left out when it is so much dearer: a hundred times less telling."""
_DIGITS = 9
"""Costs are rounded, so that the order in which logarithms were added decides nothing."""


class Hop(NamedTuple):
    """One step to the entity `to` by the number of a relation; `outward` if the triple leaves the entity before."""

    relation: int
    outward: bool
    to: int

    @property
    def direction(self) -> Direction:
        return "out" if self.outward else "in"


class Trail(NamedTuple):
    """A path of numbers, and what it costs."""

    cost: float
    start: int
    hops: tuple[Hop, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Edges:
    """Columns of k edges: from one entity to another, by a relation, along the triple (`outward`) or against it."""

    before: Numbers
    relation: Numbers
    outward: NDArray[np.bool_]
    after: Numbers
    cost: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.after)

    def take(self, rows: NDArray[np.bool_] | Numbers) -> Edges:
        return Edges(self.before[rows], self.relation[rows], self.outward[rows], self.after[rows], self.cost[rows])

    def turned(self) -> Edges:
        """The same edges walked the other way."""
        return Edges(self.after, self.relation, ~self.outward, self.before, self.cost)

    def hop(self, row: int) -> Hop:
        return Hop(int(self.relation[row]), bool(self.outward[row]), int(self.after[row]))


class Adjacency:
    """The triples of a graph by entity, each in both directions."""

    def __init__(self, triples: NDArray[np.integer[Any]], entities: int) -> None:
        """triples: (m, 3) numbers of head, relation, tail."""
        heads, relations, tails = np.asarray(triples, dtype=np.int64).reshape(-1, 3).T
        cost = np.log(_repeats(heads, relations)) + np.log(_repeats(tails, relations))
        forward = np.ones(len(heads), dtype=np.bool_)
        edges = Edges(
            np.concatenate([heads, tails]),
            np.tile(relations, 2),
            np.concatenate([forward, ~forward]),
            np.concatenate([tails, heads]),
            np.tile(cost, 2),
        )
        self._edges = edges.take(np.lexsort((edges.after, edges.relation, ~edges.outward, edges.before)))
        self._starts = np.concatenate([[0], np.cumsum(np.bincount(edges.before, minlength=entities))])

    def degrees(self, entities: Numbers) -> Numbers:
        """How many edges each of the entities has."""
        found: Numbers = self._starts[entities + 1] - self._starts[entities]
        return found

    def of(self, entity: int) -> Edges:
        """The edges of one entity."""
        return self._edges.take(np.arange(self._starts[entity], self._starts[entity + 1]))

    def edges_to(self, entity: int, links: Sequence[tuple[int, int]]) -> Edges:
        """The edges that an entity would have with these triples: pairs of relation and tail. None is added."""
        pairs = np.array(sorted(set(links)), dtype=np.int64).reshape(-1, 2)
        relation, tail = pairs.T
        known = [int((self.of(t).relation[~self.of(t).outward] == r).sum()) for r, t in pairs.tolist()]
        cost = np.log(_repeats(np.zeros_like(relation), relation)) + np.log(np.array(known, dtype=np.float64) + 1)
        return Edges(np.full(len(pairs), entity), relation, np.ones(len(pairs), dtype=np.bool_), tail, cost)

    def around(self, entities: Numbers, most: int) -> Edges:
        """The edges of these entities, of which none stands there twice: those with the fewest first, `most` in all."""
        degrees = self.degrees(entities)
        order = np.lexsort((entities, degrees))
        entities, degrees = entities[order], degrees[order]
        kept = np.cumsum(degrees) <= most
        entities, degrees = entities[kept], degrees[kept]
        rows = np.repeat(self._starts[entities] - np.cumsum(degrees) + degrees, degrees) + np.arange(degrees.sum())
        return self._edges.take(rows)


class Origins:
    """What the paths of one query start from; it serves for any number of items."""

    def __init__(self, graph: Adjacency, entities: Sequence[int]) -> None:
        self._graph = graph
        self._entities = np.unique(np.asarray(entities, dtype=np.int64))
        near = graph.around(self._entities, MOST_EDGES)
        # What another origin says better by itself is no way for this one.
        self._near = _by_after(near.take(~self._is_origin(near.after)))

    def trails(self, target: int, most: int = MOST_PATHS) -> list[Trail]:
        """The best paths of at most three steps to an entity, from the other origins if it is one itself.

        A path goes through no origin. A longer one counts only where it costs less than every shorter one from the same
        origin, and of those from one origin that arrive by the same triple only the best. Of equal costs the shorter
        one comes first, then the lower numbers. What is longer than the best and FAR dearer is left out.
        """
        return self.trails_along(self._graph.of(target), target, most)

    def trails_along(self, edges: Edges, target: int, most: int = MOST_PATHS) -> list[Trail]:
        """The best paths to a target with these edges, which need not be in the graph."""
        last = edges.take(edges.after != target).turned()
        near = self._near.take(self._near.before != target) if target in self._entities else self._near
        direct = self._is_origin(last.before)
        ends = _by_after(last.take(~direct).turned()).turned()
        cheapest = np.where(self._entities == target, -np.inf, np.inf)
        found = self._kept((last.take(direct),), cheapest)
        if len(near) and len(ends):
            found += self._kept(_two(near, ends), cheapest)
            # No path of three steps costs less than its last one and the cheapest first one.
            ends = ends.take(ends.cost + near.cost.min() < cheapest.max())
            found += self._kept(self._three(near, ends, target), cheapest)
        return _best(found, most)

    def _three(self, near: Edges, ends: Edges, target: int) -> tuple[Edges, ...]:
        """Over the edges of what lies next to the target, a hub's last."""
        middle = self._graph.around(np.unique(ends.before), MOST_EDGES).turned()
        middle = middle.take((middle.before != target) & (middle.before != middle.after))
        first, rows = _pairs(near.after, middle.before)
        end, again = _pairs(ends.before, middle.after[rows])
        return near.take(first[again]), middle.take(rows[again]), ends.take(end)

    def _kept(self, steps: tuple[Edges, ...], cheapest: NDArray[np.float64]) -> list[Trail]:
        """Of the paths of one length the good ones. cheapest: by origin the least cost so far, which this lowers."""
        if not len(steps[0]):
            return []
        cost = np.round(np.sum([edges.cost for edges in steps], axis=0), _DIGITS)
        origins = np.searchsorted(self._entities, steps[0].before)
        rows = np.flatnonzero(cost < cheapest[origins])
        np.minimum.at(cheapest, origins, cost)
        return _trails([edges.take(rows) for edges in steps], cost[rows])

    def _is_origin(self, entities: Numbers) -> NDArray[np.bool_]:
        return np.isin(entities, self._entities)


def _two(near: Edges, ends: Edges) -> tuple[Edges, ...]:
    first, rows = _pairs(near.after, ends.before)
    return near.take(first), ends.take(rows)


def _repeats(first: Numbers, second: Numbers) -> Numbers:
    """For each pair how many times it is there."""
    keys = first * (second.max(initial=0) + 1) + second
    _, places, counts = np.unique(keys, return_inverse=True, return_counts=True)
    found: Numbers = counts[places]
    return found


def _by_after(edges: Edges) -> Edges:
    return edges.take(np.argsort(edges.after, kind="stable"))


def _pairs(ascending: Numbers, keys: Numbers) -> tuple[Numbers, Numbers]:
    """Rows of `ascending` and of `keys` that hold the same number, all pairs by row of `keys`, at most MOST_JOINS."""
    lows = np.searchsorted(ascending, keys, side="left")
    counts = np.searchsorted(ascending, keys, side="right") - lows
    counts[np.cumsum(counts) > MOST_JOINS] = 0
    rows = np.repeat(np.arange(len(keys)), counts)
    return np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts - lows, counts), rows


def _trails(steps: Sequence[Edges], cost: NDArray[np.float64]) -> list[Trail]:
    """Of k paths of one length, given by the edges of each step, the best one for each origin and last triple."""
    first, last = steps[0], steps[-1]
    arrival = (last.before, last.outward, last.relation, first.before)
    ties = [column for edges in reversed(steps) for column in (edges.after, edges.outward, edges.relation)]
    order = np.lexsort((*ties, cost, *arrival))
    sorted_arrival = np.stack([column[order] for column in arrival])
    is_first = np.ones(len(order), dtype=np.bool_)
    is_first[1:] = (sorted_arrival[:, 1:] != sorted_arrival[:, :-1]).any(axis=0)
    return [
        Trail(float(cost[row]), int(first.before[row]), tuple(edges.hop(row) for edges in steps))
        for row in order[is_first].tolist()
    ]


def _best(trails: Iterable[Trail], most: int) -> list[Trail]:
    arrivals: dict[tuple[int, int, Hop], Trail] = {}
    for trail in sorted(trails, key=lambda trail: (trail.cost, len(trail.hops), trail.start, trail.hops)):
        before = trail.hops[-2].to if len(trail.hops) > 1 else trail.start
        arrivals.setdefault((trail.start, before, trail.hops[-1]), trail)
    kept = list(arrivals.values())
    return [t for t in kept if len(t.hops) <= len(kept[0].hops) or t.cost <= kept[0].cost + FAR][:most]

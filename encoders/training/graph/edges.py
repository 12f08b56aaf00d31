"""Triples as a DGL graph, whose edges run both ways, and what is known of its edges."""

from __future__ import annotations

from typing import Any

import dgl
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from encoders.training.triples import KnowledgeGraph, Triples

HELD_OUT_SHARE, HELD_OUT_MOST = 0.05, 200


def two_way(triples: Triples, entities: int, relations: int) -> Any:
    """A DGL graph with each of the m triples as an edge in both directions; edge i has its reverse at m + i.

    The edge feature `slot` is the relation r for head -> tail and relations + r for tail -> head.
    """
    heads, kinds, tails = torch.from_numpy(triples).unbind(dim=1)
    graph = dgl.graph((torch.cat([heads, tails]), torch.cat([tails, heads])), num_nodes=entities)
    graph.edata["slot"] = torch.cat([kinds, kinds + relations])
    return graph


class KnownEdges:
    """Tells which edges a graph has."""

    def __init__(self, graph: Any) -> None:
        self._entities = int(graph.num_nodes())
        sources, targets = graph.edges()
        self._keys = torch.sort(self._key(sources, graph.edata["slot"], targets)).values

    def __call__(self, sources: Tensor, slots: Tensor, targets: Tensor) -> Tensor:
        """Whether each edge is one of the graph, in the shape that the three have together."""
        keys = self._key(sources, slots, targets)
        place = torch.searchsorted(self._keys, keys).clamp(max=len(self._keys) - 1)
        return self._keys[place] == keys

    def _key(self, sources: Tensor, slots: Tensor, targets: Tensor) -> Tensor:
        """One int64 that no other edge has; it holds ten million entities with ten thousand relations."""
        return (slots * self._entities + sources) * self._entities + targets


class SeenEnds:
    """Which ends were seen at each slot of a graph: the candidates to tell an edge's end from."""

    def __init__(self, graph: Any) -> None:
        _, tails = graph.edges()
        pairs = torch.unique(torch.stack([graph.edata["slot"], tails], dim=1), dim=0)
        self._ends = pairs[:, 1]
        self._sizes = torch.bincount(pairs[:, 0])
        self._starts = torch.cumsum(self._sizes, dim=0) - self._sizes

    def draw(self, slots: Tensor) -> Tensor:
        """For each slot one of its ends, uniformly."""
        drawn = (torch.rand(len(slots), dtype=torch.float64) * self._sizes[slots]).long()
        ends: Tensor = self._ends[self._starts[slots] + drawn]
        return ends


def hold_out(graph: KnowledgeGraph, random: np.random.Generator) -> NDArray[np.bool_]:
    """A few triples to hold out, none of which is the last one of either of its entities; shape (m,).

    Of users what they did last: what somebody will do next is what a recommendation has to know.
    """
    triples = graph.triples
    most = min(int(len(triples) * HELD_OUT_SHARE), HELD_OUT_MOST)
    degrees = np.bincount(triples[:, [0, 2]].ravel(), minlength=len(graph.entities))
    held = np.zeros(len(triples), dtype=bool)
    for index in random.permutation(_latest(graph) if graph.users else len(triples)):
        if held.sum() >= most:
            break
        head, _, tail = triples[index]
        if min(degrees[head], degrees[tail]) > 1 and head != tail:
            degrees[[head, tail]] -= 1
            held[index] = True
    return held


def _latest(graph: KnowledgeGraph) -> NDArray[np.int64]:
    """The last interaction of each user: the latest, of several the one that the file has last."""
    rows: NDArray[np.int64] = np.flatnonzero(graph.interactions)
    rows = rows[np.lexsort((rows, graph.times[rows], graph.triples[rows, 0]))]
    users = graph.triples[rows, 0]
    last: NDArray[np.int64] = rows[np.append(users[1:] != users[:-1], True)]
    return last

"""Triples as a DGL graph, whose edges run both ways, and what is known of its edges."""

from __future__ import annotations

from typing import Any

import dgl
import numpy as np
import torch
from torch import Tensor

from encoders.training.triples import Triples

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


def hold_out(triples: Triples, entities: int, random: np.random.Generator) -> tuple[Triples, Triples]:
    """Triples to train on and a few to hold out, none of which is the last one of either of its entities."""
    most = min(int(len(triples) * HELD_OUT_SHARE), HELD_OUT_MOST)
    degrees = np.bincount(triples[:, [0, 2]].ravel(), minlength=entities)
    held = np.zeros(len(triples), dtype=bool)
    for index in random.permutation(len(triples)):
        if held.sum() >= most:
            break
        head, _, tail = triples[index]
        if min(degrees[head], degrees[tail]) > 1 and head != tail:
            degrees[[head, tail]] -= 1
            held[index] = True
    return triples[~held], triples[held]

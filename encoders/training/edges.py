"""Triples as a DGL graph, and minibatches of its edges with negatives; the one module that imports dgl."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

os.environ.setdefault("DGLBACKEND", "pytorch")  # else dgl asks, and writes its answer into the user's home
import dgl

Triples = NDArray[np.int64]
Weights = NDArray[np.float32]

NEGATIVES = 32
"""Negative triples per positive one."""
LARGEST_BATCH, SMALLEST_BATCH, STEPS_PER_EPOCH = 1024, 32, 8


EID = dgl.EID
"""The edge feature by which a minibatch's graph knows the numbers of its edges."""


def two_way(triples: Triples, entities: int, relations: int) -> Any:
    """A DGL graph with each of the m triples as an edge in both directions, 2m edges.

    The edge feature `slot` is the relation r for head -> tail and relations + r for tail -> head.
    """
    heads, kinds, tails = torch.from_numpy(triples).unbind(dim=1)
    graph = dgl.graph((torch.cat([heads, tails]), torch.cat([tails, heads])), num_nodes=entities)
    graph.edata["slot"] = torch.cat([kinds, kinds + relations])
    return graph


def sum_around(graph: Any, features: Tensor) -> Tensor:
    """For each node the sum of its neighbours' features, (n, dims); gradients flow through it."""
    found: Tensor = dgl.ops.copy_u_sum(graph, features)
    return found


def edge_keys(heads: Tensor, tails: Tensor, slots: Tensor, graph: Any) -> Tensor:
    """One int64 that no other edge has; it holds ten million entities with ten thousand relations."""
    entities = int(graph.num_nodes())
    return (slots * entities + heads) * entities + tails


def batches(graph: Any) -> Any:
    """A loader of (node ids, positive graph, negative graph, []) over all edges, shuffled at each epoch."""
    sampler = dgl.dataloading.as_edge_prediction_sampler(_EndsOnly(), negative_sampler=_SameSlot(graph))
    size = min(max(graph.num_edges() // STEPS_PER_EPOCH, SMALLEST_BATCH), LARGEST_BATCH)
    edges = torch.arange(graph.num_edges())
    return dgl.dataloading.DataLoader(graph, edges, sampler, batch_size=size, shuffle=True)


class _EndsOnly:
    """A node sampler without layers: an embedding needs an edge's two ends only (dgl's own refuse 0 layers)."""

    output_device = None

    def sample(self, graph: Any, nodes: Tensor, exclude_eids: Any = None) -> tuple[Tensor, Tensor, list[Any]]:
        return nodes, nodes, []


class Seen:
    """Which ends were seen at each slot: the candidates to tell a triple's end from."""

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


class _SameSlot:
    """Negative sampler: per edge NEGATIVES other ends, uniform over those seen at that end of the relation."""

    def __init__(self, graph: Any) -> None:
        self._seen = Seen(graph)

    def __call__(self, graph: Any, edges: Tensor) -> tuple[Tensor, Tensor]:
        heads, _ = graph.find_edges(edges)
        slots = graph.edata["slot"][edges].repeat_interleave(NEGATIVES)
        return heads.repeat_interleave(NEGATIVES), self._seen.draw(slots)

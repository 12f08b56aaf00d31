"""The two ways to train a link predictor, each of which gives the losses of one epoch's minibatches.

Few entities: every question (h, r, ?) of the training triples is a classification over all entities, "1-vs-all"
(Lacroix et al. 2018, arXiv:1806.07297; Ruffinelli et al. 2020, "You CAN Teach an Old Dog New Tricks!").

Many entities: the right answer against some that are drawn at random and shared by the minibatch (joint negative
sampling of Zheng et al. 2020, "DGL-KE", arXiv:2004.08532), weighted by how probable the model takes them for
(self-adversarial negative sampling, Sun et al. 2019, arXiv:1902.10197, equation 5). Messages come from a sample of each
entity's neighbours, the edges that are asked for left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import dgl
import torch
from torch import Tensor
from torch.nn import functional

from encoders.training.graph.edges import KnownEdges
from encoders.training.graph.network import LinkNetwork
from encoders.training.graph.recipes import Recipe

LARGEST_SAMPLED_BATCH, SMALLEST_BATCH = 1024, 32
NEGATIVES = 256
"""Entities that a minibatch's right answers are told from."""
NEIGHBOURS = 16
"""Neighbours per entity and layer that messages come from."""


class Objective(Protocol):
    """Losses (scalars) of an epoch's minibatches; each is to be stepped on before the next one is taken."""

    def __call__(self) -> Iterator[Tensor]: ...


class AllEntities:
    """1-vs-all by cross-entropy over a DGL graph that runs both ways."""

    def __init__(self, network: LinkNetwork, recipe: Recipe, graph: Any) -> None:
        self._network, self._recipe, self._graph = network, recipe, graph
        self._heads, self._tails = graph.edges()
        self._slots = graph.edata["slot"]

    def __call__(self) -> Iterator[Tensor]:
        for batch in torch.split(
            torch.randperm(len(self._slots)), _batch_size(len(self._slots), self._recipe, self._recipe.batch)
        ):
            entities, relations = self._network.encode_all(self._graph)
            heads, slots, tails = (ids[batch] for ids in (self._heads, self._slots, self._tails))
            asked, penalty = _ask(self._network, self._recipe, entities, relations, heads, slots, tails)
            yield functional.cross_entropy(self._network.scoring.compare(asked, entities), tails) + penalty


class SampledEntities:
    """Self-adversarial negative sampling over a DGL graph that runs both ways; `dgl.dataloading` makes the batches."""

    def __init__(self, network: LinkNetwork, recipe: Recipe, graph: Any) -> None:
        self._network, self._recipe, self._graph = network, recipe, graph
        self._known = KnownEdges(graph)
        half = graph.num_edges() // 2
        nodes = dgl.dataloading.NeighborSampler([NEIGHBOURS] * recipe.layers) if recipe.layers else EndsOnly()
        self._sampler = dgl.dataloading.as_edge_prediction_sampler(
            nodes,
            exclude="reverse_id" if recipe.layers else None,
            reverse_eids=torch.arange(graph.num_edges()).roll(half),
            negative_sampler=_SharedEntities(),
        )

    def __call__(self) -> Iterator[Tensor]:
        edges = torch.randperm(self._graph.num_edges())
        for batch in dgl.dataloading.DataLoader(
            self._graph,
            edges,
            self._sampler,
            batch_size=_batch_size(len(edges), self._recipe, LARGEST_SAMPLED_BATCH),
            shuffle=False,
        ):
            yield self._loss(*batch)

    def _loss(self, sources: Tensor, positive: Any, negative: Any, blocks: list[Any]) -> Tensor:
        entities, relations = self._network.encode(blocks, sources)
        scoring, nodes = self._network.scoring, positive.ndata[dgl.NID]
        (heads, tails), slots = positive.edges(), self._graph.edata["slot"][positive.edata[dgl.EID]]
        others, _ = negative.edges()
        asked, penalty = _ask(self._network, self._recipe, entities, relations, heads, slots, tails)
        right = scoring.pairs(asked, functional.embedding(tails, entities))
        wrong = scoring.compare(asked, functional.embedding(others, entities))
        known = self._known(nodes[heads][:, None], slots[:, None], nodes[others][None, :])
        # Known answers weigh nothing; the small number is for a question to which all that was drawn is known.
        weights = wrong.detach().softmax(dim=1).masked_fill(known, 0)
        weights = weights / (weights.sum(dim=1, keepdim=True) + 1e-12)
        told_apart = functional.logsigmoid(right) + (weights * functional.logsigmoid(-wrong)).sum(dim=1)
        return penalty - told_apart.mean() / 2


class EndsOnly:
    """A node sampler without layers: an embedding needs an edge's two ends only (dgl's own refuse 0 layers)."""

    output_device = None

    def sample(self, graph: Any, nodes: Tensor, exclude_eids: Any = None) -> tuple[Tensor, Tensor, list[Any]]:
        return nodes, nodes, []


class _SharedEntities:
    """Negative sampler: NEGATIVES entities for the whole minibatch, each as an edge from itself to itself."""

    def __call__(self, graph: Any, edges: Tensor) -> tuple[Tensor, Tensor]:
        drawn = torch.randint(graph.num_nodes(), (NEGATIVES,))
        return drawn, drawn


def _batch_size(edges: int, recipe: Recipe, largest: int) -> int:
    return min(max(edges // recipe.steps, SMALLEST_BATCH), largest)


def _ask(
    network: LinkNetwork,
    recipe: Recipe,
    entities: Tensor,
    relations: Tensor,
    heads: Tensor,
    slots: Tensor,
    tails: Tensor,
) -> tuple[Tensor, Tensor]:
    """The questions (b, dims) of a minibatch, thinned by dropout, and the penalty on its factors."""
    head, relation = functional.embedding(heads, entities), functional.embedding(slots, relations)
    asked = functional.dropout(network.scoring.ask(head, relation), recipe.dropout)
    if not recipe.n3:
        return asked, torch.zeros(())
    return asked, recipe.n3 * network.scoring.n3(head, relation, functional.embedding(tails, entities))

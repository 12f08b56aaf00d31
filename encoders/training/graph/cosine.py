"""Cosine DistMult: the vectors of a knowledge graph whose cosine is meaningful by itself.

The model is DistMult (Yang et al. 2015, "Embedding Entities and Relations for Learning and Inference in
Knowledge Bases", arXiv:1412.6575) with two restrictions that make the cosine of two entities meaningful by itself,
which a search engine needs, since it knows no relations:

- entities are unit vectors u, and the score of a triple is  f(h, r, t) = s * sum_i w_ri u_hi u_ti;
- the relation weights w_r are positive (softplus), so every relation is an inner product that agrees with the cosine
  up to a stretching of the axes. Two items that share a tag both lie near the tag, hence near each other.

Both ends of every triple are predicted (the DGL graph holds each triple in both directions) against negatives that
were seen at the same end of the same relation (Krompass et al. 2015, "Type-Constrained Representation Learning in
Knowledge Graphs", arXiv:1508.02593): a tag must be told from other tags, not from items. The loss is the sampled
softmax (InfoNCE, van den Oord et al. 2018, arXiv:1807.03748), with negatives that are known triples left out.

What is saved is not u itself but u smoothed over its neighbours, see `encoders.training.graph.index_vectors`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import dgl
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from encoders.training.graph.edges import KnownEdges, SeenEnds, two_way
from encoders.training.graph.index_vectors import smooth
from encoders.training.graph.objectives import EndsOnly
from encoders.training.triples import Triples, Weights
from es_mappings.types import Matrix

DIMS, EPOCHS = 128, 30
SCALE = 6.0
"""s above: the inverse temperature of the softmax."""
NEGATIVES = 32
"""Negative triples per positive one."""
LEARNING_RATE = 0.02
LARGEST_BATCH, SMALLEST_BATCH, STEPS_PER_EPOCH = 1024, 32, 8


class CosineDistMult:
    """Entities (n, dims) and relations (r, dims); gradients are sparse: a step costs what its batch holds."""

    epochs = EPOCHS
    settings: ClassVar[dict[str, Any]] = {"scale": SCALE, "negatives": NEGATIVES, "learning_rate": LEARNING_RATE}

    def __init__(self, entities: int, relations: int, dims: int) -> None:
        self.entities = torch.nn.Embedding(entities, dims, sparse=True)
        self.relations = torch.nn.Parameter(torch.zeros(relations, dims))
        self._optimizers: list[torch.optim.Optimizer] = [
            torch.optim.SparseAdam(list(self.entities.parameters()), lr=LEARNING_RATE),
            torch.optim.Adam([self.relations], lr=LEARNING_RATE),
        ]

    def relation_weights(self) -> Tensor:
        """Positive weights, shape (r, dims); a fresh parameter of 0 gives 1."""
        return functional.softplus(self.relations + float(np.log(np.e - 1)))

    def learn_from(self, triples: Triples, weights: Weights) -> None:
        """From now on epochs go through these triples. weights: (m,) what each counts for."""
        self._graph = two_way(triples, self.entities.num_embeddings, len(self.relations))
        self._graph.edata["weight"] = torch.from_numpy(weights).repeat(2)
        self._known = KnownEdges(self._graph)
        self._sampler = dgl.dataloading.as_edge_prediction_sampler(EndsOnly(), negative_sampler=_SameSlot(self._graph))
        self._order = torch.arange(self._graph.num_edges())

    def epoch(self) -> float:
        """Go once through all edges, each time in another order that the one before is shuffled to; the mean loss."""
        np.random.shuffle(self._order.numpy())
        size = min(max(len(self._order) // STEPS_PER_EPOCH, SMALLEST_BATCH), LARGEST_BATCH)
        batches = dgl.dataloading.DataLoader(self._graph, self._order, self._sampler, batch_size=size, shuffle=False)
        return float(np.mean([self._step(self._graph, self._known, *batch[:3]) for batch in batches]))

    def state(self) -> dict[str, Any]:
        """All that `restore` needs, of tensors and plain values."""
        return {
            "vectors": [self.entities.weight.detach(), self.relations.detach()],
            "optimizers": [optimizer.state_dict() for optimizer in self._optimizers],
            "order": self._order,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on where a model that learnt from the same triples was."""
        with torch.no_grad():
            for own, found in zip((self.entities.weight, self.relations), state["vectors"], strict=True):
                own.copy_(found)
        for optimizer, own_state in zip(self._optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(own_state)
        self._order = state["order"]

    def _step(self, graph: Any, known: KnownEdges, nodes: Tensor, positive: Any, negative: Any) -> float:
        """One minibatch of b edges and b * NEGATIVES corrupted ones over the given nodes; its loss."""
        edges = positive.edata[dgl.EID]
        slots, counts = graph.edata["slot"][edges], graph.edata["weight"][edges]
        heads, tails = positive.edges()
        # The corrupted edges of one edge lie behind each other and keep its head, see _SameSlot.
        heads_again, others = negative.edges()
        vectors = functional.normalize(self.entities(nodes), dim=1)
        weights = functional.embedding(slots % len(self.relations), self.relation_weights())
        asked = SCALE * weights * functional.embedding(heads, vectors)
        good = (asked * functional.embedding(tails, vectors)).sum(dim=1, keepdim=True)
        bad = torch.einsum("bd,bkd->bk", asked, functional.embedding(others.view(-1, NEGATIVES), vectors))
        is_known = known(nodes[heads_again], slots.repeat_interleave(NEGATIVES), nodes[others])
        bad = bad.masked_fill(is_known.view_as(bad), -torch.inf)
        logits = torch.cat([good, bad], dim=1)
        losses = functional.cross_entropy(logits, torch.zeros(len(logits), dtype=torch.long), reduction="none")
        loss: Tensor = (losses * counts).sum() / counts.sum()
        for optimizer in self._optimizers:
            optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        for optimizer in self._optimizers:
            optimizer.step()
        return loss.item()

    def vectors(self, triples: Triples) -> Matrix:
        """The vectors to search with, smoothed over the triples; shape (n, dims), unit length."""
        return smooth(self.directions(), triples, len(self.relations))

    def directions(self) -> Tensor:
        """The unit vectors u, shape (n, dims)."""
        return functional.normalize(self.entities.weight.detach(), dim=1)


class _SameSlot:
    """Negative sampler: per edge NEGATIVES other ends, uniform over those seen at that end of the relation."""

    def __init__(self, graph: Any) -> None:
        self._seen = SeenEnds(graph)

    def __call__(self, graph: Any, edges: Tensor) -> tuple[Tensor, Tensor]:
        heads, _ = graph.find_edges(edges)
        slots = graph.edata["slot"][edges].repeat_interleave(NEGATIVES)
        return heads.repeat_interleave(NEGATIVES), self._seen.draw(slots)


def cosine_mrr(vectors: Matrix, known: Triples, held_out: Triples) -> float:
    """Filtered mean reciprocal rank of both ends of the held-out triples, by cosine (Bordes et al. 2013).

    known: shape (m, 3), all triples, the held-out ones among them. Candidates are the entities seen at that end of the
    relation; other known answers are left out.
    """
    ranks: list[int] = []
    for relation in np.unique(held_out[:, 1]):
        same = known[known[:, 1] == relation]
        for end, other in ((2, 0), (0, 2)):
            for triple in held_out[held_out[:, 1] == relation]:
                is_rival = np.zeros(len(vectors), dtype=bool)
                is_rival[same[:, end]] = True
                is_rival[same[same[:, other] == triple[other], end]] = False
                cosines = vectors @ vectors[triple[other]]
                ranks.append(1 + int((cosines[is_rival] > cosines[triple[end]]).sum()))
    return float(np.mean(1 / np.array(ranks)))

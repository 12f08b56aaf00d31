"""LightGCN (He et al. 2020, arXiv:2002.02126) for graphs with interactions, trained for the very cosine that is served.

Each entity i has a free vector x_i, and its vector is made of those of its neighbourhood, whatever the relations:

    x_i^(l+1) = sum_j x_j^(l) / sqrt(deg_i deg_j)          j over the neighbours of i
    v_i       = unit(sum over l = 0 .. LAYERS of x_i^(l))

LightGCN compares by inner product, and learns from one negative per positive (BPR). A search engine compares by cosine,
so here the loss is one of cosines, the sampled softmax of the tail of a triple among tails n of the same relation:

    -log( exp(v_h v_t / T) / (exp(v_h v_t / T) + sum_n exp(v_h v_n / T)) )

(Wu et al. 2022, "On the Effectiveness of Sampled Softmax Loss for Item Recommendation", arXiv:2201.02327). Tails are
drawn uniformly and only tails are predicted, so that what is popular stays more probable: to predict the users of an
item as well would take that off again. A batch shares its negatives, so a step costs little beside the propagation,
which goes through all triples each time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import dgl
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from encoders.training.graph.edges import SeenEnds, two_way
from encoders.training.triples import Triples, Weights
from es_mappings.types import Matrix

EPOCHS = 10
LAYERS = 3
TEMPERATURE = 0.1
NEGATIVES = 1024
LARGEST_BATCH, SMALLEST_BATCH, STEPS_PER_EPOCH = 2048, 32, 32
LEARNING_RATE = 0.01
SPREAD = 0.1
"""The standard deviation of what the free vectors begin with."""


class LightGCN:
    """See the module; a relation is no more than a set of triples here, and its weights are 1."""

    epochs = EPOCHS
    settings: ClassVar[dict[str, Any]] = {
        "layers": LAYERS,
        "temperature": TEMPERATURE,
        "negatives": NEGATIVES,
        "learning_rate": LEARNING_RATE,
    }

    def __init__(self, entities: int, relations: int, dims: int) -> None:
        self._free = torch.nn.Parameter(torch.randn(entities, dims) * SPREAD)
        self._relations = relations
        self._optimizer = torch.optim.Adam([self._free], lr=LEARNING_RATE)

    def relation_weights(self) -> Tensor:
        """All 1, shape (r, dims): no relation stretches the space."""
        return torch.ones(self._relations, self._free.shape[1])

    def learn_from(self, triples: Triples, weights: Weights) -> None:
        """From now on epochs go through these triples. weights: (m,) what each counts for."""
        self._graph = two_way(triples, len(self._free), self._relations)
        self._seen = SeenEnds(self._graph)
        self._triples, self._counts = torch.from_numpy(triples), torch.from_numpy(weights)

    def epoch(self) -> float:
        """Go once through all triples; the mean loss."""
        heads, kinds, tails = self._triples.unbind(dim=1)
        total = 0.0
        for rows in _batches(kinds):
            others = self._seen.draw(kinds[rows[:1]].expand(NEGATIVES))
            total += len(rows) * self._step(self._graph, heads[rows], tails[rows], others, self._counts[rows])
        return total / len(kinds)

    def state(self) -> dict[str, Any]:
        """All that `restore` needs, of tensors and plain values."""
        return {"vectors": self._free.detach(), "optimizer": self._optimizer.state_dict()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on where a model that learnt from the same triples was."""
        with torch.no_grad():
            self._free.copy_(state["vectors"])
        self._optimizer.load_state_dict(state["optimizer"])

    def _step(self, graph: Any, heads: Tensor, tails: Tensor, others: Tensor, counts: Tensor) -> float:
        """One batch of b triples of one relation against the same negative tails; its loss."""
        vectors = self._propagated(graph)
        asked = vectors[heads] / TEMPERATURE
        logits = torch.cat([(asked * vectors[tails]).sum(dim=1, keepdim=True), asked @ vectors[others].T], dim=1)
        losses = functional.cross_entropy(logits, torch.zeros(len(logits), dtype=torch.long), reduction="none")
        loss: Tensor = (losses * counts).sum() / counts.sum()
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        return loss.item()

    def vectors(self, triples: Triples) -> Matrix:
        """The vectors to search with, v of the module's docstring; shape (n, dims), unit length."""
        with torch.no_grad():
            found = self._propagated(two_way(triples, len(self._free), self._relations))
        return np.ascontiguousarray(found.numpy(), dtype=np.float32)

    def _propagated(self, graph: Any) -> Tensor:
        scale = graph.in_degrees().clamp(min=1).to(self._free.dtype).rsqrt()[:, None]
        layer = total = self._free
        for _ in range(LAYERS):
            layer = scale * dgl.ops.copy_u_sum(graph, scale * layer)
            total = total + layer
        return functional.normalize(total, dim=1)


def _batches(kinds: Tensor) -> list[Tensor]:
    """Rows of the triples in batches of one relation each, in random order."""
    size = min(max(len(kinds) // STEPS_PER_EPOCH, SMALLEST_BATCH), LARGEST_BATCH)
    found = [
        batch
        for kind in torch.unique(kinds)
        for rows in [torch.nonzero(kinds == kind).squeeze(1)]
        for batch in torch.split(rows[torch.randperm(len(rows))], size)
    ]
    return [found[index] for index in torch.randperm(len(found)).tolist()]

"""From what a model has learnt to the vectors that an index compares by cosine.

Every model gives the vector that stands for an entity in its score: h of TransE and DistMult, the real and imaginary
parts of ComplEx and RotatE side by side, what the messages end in for CompGCN, and u for cosine DistMult. Vectors of
the distance models are first centred: a distance does not change when all entities move alike, a cosine does.

What is saved is that vector at unit length, u, plus the symmetrically normalised mean of the neighbours' ones,
    v_i = unit(u_i + unit(sum_j u_j / sqrt(deg_j)))          j over the neighbours of i
one step of the propagation of LightGCN (He et al. 2020, arXiv:2002.02126): items that share neighbours come closer,
rare neighbours count for more than ones that everybody has, and a triple that training fitted badly still counts.
docs/graph.md has the measurements behind this.
"""

from __future__ import annotations

import dgl
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from encoders.training.graph.edges import two_way
from encoders.training.triples import Triples
from es_mappings.types import Matrix


def directions(entities: Tensor, *, centred: bool) -> Tensor:
    """Unit vectors (n, dims); centred: take off the mean of all first."""
    return functional.normalize(entities - entities.mean(dim=0) if centred else entities, dim=1)


def smooth(own: Tensor, triples: Triples, relations: int) -> Matrix:
    """The vectors v above, (n, dims) float32 of unit length, from unit vectors u (n, dims)."""
    graph = two_way(triples, len(own), relations)
    degrees = graph.in_degrees().clamp(min=1).to(own.dtype)
    graph.ndata["u"] = own / degrees.sqrt()[:, None]
    graph.update_all(dgl.function.copy_u("u", "message"), dgl.function.sum("message", "near"))
    smoothed = functional.normalize(own + functional.normalize(graph.ndata["near"], dim=1), dim=1)
    # An entity opposed to all its neighbours would vanish; it keeps its own direction.
    kept = torch.where(smoothed.norm(dim=1, keepdim=True) > 0.5, smoothed, own)
    return np.ascontiguousarray(kept.numpy(), dtype=np.float32)

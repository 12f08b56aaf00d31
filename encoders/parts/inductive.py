"""Vectors of nodes that training did not see, from those of their neighbours."""

from __future__ import annotations

import numpy as np

from encoders.contract import unit
from encoders.parts.paths import Numbers
from es_mappings.errors import BadInput
from es_mappings.types import Matrix, Vector


def inductive(
    vectors: Matrix, weights: Matrix | None, relations: Numbers, neighbours: Numbers, degrees: Numbers
) -> Vector | None:
    """The vector of a node that has these k triples, relation r and other end j:

        v = unit(unit(sum w_r * v_j) + unit(sum v_j / sqrt(deg_j)))

    Training ends with unit(u + unit(sum u_j / sqrt(deg_j))). Of the node's own u nothing is known but its triples, and
    the first part is the unit vector to which the model gives the highest sum of their scores; of a model without such
    weights (r, dims) there is only the second. `benchmarks/graph_cold_start.py` measures it.

    vectors: (n, dims). degrees: (k,) of the neighbours, the node counted. None where all cancel out.
    """
    near = smoothed(vectors, neighbours, degrees)
    if weights is None or near is None:
        return near
    own = direction(np.sum(weights[relations] * vectors[neighbours], axis=0))
    return near if own is None else direction(own + near)


def smoothed(vectors: Matrix, neighbours: Numbers, degrees: Numbers) -> Vector | None:
    """unit(sum_j v_j / sqrt(deg_j)), the step that training ends with; None where all cancel out."""
    return direction(np.sum(vectors[neighbours] / np.sqrt(degrees)[:, None], axis=0, dtype=np.float32))


def direction(vector: Vector) -> Vector | None:
    """The vector at unit length, None when it has no length."""
    try:
        scaled: Vector = unit(vector[None, :], "text")[0]
    except BadInput:
        return None
    return scaled

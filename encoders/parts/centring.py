"""Centring: what all vectors of a kind share says nothing about likeness, so it is taken off.

Queries and items each lose their own mean: short texts share other things than whole items do. On the demo catalogue
the mean of the titles is 0.43 away from the mean of the items' texts, and 0.42 from that of the pictures among words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from es_mappings.errors import BadInput
from es_mappings.types import Centre, Vector

LEAST_ITEMS = 100
"""With fewer vectors a space is not centred: a mean of 30 unit vectors is off by 0.16, of 100 by 0.09."""

LEAST_QUERIES = 30
"""With fewer queries of a kind the items' mean serves: 0.43 off for texts, where 30 queries are off by 0.16."""

LEAST_LENGTH = 1e-4
"""What is left of a unit vector has to be longer than this: of less, float32's rounding decides the direction."""


def centred(vector: Vector, mean: Vector) -> Vector:
    """The unit vector without the mean, at unit length again.

    Raises BadInput when nothing is left of it.
    """
    rest = vector - mean
    length = float(np.linalg.norm(rest))
    if not LEAST_LENGTH < length < np.inf:
        raise BadInput("centred vector: nothing is left without what all vectors share")
    scaled: Vector = rest / np.float32(length)
    return scaled


def fit(
    items: Mapping[str, Sequence[Vector]], queries: Mapping[str, Mapping[str, Sequence[Vector]]]
) -> dict[str, Centre]:
    """The centres of the spaces that have enough vectors to know their mean.

    items: by space. queries: by space and kind of term ("text", "image", "entity").
    """
    return {
        space: Centre(
            _mean(vectors),
            {kind: _mean(asked) for kind, asked in queries.get(space, {}).items() if len(asked) >= LEAST_QUERIES},
        )
        for space, vectors in items.items()
        if len(vectors) >= LEAST_ITEMS
    }


def with_queries(centre: Centre, kind: str, queries: Sequence[Vector]) -> Centre:
    """The centre with another mean of the queries of a kind; with none where there are too few to know it."""
    others = {name: mean for name, mean in centre.queries.items() if name != kind}
    return Centre(centre.items, others | ({kind: _mean(queries)} if len(queries) >= LEAST_QUERIES else {}))


def _mean(vectors: Sequence[Vector]) -> Vector:
    mean: Vector = np.asarray(vectors).mean(axis=0, dtype=np.float64).astype(np.float32)
    return mean

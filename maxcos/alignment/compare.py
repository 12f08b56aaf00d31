"""The ways to place a picture among texts, judged by the same held-out texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from encoders.training.alignment import CrossFit, Metrics, Pairs, candidates, metrics, ranks, targets
from es_mappings.types import Matrix
from maxcos.alignment.report import HEADS
from maxcos.evaluation.metrics import Difference, differences

NOTHING, NEIGHBOURS, RIDGE, EARLIER = "nothing", "neighbours", "ridge", "earlier heads"
NEAREST = 5
CERTAIN = 0.05
"""The probability of chance below which heads are kept."""

Floats = NDArray[np.float64]


def methods(pairs: Pairs, fitted: CrossFit, base: str, earlier: Matrix | None) -> dict[str, Floats]:
    """By method the (t,) ranks that texts give to their items, see `encoders.training.alignment.ranks`.

    base: what to call the vectors that heads correct. earlier: (n, dims) where older heads put the items.
    """
    placed = {base: pairs.base, NEIGHBOURS: neighbours(pairs, fitted), RIDGE: fitted.ridge, HEADS: fitted.placed}
    if earlier is not None:
        placed[EARLIER] = earlier
    every, texts = np.arange(len(pairs.features)), np.arange(len(pairs.owner))
    return {name: ranks(pairs, matrix, every, texts) for name, matrix in placed.items() if matrix.any()}


def chance(pairs: Pairs) -> tuple[Metrics, Floats]:
    """What NOTHING gives, a random order of the items: the metrics, and (t,) the reciprocal ranks to expect.

    Among c items the mean of 1 / rank is (1 + 1/2 + ... + 1/c) / c.
    """
    among = candidates(pairs)
    harmonic = np.cumsum(1 / np.arange(1, among.max() + 1))
    reciprocal = harmonic[among - 1] / among
    first, tenth = (float(np.mean(np.minimum(most / among, 1))) for most in (1, 10))
    return Metrics(float(reciprocal.mean()), first, tenth, len(among)), reciprocal


def neighbours(pairs: Pairs, fitted: CrossFit) -> Matrix:
    """(n, dims) the mean text of the NEAREST pictures in other folds, each with its cosine as its weight."""
    wanted = targets(pairs)
    placed = np.zeros_like(wanted)
    for fold in np.unique(fitted.folds).tolist():
        own, others = (np.flatnonzero(part) for part in (fitted.folds == fold, fitted.folds != fold))
        cosines = pairs.features[own] @ pairs.features[others].T
        nearest = np.argpartition(cosines, -NEAREST, axis=1)[:, -NEAREST:]
        weights = np.maximum(np.take_along_axis(cosines, nearest, axis=1), 0)
        placed[own] = np.einsum("nk,nkd->nd", weights, wanted[others][nearest])
    return placed


def by_field(pairs: Pairs, found: Floats) -> dict[str, Metrics]:
    """Over all texts, and over those of each field."""
    parts = {name: found[pairs.field == number] for number, name in enumerate(pairs.fields)}
    return {"all": metrics(found)} | {name: metrics(part) for name, part in parts.items() if len(part)}


def against(pairs: Pairs, reciprocal: Mapping[str, Floats], one: str, others: Sequence[str]) -> list[Difference]:
    """The reciprocal ranks of one method against others', tested over groups: texts within one depend on each other."""
    _, group = np.unique(pairs.groups[pairs.owner], return_inverse=True)
    sizes = np.bincount(group)
    means = {name: np.bincount(group, weights=reciprocal[name]) / sizes for name in (one, *others)}
    return differences(means[one], {name: means[name] for name in others})


def wins(found: Sequence[Difference]) -> bool:
    """Whether it is better than all of the others, surely not by chance."""
    return all(difference.mean > 0 and difference.p < CERTAIN for difference in found)

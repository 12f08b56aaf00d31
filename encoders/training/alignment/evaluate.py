"""How well texts find the items that they belong to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from encoders.parts.alignment import directions
from encoders.training.alignment.pairs import Numbers, Pairs
from es_mappings.types import Matrix

Ranks = NDArray[np.float64]

BLOCK = 512
"""Texts at a time: with 20,000 items their cosines take 40 MB."""


@dataclass(frozen=True, slots=True)
class Metrics:
    """Means over texts, between 0 and 1: of 1 / rank, and of whether the rank is at most 1, 10."""

    mrr: float
    recall_at_1: float
    recall_at_10: float
    texts: int


def metrics(ranks: Ranks) -> Metrics:
    return Metrics(
        mrr=float(np.mean(1 / ranks)),
        recall_at_1=float(np.mean(ranks <= 1)),
        recall_at_10=float(np.mean(ranks <= 10)),
        texts=len(ranks),
    )


def ranks(pairs: Pairs, placed: Matrix, rows: Numbers, texts: Numbers) -> Ranks:
    """The rank of each text's own item among the items `rows`, from 1; of those that tie the mean.

    placed: (n, dims) where the items are put, of any length. As in an index, they are compared without what those of
    `rows` have in common. texts: numbers of texts whose owners are among `rows`. Other items of the owner's group count
    neither as right nor as wrong.
    """
    items = directions(placed[rows])
    items = directions(items - items.mean(axis=0))
    groups = pairs.groups[rows]
    position = np.full(len(pairs.features), -1)
    position[rows] = np.arange(len(rows))
    found = np.empty(len(texts))
    for start in range(0, len(texts), BLOCK):
        block = texts[start : start + BLOCK]
        own = position[pairs.owner[block]]
        cosines = pairs.texts[block] @ items.T
        right = cosines[np.arange(len(block)), own][:, None]
        others = groups[own][:, None] != groups[None, :]
        ties = ((cosines == right) & others).sum(axis=1)
        found[start : start + BLOCK] = 1 + ((cosines > right) & others).sum(axis=1) + ties / 2
    return found


def candidates(pairs: Pairs) -> Numbers:
    """(t,) among how many items each text is ranked: its own, and those of other groups."""
    _, place, sizes = np.unique(pairs.groups, return_inverse=True, return_counts=True)
    return 1 + len(pairs.groups) - sizes[place][pairs.owner]

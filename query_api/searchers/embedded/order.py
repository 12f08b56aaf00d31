"""Orders: by the score or by fields, ties by id, selected without sorting what is not on the page."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from es_mappings.types import SCORE, Plan, Sort
from query_api.searchers.embedded.columns import Positions
from query_api.searchers.embedded.snapshots import Snapshot

BLOCK = 64
"""The smallest of so many values stand for all of them in a first look; selecting from all takes four times as long."""

Keys = Sequence[NDArray[np.float64]]
"""Of (n,) numbers each: an item stands before another one if its first number that differs is smaller.

The last key tells any two items apart.
"""


def sort_keys(snapshot: Snapshot, plan: Plan, scores: NDArray[np.float64]) -> Keys:
    memory = snapshot.memory
    keys = []
    for sort in plan.sort or (Sort(SCORE, descending=True),):
        if sort.field == SCORE:
            keys.append(-scores if sort.descending else scores)
        else:
            keys.append(snapshot.column(sort.field).sort_key(len(memory), descending=sort.descending))
    return (*keys, memory.ranks)


def first(keys: Keys, candidates: Positions, count: int) -> Positions:
    """The first `count` of the candidates, in order."""
    kept = _selected(keys, candidates, count)
    return kept[np.lexsort([key[kept] for key in reversed(keys)])]


def _selected(keys: Keys, candidates: Positions, count: int) -> Positions:
    """The first `count` of the candidates, in any order."""
    if count >= len(candidates):
        return candidates
    if count <= 0:
        return candidates[:0]
    values = keys[0][candidates]
    bound = _smallest(values, count)
    before, level = candidates[values < bound], candidates[values == bound]
    return np.concatenate([before, _selected(keys[1:], level, count - len(before))])


def _smallest(values: NDArray[np.float64], count: int) -> float:
    """The value that stands at place `count`, from 1."""
    blocks = values[: len(values) // BLOCK * BLOCK].reshape(-1, BLOCK).min(axis=1)
    if count <= len(blocks):
        # So many blocks have a value up to this one: what is larger need not be looked at.
        values = values[values <= np.partition(blocks, count - 1)[count - 1]]
    return float(np.partition(values, count - 1)[count - 1])


def beyond(keys: Keys, candidates: Positions, place: Sequence[float]) -> Positions:
    """The candidates behind the item whose keys are these."""
    if not keys:
        return candidates[:0]
    values = keys[0][candidates]
    behind, level = candidates[values > place[0]], candidates[values == place[0]]
    return np.concatenate([behind, beyond(keys[1:], level, place[1:])])

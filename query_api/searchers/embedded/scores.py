"""Scores of all items at once; `es_mappings.types.Fusion` has the formulas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from es_mappings.types import Plan, QueryVector
from query_api.searchers.embedded.columns import Mask
from query_api.searchers.embedded.memory import Memory

Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """values: (n,), meaningless where `scored` (n,) is false. cosines: by space (n,), NaN where an item lacks it."""

    values: Numbers
    scored: Mask
    cosines: Mapping[str, NDArray[np.float32]]


def score(memory: Memory, plan: Plan, left: Mask, bm25: Numbers | None) -> Scores:
    """The scores of those items of the mask that can be hits. bm25: (n,), NaN where no word matches; None: no words."""
    best = np.full(len(memory), np.nan)
    if plan.fusion.method == "lexical":
        values = best if bm25 is None else bm25
        return Scores(values, left & ~np.isnan(values), {})
    cosines = memory.cosines({v.space.name: v.vector for v in plan.vectors}, left)
    scored = np.zeros(len(memory), dtype=bool)
    for modality in dict.fromkeys(v.space.modality for v in plan.vectors):
        asked = [v for v in plan.vectors if v.space.modality == modality]
        values = _modality(asked, cosines)
        present = ~np.isnan(values)
        scored |= present
        if plan.fusion.missing == "penalize":
            values[~present] = max(v.weight * v.background for v in asked if v.background is not None)
        np.fmax(best, values, out=best)
    if plan.fusion.method == "hybrid":
        best[np.isnan(best)] = 0.0
        if bm25 is not None:
            matched = np.flatnonzero(~np.isnan(bm25))
            words = bm25[matched]
            best[matched] += plan.fusion.lexical_weight * words / (words + plan.fusion.saturation)
            scored[matched] = True
    return Scores(best, scored & left, cosines)


def _modality(asked: Sequence[QueryVector], cosines: Mapping[str, NDArray[np.float32]]) -> Numbers:
    """(n,) what the modality counts for: its best space; NaN where the item has none of them."""
    first, *others = (_weighted(vector, cosines[vector.space.name]) for vector in asked)
    for values in others:
        np.fmax(first, values, out=first)
    return first


def _weighted(vector: QueryVector, cosines: NDArray[np.float32]) -> Numbers:
    values = cosines.astype(np.float64)
    if vector.calibration is not None:
        values *= -vector.calibration.slope
        values -= vector.calibration.offset
        np.clip(values, -500.0, 500.0, out=values)
        np.exp(values, out=values)
        values += 1.0
        np.reciprocal(values, out=values)
    values *= vector.weight
    return values

"""Folds of items that keep each group in one piece."""

from __future__ import annotations

import numpy as np

from encoders.training.alignment.pairs import Numbers


def folds_by_group(groups: Numbers, many: int, seed: int) -> Numbers:
    """(n,) a fold for every item, from 0 to many - 1, about equally many each.

    The largest group comes first, equals in random order, each into the fold that holds the fewest items so far.
    """
    _, place, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    order = np.argsort(-(sizes + np.random.default_rng(seed).random(len(sizes))))
    load, fold = np.zeros(many, dtype=np.int64), np.empty(len(sizes), dtype=np.int64)
    for group in order.tolist():
        fold[group] = load.argmin()
        load[fold[group]] += sizes[group]
    return fold[place]

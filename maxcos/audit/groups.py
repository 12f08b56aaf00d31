"""Items that are the same, or nearly: groups by digest, and clusters by cosine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from es_mappings.types import Matrix

BLOCK = 512
"""Rows of a matrix product at a time: with 20,000 columns its float32 numbers take 40 MB."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """Positions, ascending, that a chain of pairs joins; the highest and the lowest cosine of those pairs."""

    members: tuple[int, ...]
    highest: float
    lowest: float


def same(digests: NDArray[np.uint64]) -> list[tuple[int, ...]]:
    """The positions of equal digests, in groups of two and more, largest group first. 0 stands for nothing at all."""
    order = np.argsort(digests, kind="stable")
    ends = np.flatnonzero(np.diff(digests[order])) + 1
    groups = [tuple(part.tolist()) for part in np.split(order, ends) if len(part) > 1 and digests[part[0]]]
    return sorted(groups, key=lambda group: (-len(group), group))


def near(matrix: Matrix, least: float) -> list[Cluster]:
    """Clusters of different vectors with a cosine of at least `least`: the largest first, then the nearest.

    Equal vectors come along with each other, but alone they are no cluster: `same` finds them.
    Memory is BLOCK rows of cosines, time grows with the square of the number of different vectors.
    """
    distinct, belongs = np.unique(matrix, axis=0, return_inverse=True)
    labels = np.arange(len(distinct))
    highest, lowest = np.full(len(distinct), -np.inf), np.full(len(distinct), np.inf)
    for start, cosines in blocks(distinct):
        # Each pair once: the columns behind the row.
        for offset in np.flatnonzero((cosines >= least).sum(axis=1) > 1).tolist():
            row = start + offset
            others = row + 1 + np.flatnonzero(cosines[offset, row + 1 :] >= least)
            if len(others):
                found = cosines[offset, others]
                joined = np.unique(labels[np.append(others, row)])
                to = joined[0]
                highest[to] = max(highest[joined].max(), found.max())
                lowest[to] = min(lowest[joined].min(), found.min())
                if len(joined) > 1:
                    labels[np.isin(labels, joined)] = to
    members = labels[belongs.reshape(-1)]
    clusters = [
        Cluster(tuple(np.flatnonzero(members == label).tolist()), float(highest[label]), float(lowest[label]))
        for label in np.flatnonzero(np.bincount(labels, minlength=1) > 1).tolist()
    ]
    return sorted(clusters, key=lambda cluster: (-len(cluster.members), -cluster.highest, cluster.members))


def blocks(matrix: Matrix, others: Matrix | None = None) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Where a block of rows starts, and (rows, n) its cosines with all rows of `others`, by default of the matrix."""
    against = matrix if others is None else others
    for start in range(0, len(matrix), BLOCK):
        yield start, matrix[start : start + BLOCK] @ against.T


def concerned(groups: Sequence[Sequence[int]]) -> int:
    """How many items are in the groups."""
    return sum(map(len, groups))

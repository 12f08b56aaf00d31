"""Pairs of what an encoder sees and the texts that belong to it, as arrays and as a data set to train from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from encoders.parts.alignment import directions
from es_mappings.types import Matrix, Vector

Numbers = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """n items with t texts, as the frozen encoders make them.

    features: (n, width) of unit length. base: (n, dims), what is to be corrected; zero where there is none.
    texts: (t, dims) of unit length. owner: (t,) whose text it is. field: (t,) which of `fields` it comes from.
    groups: (n,) numbers; items of one group are the same or nearly: they are no wrong answers to each other's texts,
    and no head is judged by an item of whose group it has seen another.
    """

    features: Matrix
    base: Matrix
    texts: Matrix
    owner: Numbers
    field: Numbers
    fields: tuple[str, ...]
    groups: Numbers


@dataclass(frozen=True, slots=True, eq=False)
class Means:
    """What is taken off features (width,), base vectors (dims,) and texts (dims,)."""

    features: Vector
    base: Vector
    texts: Vector


def centred(pairs: Pairs) -> tuple[Pairs, Means]:
    """The pairs as `encoders.parts.alignment` gives them to heads, and the means that made them so.

    The means are of all items: they say nothing about which text belongs to which item.
    """
    means = Means(*(_mean(part) for part in (pairs.features, pairs.base, pairs.texts)))
    return (
        Pairs(
            features=directions(pairs.features - means.features),
            base=directions(pairs.base - means.base),
            texts=directions(pairs.texts - means.texts),
            owner=pairs.owner,
            field=pairs.field,
            fields=pairs.fields,
            groups=pairs.groups,
        ),
        means,
    )


def _mean(matrix: Matrix) -> Vector:
    mean: Vector = matrix.mean(axis=0, dtype=np.float64).astype(np.float32)
    return mean


def targets(pairs: Pairs) -> Matrix:
    """(n, dims) the mean of each item's texts, at unit length."""
    total = np.zeros((len(pairs.features), pairs.texts.shape[1]), dtype=np.float32)
    np.add.at(total, pairs.owner, pairs.texts)
    return directions(total)


class Batch(NamedTuple):
    """b items, each with one of its texts: (b, width), (b, dims), (b, dims), (b,), and (b,) the texts' numbers."""

    features: Tensor
    base: Tensor
    texts: Tensor
    groups: Tensor
    drawn: Tensor


class PairsDataset(Dataset[Batch]):
    """Batches of some of the items; which of an item's texts comes with it is drawn anew each time."""

    def __init__(self, pairs: Pairs, rows: Numbers, generator: torch.Generator) -> None:
        """rows: (r,) the items; every item has at least one text. generator: decides on the texts."""
        self._pairs, self._rows, self._generator = pairs, rows, generator
        self._order = np.argsort(pairs.owner, kind="stable")
        self._first = np.searchsorted(pairs.owner[self._order], np.arange(len(pairs.features) + 1))

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, places: list[int]) -> Batch:
        """The items at these places among `rows`."""
        rows = self._rows[places]
        first, beyond = self._first[rows], self._first[rows + 1]
        drawn = torch.rand(len(rows), generator=self._generator, dtype=torch.float64).numpy()
        texts = self._order[first + (drawn * (beyond - first)).astype(np.int64)]
        pairs = self._pairs
        arrays = (pairs.features[rows], pairs.base[rows], pairs.texts[texts], pairs.groups[rows], texts)
        return Batch(*map(torch.from_numpy, arrays))

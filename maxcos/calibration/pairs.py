"""Queries, the items they are compared with, and the cosines of all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from es_mappings.types import Matrix, StoredItem, Term, Vector
from maxcos.calibration.logistic import Bools, Floats

PRIOR = 0.005
"""The share of relevant pairs that the maps are fitted for. It cannot change an order under max: it adds one constant
inside every map. It decides how cosines and words share the score of a hybrid; see docs/calibration.md.
"""

MOST_PAIRS = 1_000_000
"""Beyond it fewer items are compared with each query."""


@dataclass(frozen=True, slots=True)
class Question:
    """A query and what is known about its answers, as positions in a list of items.

    kind: queries of one kind are weighted together. relevant: the known answers. irrelevant: those known not to be.
    ignored: what it is not compared with, such as the items it is made of. label: for error messages.
    """

    kind: str
    terms: tuple[Term, ...]
    relevant: frozenset[int]
    irrelevant: frozenset[int] = frozenset()
    ignored: frozenset[int] = frozenset()
    label: str = ""


Encode = Callable[[Question], Mapping[str, Vector]]
"""A query's centred unit vectors by space; empty for one that reaches none."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """n pairs of a query and an item.

    cosines: by space (n,), NaN where the query or the item has no vector in it. relevant: (n,). question: (n,) numbers.
    weights: (n,) that make PRIOR the share of relevant pairs among the queries of each kind. The answers of a query
    share a weight of one: a half of a title that a hundred titles have would else drown the titles themselves, and
    teach that whatever is near in a graph is an answer.
    """

    cosines: Mapping[str, Floats]
    relevant: Bools
    question: NDArray[np.int64]
    weights: Floats

    def only(self, rows: Bools) -> Pairs:
        columns = {space: column[rows] for space, column in self.cosines.items()}
        return Pairs(columns, self.relevant[rows], self.question[rows], self.weights[rows])


def matrices(items: Sequence[StoredItem], dims: Mapping[str, int]) -> dict[str, Matrix]:
    """By space the (items, dims) vectors; rows of NaN for items without one."""
    found = {space: np.full((len(items), width), np.nan, dtype=np.float32) for space, width in dims.items()}
    for position, item in enumerate(items):
        for space, vector in item.vectors.items():
            found[space][position] = vector
    return found


def compare(
    questions: Iterable[Question],
    items: Mapping[str, Matrix],
    sampled: int,
    represents: float,
    encode: Encode,
    random: np.random.Generator,
) -> Pairs:
    """Compare every question with its known answers and with the sampled items, which count as irrelevant otherwise.

    items: see `matrices`; the first `sampled` are a random sample. represents: how many items of the index one of them
    stands for; an item that is known to be no answer stands for itself.
    """
    asked = [(question, directions) for question in questions if (directions := encode(question))]
    many = max(min(sampled, MOST_PAIRS // max(len(asked), 1)), 1)
    columns: dict[str, list[Floats]] = {space: [] for space in items}
    relevant, weights = [], []
    for question, directions in asked:
        known = question.relevant | question.irrelevant
        drawn = range(sampled) if many >= sampled else random.choice(sampled, many, replace=False).tolist()
        chosen = np.array(sorted({*drawn, *known} - question.ignored), dtype=np.int64)
        right = np.isin(chosen, list(question.relevant))
        wrong = np.where(np.isin(chosen, list(known)), 1.0, represents * sampled / many)
        relevant.append(right)
        weights.append(np.where(right, 1 / max(int(right.sum()), 1), wrong))
        for space, matrix in items.items():
            cosines = matrix[chosen] @ directions[space] if space in directions else np.full(len(chosen), np.nan)
            columns[space].append(cosines.astype(np.float64))
    lengths = [len(part) for part in relevant]
    kinds = np.repeat(np.array([question.kind for question, _ in asked], dtype=np.str_), lengths)
    answers = np.concatenate([np.zeros(0, dtype=bool), *relevant])
    return Pairs(
        cosines={space: np.concatenate([np.zeros(0), *parts]) for space, parts in columns.items()},
        relevant=answers,
        question=np.repeat(np.arange(len(asked)), lengths),
        weights=_weighted(np.concatenate([np.zeros(0), *weights]), answers, kinds),
    )


def _weighted(weights: Floats, relevant: Bools, kinds: NDArray[np.str_]) -> Floats:
    """Scale the irrelevant pairs of each kind so that PRIOR of the weight is relevant."""
    scaled = weights.copy()
    for kind in np.unique(kinds):
        right, wrong = (kinds == kind) & relevant, (kinds == kind) & ~relevant
        if right.any() and wrong.any():
            scaled[wrong] *= weights[right].sum() / weights[wrong].sum() * (1 - PRIOR) / PRIOR
    return scaled

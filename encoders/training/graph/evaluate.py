"""Link prediction: the rank of the right entity among all entities, filtered, for both ends of every triple.

The protocol of Bordes et al. 2013 ("Translating Embeddings for Modeling Multi-relational Data", section 4.2): for
(h, r, t) all entities are ranked as t of (h, r, ?) and as h of (?, r, t); other entities that make a known triple are
left out. An entity tied with others has the mean of the ranks that they share (Berrendorf et al. 2020, "On the
Ambiguity of Rank-Based Evaluation of Entity Alignment or Link Prediction Methods", arXiv:2002.06914): a model that
scores everything alike has the mean reciprocal rank of chance, not 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from encoders.training.triples import Triples
from es_mappings.errors import EncoderError

Ranks = NDArray[np.float64]

Score = Callable[[NDArray[np.int64], NDArray[np.int64]], NDArray[np.float32]]
"""Entities (b,) and slots (b,) -> the scores (b, n) of all entities at the other end, higher being better.

Of R relations, slot r asks for the tails of relation r, slot R + r for its heads.
"""

SCORES_AT_ONCE = 8_000_000
"""Scores in memory at a time, 32 MB."""


@dataclass(frozen=True, slots=True)
class LinkMetrics:
    """Filtered metrics over `ranked` questions, two per triple; all of them lie in 0 to 1, and more is better."""

    mrr: float
    hits_at_1: float
    hits_at_3: float
    hits_at_10: float
    ranked: int


def link_metrics(ranks: Ranks) -> LinkMetrics:
    """The usual means over ranks of shape (q,), q > 0."""
    first, third, tenth = (float(np.mean(ranks <= most)) for most in (1, 3, 10))
    return LinkMetrics(float(np.mean(1 / ranks)), first, third, tenth, len(ranks))


def filtered_ranks(score: Score, triples: Triples, known: Triples, entities: int, relations: int) -> Ranks:
    """The ranks of m triples' tails, then those of their heads, shape (2m,); 1 is best, ties have their mean.

    known: shape (k, 3), all triples that count as true beside the ranked ones.
    Raises EncoderError where a score is not a finite number: such a model has diverged, and would rank first.
    """
    answers = _Answers(np.concatenate([known, triples]), entities, relations)
    asked, slots, right = both_ends(triples, relations)
    ranks = np.empty(len(asked))
    size = max(1, SCORES_AT_ONCE // entities)
    for start in range(0, len(asked), size):
        batch = slice(start, start + size)
        scores = np.array(score(asked[batch], slots[batch]), dtype=np.float32)
        if not np.isfinite(scores).all():
            raise EncoderError("the model's scores are not finite numbers: its training has diverged")
        rows = np.arange(len(scores))
        target = scores[rows, right[batch]][:, None]
        scores[answers.of(asked[batch], slots[batch])] = -np.inf
        ranks[batch] = 1 + (scores > target).sum(axis=1) + (scores == target).sum(axis=1) / 2
    return ranks


def both_ends(triples: Triples, relations: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """The 2m questions of m triples: the known entity, the slot, and the right answer, each of shape (2m,)."""
    heads, kinds, tails = triples.T
    return np.concatenate([heads, tails]), np.concatenate([kinds, kinds + relations]), np.concatenate([tails, heads])


class _Answers:
    """The known answers to every question, sorted by question."""

    def __init__(self, known: Triples, entities: int, relations: int) -> None:
        asked, slots, right = both_ends(known, relations)
        self._entities = entities
        questions = slots * entities + asked
        order = np.argsort(questions, kind="stable")
        self._questions, self._right = questions[order], right[order]

    def of(self, asked: NDArray[np.int64], slots: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Places (row, entity) of all known answers in a table of scores of shape (b, n)."""
        questions = slots * self._entities + asked
        first = np.searchsorted(self._questions, questions, side="left")
        counts = np.searchsorted(self._questions, questions, side="right") - first
        rows = np.repeat(np.arange(len(questions)), counts)
        within = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
        return rows, self._right[np.repeat(first, counts) + within]

"""Filtered ranks against a reference that loops over every triple and every entity."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from encoders.training.graph import evaluate
from encoders.training.graph.evaluate import LinkMetrics, Score, filtered_ranks, link_metrics
from encoders.training.triples import Triples
from es_mappings.errors import EncoderError

ENTITIES, RELATIONS = 5, 2


def table(scores: NDArray[np.float32]) -> Score:
    """A scorer that looks its scores up: shape (2 relations, entities, entities)."""
    return lambda asked, slots: scores[slots, asked]


def by_loops(scores: NDArray[np.float32], triples: Triples, known: Triples) -> list[float]:
    true = {tuple(triple) for triple in np.concatenate([known, triples]).tolist()}
    ranks = []
    for end in ("tail", "head"):
        for head, relation, tail in triples.tolist():
            rivals = []
            for entity in range(ENTITIES):
                made = (head, relation, entity) if end == "tail" else (entity, relation, tail)
                if made not in true:
                    row = scores[relation, head] if end == "tail" else scores[RELATIONS + relation, tail]
                    rivals.append(float(row[entity]))
            row, right = (scores[relation, head], tail) if end == "tail" else (scores[RELATIONS + relation, tail], head)
            better = sum(rival > row[right] for rival in rivals)
            places = [better + 1 + i for i in range(1 + sum(rival == row[right] for rival in rivals))]
            ranks.append(sum(places) / len(places))
    return ranks


TRIPLE = st.tuples(st.integers(0, ENTITIES - 1), st.integers(0, RELATIONS - 1), st.integers(0, ENTITIES - 1))


def array(triples: list[tuple[int, int, int]]) -> Triples:
    return np.array(triples, dtype=np.int64).reshape(-1, 3)


@given(
    scores=st.lists(st.integers(-2, 2), min_size=100, max_size=100),
    triples=st.lists(TRIPLE, min_size=1, max_size=8),
    known=st.lists(TRIPLE, max_size=20),
    at_once=st.sampled_from([1, 11, 1000]),
)
def test_ranks_are_those_of_the_loops(
    scores: list[int], triples: list[tuple[int, int, int]], known: list[tuple[int, int, int]], at_once: int
) -> None:
    values = np.array(scores, dtype=np.float32).reshape(2 * RELATIONS, ENTITIES, ENTITIES)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluate, "SCORES_AT_ONCE", at_once)
        ranks = filtered_ranks(table(values), array(triples), array(known), ENTITIES, RELATIONS)
    assert ranks.tolist() == by_loops(values, array(triples), array(known))


def test_ties_have_the_mean_rank_and_known_answers_do_not_count() -> None:
    alike = np.zeros((2 * RELATIONS, ENTITIES, ENTITIES), dtype=np.float32)
    ranks = filtered_ranks(table(alike), array([(0, 0, 1)]), array([(0, 0, 2), (0, 0, 3)]), ENTITIES, RELATIONS)
    assert ranks.tolist() == [2.0, 3.0], "three candidates are left as the tail, five as the head"


def test_the_scores_stay_as_they_are() -> None:
    scores = np.zeros((1, ENTITIES), dtype=np.float32)
    filtered_ranks(lambda asked, _: np.repeat(scores, len(asked), axis=0), array([(0, 0, 1)]), array([]), ENTITIES, 1)
    assert not scores.any()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_diverged_model_has_no_rank(value: float) -> None:
    scores = np.full((2 * RELATIONS, ENTITIES, ENTITIES), value, dtype=np.float32)
    with pytest.raises(EncoderError, match="diverged"):
        filtered_ranks(table(scores), array([(0, 0, 1)]), array([]), ENTITIES, RELATIONS)


def test_metrics_are_the_usual_means() -> None:
    assert link_metrics(np.array([1, 2, 4, 10.5])) == LinkMetrics(
        mrr=pytest.approx((1 + 1 / 2 + 1 / 4 + 1 / 10.5) / 4), hits_at_1=0.25, hits_at_3=0.5, hits_at_10=0.75, ranked=4
    )

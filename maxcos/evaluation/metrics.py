"""Metrics per query, their means with intervals, and paired differences.

ir-measures computes the metrics (nDCG with the gains of trec_eval). Intervals are the 2.5th and 97.5th percentiles of
2,000 bootstrap means. Differences are tested by a paired t-test, which on the sets of IR evaluation finds what the
randomisation test finds (Smucker, Allan and Carterette 2007, CIKM), and Holm's method (1979) corrects the p-values for
the number of comparisons.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from maxcos.judgments import Judged

METRICS = ("nDCG@10", "RR@10", "R@100")
"""In the words of ir-measures: the mean of RR@10 is MRR@10, R is recall."""
RESAMPLES = 2000

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean over queries and its 95 % interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Difference:
    """The mean of the differences from another system, its 95 % interval, and the corrected p-value."""

    against: str
    mean: float
    low: float
    high: float
    p: float


def per_query(rankings: Mapping[str, Sequence[str]], queries: Sequence[Judged]) -> dict[str, Floats]:
    """By metric one value per query, in their order; 0 for a query without hits, or without relevant items."""
    import ir_measures

    qrels = [ir_measures.Qrel(query.id, item, grade) for query in queries for item, grade in query.grades.items()]
    # A rank as the score: the order is the engine's, which has broken the ties already.
    run = [
        ir_measures.ScoredDoc(query, item, float(-rank))
        for query, items in rankings.items()
        for rank, item in enumerate(items)
    ]
    values = {name: np.zeros(len(queries)) for name in METRICS}
    place = {query.id: position for position, query in enumerate(queries)}
    measures = [ir_measures.parse_measure(name) for name in METRICS]
    for found in ir_measures.iter_calc(measures, qrels, run) if run else ():
        values[str(found.measure)][place[found.query_id]] = found.value
    return values


def mean(values: Floats, seed: int = 0) -> Mean:
    """values: (queries,)."""
    return Mean(float(values.mean()), *_interval(values, seed))


def differences(values: Floats, others: Mapping[str, Floats], seed: int = 0) -> list[Difference]:
    """One system against each of the others; all (queries,), in the same order."""
    from scipy import stats

    pairs = {name: values - other for name, other in others.items()}
    raw = [float(stats.ttest_1samp(pair, 0).pvalue) if np.ptp(pair) > 0 else 1.0 for pair in pairs.values()]
    corrected = _holm(raw)
    return [
        Difference(name, float(pair.mean()), *_interval(pair, seed), p)
        for (name, pair), p in zip(pairs.items(), corrected, strict=True)
    ]


def _interval(values: Floats, seed: int) -> tuple[float, float]:
    if len(values) < 2 or np.ptp(values) == 0:
        return float(values.mean()), float(values.mean())
    drawn = np.random.default_rng(seed).multinomial(len(values), np.full(len(values), 1 / len(values)), RESAMPLES)
    low, high = np.percentile(drawn @ values / len(values), (2.5, 97.5))
    return float(low), float(high)


def _holm(p: Sequence[float]) -> list[float]:
    """The smallest times the number of comparisons, the next times one less, and so on; none below the one before."""
    corrected = [1.0] * len(p)
    least = 0.0
    for done, position in enumerate(np.argsort(p)):
        least = max(least, min(1.0, p[position] * (len(p) - done)))
        corrected[position] = least
    return corrected

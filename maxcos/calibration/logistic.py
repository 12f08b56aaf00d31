"""Logistic maps from cosine to the probability of relevance, one per space, fitted by Newton's method.

The maps are fitted for what the search does with them: an item's score is the largest of its maps. So a map has to be
right about the items that it wins, not about all of them: a picture that shows what the words say too is no evidence
for the picture. Fitted one by one, confident wrong pictures would flood the list. But items that lack the other
modalities are judged by one map alone, so each also has to be right by itself, with the weight ALONE:

    minimise  sum over pairs of  weight * ((1 - ALONE) * loss(y, max of the p_m) + ALONE * mean of the loss(y, p_m))

over the spaces m that the pair has, loss being the logarithmic one. Given the winners, that is one weighted logistic
regression per space; the winners are found again after every step (as in hard EM), and a step that does not lower the
whole is halved.

Slopes are never negative, and the targets are Platt's (1999, "Probabilistic Outputs for Support Vector Machines"):
1 - 1/(n_positive + 2) and 1/(n_negative + 2), so that separable data keep finite maps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

ALONE = 0.3
"""Measured on the demo catalogue by benchmarks/calibration.py."""
RIDGE = 0.01
"""Prior precision of a slope: its standard deviation is 10, and some tens are nothing unusual."""
ROUNDS = 100
SHORTEST_STEP = 1e-6
TOLERANCE = 1e-9


@dataclass(frozen=True, slots=True)
class Map:
    """p = 1 / (1 + exp(-(slope * cosine + offset)))"""

    slope: float
    offset: float

    def logits(self, cosines: Floats) -> Floats:
        return self.slope * cosines + self.offset

    def probabilities(self, cosines: Floats) -> Floats:
        return _sigmoid(self.logits(cosines))


def fit(cosines: Mapping[str, Floats], relevant: Bools, weights: Floats, alone: float = ALONE) -> dict[str, Map]:
    """The maps of spaces that compete.

    cosines: by space (n,), NaN where a pair has none in it. relevant: (n,), in every space both kinds. weights: (n,).
    alone: 1 fits every map by itself.
    """
    columns = {space: _Column(column, ~np.isnan(column)) for space, column in cosines.items()}
    task = _Task(columns, platt_targets(relevant), weights)
    maps = {space: _start(task, column.seen) for space, column in columns.items()}
    # By itself first: winners that come from nowhere would leave some space without a single win.
    for share in (1.0, alone) if len(columns) > 1 and alone < 1 else (1.0,):
        maps = _descend(task, maps, share)
    return maps


@dataclass(frozen=True, slots=True)
class _Column:
    """One space's (n,) cosines, and (n,) which of them exist."""

    cosines: Floats
    seen: Bools


@dataclass(frozen=True, slots=True)
class _Task:
    """What stays the same while the maps change; targets and weights are (n,)."""

    columns: Mapping[str, _Column]
    targets: Floats
    weights: Floats


def platt_targets(relevant: Bools) -> Floats:
    positives = int(relevant.sum())
    return np.where(relevant, 1 - 1 / (positives + 2), 1 / (len(relevant) - positives + 2))


def _start(task: _Task, seen: Bools) -> Map:
    mean = float(np.average(task.targets[seen], weights=task.weights[seen]))
    return Map(0.0, float(np.log(mean / (1 - mean))))


def _descend(task: _Task, maps: dict[str, Map], alone: float) -> dict[str, Map]:
    loss, counts = _objective(task, maps, alone)
    for _ in range(ROUNDS):
        aims = {
            space: _newton(maps[space], column.cosines[k := column.seen], task.targets[k], counts[space][k])
            for space, column in task.columns.items()
        }
        length = 1.0
        while length > SHORTEST_STEP:
            tried = {space: _between(maps[space], aims[space], length) for space in maps}
            found, recounted = _objective(task, tried, alone)
            if found < loss:
                break
            length /= 2
        else:
            break
        gain, maps, loss, counts = loss - found, tried, found, recounted
        if gain < TOLERANCE:
            break
    return maps


def _objective(task: _Task, maps: Mapping[str, Map], alone: float) -> tuple[float, dict[str, Floats]]:
    """What is minimised, over the sum of the weights; and by space (n,) how much each pair counts for its map."""
    present = np.stack([task.columns[space].seen for space in maps])
    logits = np.stack(
        [np.where(task.columns[s].seen, m.logits(task.columns[s].cosines), -np.inf) for s, m in maps.items()]
    )
    won = present & (np.arange(len(maps))[:, None] == logits.argmax(axis=0))
    counts = task.weights * ((1 - alone) * won + alone * present / np.maximum(present.sum(axis=0), 1))
    losses = _loss(np.where(present, logits, 0.0), task.targets)
    penalty = RIDGE * sum(m.slope**2 for m in maps.values()) / 2
    total = (float((counts * losses).sum()) + penalty) / float(task.weights.sum())
    return total, dict(zip(maps, counts, strict=True))


def _newton(current: Map, cosines: Floats, targets: Floats, weights: Floats) -> Map:
    """Where one Newton step leads; if below a slope of zero, then with the slope at zero and the offset alone."""
    p = current.probabilities(cosines)
    error, curve = weights * (targets - p), weights * p * (1 - p)
    gradient = np.array([error @ cosines - RIDGE * current.slope, error.sum()])
    cross = curve @ cosines
    hessian = np.array([[curve @ cosines**2 + RIDGE, cross], [cross, curve.sum()]]) + 1e-9 * np.eye(2)
    slope, offset = np.array([current.slope, current.offset]) + np.linalg.solve(hessian, gradient)
    if slope >= 0:
        return Map(float(slope), float(offset))
    flat = _sigmoid(np.full_like(cosines, current.offset))
    step = (weights @ (targets - flat)) / (weights @ (flat * (1 - flat)) + 1e-9)
    return Map(0.0, float(current.offset + step))


def _between(start: Map, end: Map, length: float) -> Map:
    return Map(start.slope + length * (end.slope - start.slope), start.offset + length * (end.offset - start.offset))


def _sigmoid(logits: Floats) -> Floats:
    return 1 / (1 + np.exp(-np.clip(logits, -500, 500)))


def _loss(logits: Floats, targets: Floats) -> Floats:
    """-t log p - (1 - t) log(1 - p), by the logit of p."""
    return np.logaddexp(0, logits) - targets * logits


# --- how good it is


def log_loss(probabilities: Floats, relevant: Bools, weights: Floats) -> float:
    """Mean, in nats; all (n,)."""
    p = np.clip(probabilities, 1e-12, 1 - 1e-12)
    return float(np.average(-np.log(np.where(relevant, p, 1 - p)), weights=weights))


def brier(probabilities: Floats, relevant: Bools, weights: Floats) -> float:
    """Mean squared distance from the truth; all (n,)."""
    return float(np.average((probabilities - relevant) ** 2, weights=weights))


def auc(scores: Floats, relevant: Bools) -> float:
    """How probable it is that a relevant pair scores above an irrelevant one; ties count half."""
    _, place, count = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(count) - (count - 1) / 2)[place]
    positives = int(relevant.sum())
    above = float(ranks[relevant].sum()) - positives * (positives + 1) / 2
    return above / (positives * (len(scores) - positives))

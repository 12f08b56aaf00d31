"""From pairs to maps, with what can be said about them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from maxcos.calibration.logistic import Floats, Map, auc, brier, fit, log_loss
from maxcos.calibration.pairs import PRIOR, Pairs

FOLDS = 5
LEAST_RELEVANT = 10
"""A space with fewer relevant pairs gets no map."""


@dataclass(frozen=True, slots=True)
class SpaceReport:
    """pairs, relevant: how many the map was fitted on. background: see `es_mappings.types.Calibration`.

    auc: how probable it is that the cosine of a relevant pair is above that of another; 0.5 says nothing at all.
    """

    pairs: int
    relevant: int
    slope: float
    offset: float
    background: float
    auc: float


@dataclass(frozen=True, slots=True)
class Loss:
    """How far probabilities are from the truth where the share PRIOR is relevant; less is better."""

    log_loss: float
    brier: float


@dataclass(frozen=True, slots=True)
class Fitted:
    """maps, and why a space has none. losses: of the largest value over a query's spaces, by "fitted" (the maps),
    "raw" (the cosines, taken for probabilities) and "base rate" (PRIOR everywhere).
    validated: whether the loss of `fitted` is on queries that the maps had not seen.
    """

    spaces: Mapping[str, SpaceReport]
    left_out: Mapping[str, str]
    losses: Mapping[str, Loss]
    validated: bool


def fit_and_report(pairs: Pairs, *, validate: bool) -> Fitted:
    """Fit the maps of all spaces that have pairs enough. validate: measure the loss with folds of queries."""
    left_out = {space: reason for space in pairs.cosines if (reason := _refusal(pairs, space, LEAST_RELEVANT))}
    pairs = _restricted(pairs, [space for space in pairs.cosines if space not in left_out])
    if not pairs.cosines:
        return Fitted({}, left_out, {}, False)
    maps = fit(pairs.cosines, pairs.relevant, pairs.weights)
    validated = validate and len(np.unique(pairs.question)) >= FOLDS
    predicted = {
        "fitted": _validated(pairs) if validated else _largest(pairs, maps),
        "raw": np.clip(np.nanmax(list(pairs.cosines.values()), axis=0), 0, 1),
        "base rate": np.full(len(pairs.relevant), PRIOR),
    }
    losses = {
        name: Loss(log_loss(p, pairs.relevant, pairs.weights), brier(p, pairs.relevant, pairs.weights))
        for name, p in predicted.items()
    }
    spaces = {space: _describe(pairs.only(~np.isnan(pairs.cosines[space])), space, maps[space]) for space in maps}
    return Fitted(spaces, left_out, losses, validated)


def _refusal(pairs: Pairs, space: str, least: int) -> str | None:
    seen = ~np.isnan(pairs.cosines[space])
    relevant = int((pairs.relevant & seen).sum())
    if not seen.any():
        return "no query reaches it"
    if relevant < least:
        return f"only {relevant} of its {int(seen.sum())} pairs are relevant, {least} are needed"
    if relevant == seen.sum():
        return "all of its pairs are relevant"
    return None


def _restricted(pairs: Pairs, spaces: list[str]) -> Pairs:
    """The pairs that have a cosine in one of the spaces, with those columns."""
    columns = {space: pairs.cosines[space] for space in spaces}
    rows = np.zeros(len(pairs.relevant), dtype=bool)
    for column in columns.values():
        rows |= ~np.isnan(column)
    return Pairs(columns, pairs.relevant, pairs.question, pairs.weights).only(rows)


def _validated(pairs: Pairs) -> Floats:
    """What each pair is given by maps that were fitted on the queries of the other folds; PRIOR by none."""
    predicted = np.full(len(pairs.relevant), PRIOR)
    folds = np.random.default_rng(0).permutation(int(pairs.question.max()) + 1)[pairs.question] % FOLDS
    for fold in range(FOLDS):
        inside = folds == fold
        others = pairs.only(~inside)
        known = _restricted(others, [space for space in others.cosines if _refusal(others, space, 1) is None])
        if known.cosines and inside.any():
            maps = fit(known.cosines, known.relevant, known.weights)
            found = _largest(pairs.only(inside), maps)
            predicted[inside] = np.where(np.isnan(found), PRIOR, found)
    return predicted


def _largest(pairs: Pairs, maps: Mapping[str, Map]) -> Floats:
    """(n,) the largest value of the maps; NaN where a pair has none of their spaces."""
    values = [np.nan_to_num(one.probabilities(pairs.cosines[space]), nan=-1.0) for space, one in maps.items()]
    best: Floats = np.max(values, axis=0)
    return np.where(best < 0, np.nan, best)


def _describe(pairs: Pairs, space: str, fitted: Map) -> SpaceReport:
    cosines = pairs.cosines[space]
    unrelated = ~pairs.relevant
    return SpaceReport(
        pairs=len(cosines),
        relevant=int(pairs.relevant.sum()),
        slope=fitted.slope,
        offset=fitted.offset,
        background=float(np.average(fitted.probabilities(cosines[unrelated]), weights=pairs.weights[unrelated])),
        auc=auc(cosines, pairs.relevant),
    )

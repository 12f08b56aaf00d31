"""Logistic maps: what is in the data comes back, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maxcos.calibration.logistic import Bools, Floats, Map, auc, brier, fit, log_loss


def drawn(seed: int, many: int, slope: float, offset: float) -> tuple[Floats, Bools]:
    """Cosines, and relevance with the probability that the map gives."""
    random = np.random.default_rng(seed)
    cosines = random.uniform(-0.5, 1, many)
    return cosines, random.random(many) < 1 / (1 + np.exp(-(slope * cosines + offset)))


def alone(cosines: Floats, relevant: Bools) -> tuple[float, float]:
    found = fit({"s": cosines}, relevant, np.ones(len(cosines)))["s"]
    return found.slope, found.offset


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.floats(2, 12), st.floats(-5, 0))
def test_known_parameters_are_recovered(seed: int, slope: float, offset: float) -> None:
    cosines, relevant = drawn(seed, 20_000, slope, offset)
    found = alone(cosines, relevant)
    p = 1 / (1 + np.exp(-(slope * cosines + offset)))
    information = (
        np.stack([cosines, np.ones_like(cosines)]) * (p * (1 - p)) @ np.stack([cosines, np.ones_like(cosines)]).T
    )
    error = np.sqrt(np.diag(np.linalg.inv(information)))
    # 4.5 standard errors, and what the ridge and the smoothed targets may take
    assert abs(found[0] - slope) < 4.5 * error[0] + 0.1 * slope
    assert abs(found[1] - offset) < 4.5 * error[1] + 0.1 * slope


@given(st.lists(st.tuples(st.floats(-1, 1), st.booleans()), min_size=2, max_size=60))
@settings(max_examples=200)
def test_a_map_never_falls_and_is_always_finite(pairs: list[tuple[float, bool]]) -> None:
    cosines, relevant = np.array([c for c, _ in pairs]), np.array([r for _, r in pairs])
    slope, offset = alone(cosines, relevant)
    assert slope >= 0
    assert np.isfinite([slope, offset]).all()
    assert abs(offset) < 1000


def test_a_useless_modality_gets_a_flat_map_at_the_base_rate() -> None:
    random = np.random.default_rng(1)
    cosines, relevant = random.uniform(-1, 1, 50_000), random.random(50_000) < 0.05
    slope, offset = alone(cosines, relevant)
    assert slope < 0.2
    assert 1 / (1 + np.exp(-offset)) == pytest.approx(0.05, abs=0.005)


def test_a_modality_that_misleads_is_flat_not_turned_round() -> None:
    cosines, relevant = drawn(2, 5000, 6, -1)
    slope, offset = alone(-cosines, relevant)
    assert slope == 0
    assert 1 / (1 + np.exp(-offset)) == pytest.approx(relevant.mean(), abs=0.01)


def test_separable_data_keep_a_finite_map() -> None:
    slope, offset = alone(np.array([0.1] * 500 + [0.9] * 5), np.array([False] * 500 + [True] * 5))
    assert 0 < slope < 60
    assert slope * 0.1 + offset < 0 < slope * 0.9 + offset


def test_weights_count_like_copies() -> None:
    cosines, relevant = drawn(3, 2000, 8, -3)
    weights = np.random.default_rng(0).integers(1, 4, 2000)
    once = fit({"s": cosines}, relevant, weights.astype(float))["s"]
    slope, offset = alone(np.repeat(cosines, weights), np.repeat(relevant, weights))
    assert once.slope == pytest.approx(slope, rel=0.01)
    assert once.offset == pytest.approx(offset, rel=0.01)


def rivals(seed: int, many: int = 20_000) -> tuple[dict[str, Floats], Bools]:
    """`sharp` tells relevance well; `loud` has high cosines, says little, and nothing that `sharp` does not say."""
    random = np.random.default_rng(seed)
    relevant = random.random(many) < 0.02
    sharp = np.where(relevant, random.normal(0.6, 0.12, many), random.normal(0.0, 0.1, many))
    loud = random.normal(0.45, 0.25, many) + 0.3 * relevant
    return {"sharp": sharp, "loud": loud}, relevant


def test_together_a_loud_modality_is_turned_down_where_another_knows_better() -> None:
    cosines, relevant = rivals(4)
    weights = np.ones(len(relevant))
    apart, together = (fit(cosines, relevant, weights, share) for share in (1.0, 0.3))

    def largest(maps: dict[str, Map]) -> Floats:
        return np.max([m.probabilities(cosines[s]) for s, m in maps.items()], axis=0)

    assert auc(largest(together), relevant) > auc(np.max(list(cosines.values()), axis=0), relevant) + 0.1
    assert log_loss(largest(together), relevant, weights) < log_loss(largest(apart), relevant, weights)
    assert brier(largest(together), relevant, weights) < 0.02 * 0.98


def test_a_modality_that_is_often_alone_keeps_its_say() -> None:
    cosines, relevant = rivals(5)
    lonely = {**cosines, "sharp": np.where(np.arange(len(relevant)) % 2 == 0, np.nan, cosines["sharp"])}
    weights = np.ones(len(relevant))
    with_rival, by_itself = (fit(given, relevant, weights)["loud"] for given in (cosines, lonely))
    assert by_itself.probabilities(np.array([0.9]))[0] > with_rival.probabilities(np.array([0.9]))[0]


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=30))
def test_auc_counts_pairs(pairs: list[tuple[int, bool]]) -> None:
    right, wrong = ([s for s, r in pairs if r is kind] for kind in (True, False))
    if right and wrong:
        better = sum((r > w) + 0.5 * (r == w) for r in right for w in wrong) / (len(right) * len(wrong))
        scores, relevant = np.array([float(s) for s, _ in pairs]), np.array([r for _, r in pairs])
        assert auc(scores, relevant) == pytest.approx(better)

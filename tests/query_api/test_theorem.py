"""Why approximate search may look at the modalities' own nearest items only: `query_api.candidates`, tried in numpy.

A table holds the cosines of all items (rows) with the queried modalities (columns); NaN where an item lacks one.
"Up to ties" means: the best k among the candidates score as the best k among all items do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from es_mappings.types import Calibration

Numbers = NDArray[np.float64]
Map = Callable[[float], float]
NONE = np.nan


@dataclass(frozen=True)
class Search:
    """cosines: (n, m). maps, weights: one for each modality. words: BM25 scores, 0 where no word matches."""

    cosines: Numbers
    maps: Sequence[Map]
    weights: Sequence[float]
    words: Numbers
    backgrounds: Sequence[float] | None = None

    def values(self) -> Numbers:
        """(n, m), -inf where an item lacks the modality and nothing stands in for it."""
        instead = [-np.inf] * len(self.maps)
        if self.backgrounds is not None:
            instead = [w * b for w, b in zip(self.weights, self.backgrounds, strict=True)]
        found = np.empty_like(self.cosines)
        for (item, modality), cosine in np.ndenumerate(self.cosines):
            value = self.weights[modality] * self.maps[modality](float(cosine))
            found[item, modality] = instead[modality] if np.isnan(cosine) else value
        return found

    def maximum(self) -> dict[int, float]:
        """The scores of `max`: of the items with a queried modality."""
        highest = self.values().max(axis=1)
        return {int(i): float(highest[i]) for i in np.flatnonzero(~np.isnan(self.cosines).all(axis=1))}

    def hybrid(self) -> dict[int, float]:
        """The maximum, or 0, and the saturated words: of the items with a queried modality or a matching word."""
        best = self.maximum()
        found = best.keys() | {int(i) for i in np.flatnonzero(self.words)}
        return {i: best.get(i, 0.0) + 0.3 * self.words[i] / (self.words[i] + 8.0) for i in found}

    def nearest(self, k: int) -> set[int]:
        """The k nearest items of each modality, all together: what the engines' graphs are asked for."""
        found: set[int] = set()
        for column in self.cosines.T:
            present = np.flatnonzero(~np.isnan(column))
            found |= set(present[np.argsort(-column[present], kind="stable")][:k].tolist())
        return found

    def worth_of_neighbour(self, k: int) -> float:
        """What the k-th nearest item of a modality has for it, in the modality where that is most; at least 0."""
        values = np.where(np.isnan(self.cosines), -np.inf, self.values())
        return max([0.0, *(float(np.sort(column)[-k]) for column in values.T if len(column) >= k)])


def best(scores: dict[int, float], k: int) -> list[float]:
    return sorted(scores.values(), reverse=True)[:k]


def among(scores: dict[int, float], candidates: set[int]) -> dict[int, float]:
    return {i: score for i, score in scores.items() if i in candidates}


def identity(cosine: float) -> float:
    return cosine


def logistic(slope: float, offset: float) -> Map:
    return Calibration(slope, offset, 0.0, "")


def stairs(steps: Sequence[float]) -> Map:
    """Flat nearly everywhere, so that almost everything ties."""
    return lambda cosine: sum(cosine >= step for step in steps) - 1.0


maps = st.one_of(
    st.just(identity),
    st.builds(logistic, st.just(0.0) | st.floats(0.0, 200.0), st.floats(-50, 50)),
    st.builds(stairs, st.lists(st.floats(-1, 1), max_size=4)),
)
cosines = st.just(NONE) | st.sampled_from([-1.0, -0.5, 0.0, 0.25, 0.5, 1.0]) | st.floats(-1, 1)


@st.composite
def searches(draw: st.DrawFn) -> Search:
    items, modalities = draw(st.integers(1, 12)), draw(st.integers(1, 4))
    table = draw(st.lists(cosines, min_size=items * modalities, max_size=items * modalities))
    return Search(
        np.array(table, np.float64).reshape(items, modalities),
        draw(st.lists(maps, min_size=modalities, max_size=modalities)),
        draw(st.lists(st.just(0.0) | st.floats(0, 3), min_size=modalities, max_size=modalities)),
        np.array(draw(st.lists(st.just(0.0) | st.floats(0.001, 30), min_size=items, max_size=items))),
    )


@given(search=searches(), k=st.integers(1, 13))
def test_the_best_under_max_are_among_the_nearest_of_each_modality(search: Search, k: int) -> None:
    scores = search.maximum()
    assert best(among(scores, search.nearest(k)), k) == best(scores, k)


@given(search=searches(), k=st.integers(1, 13))
def test_the_best_of_a_hybrid_are_among_those_and_the_items_whose_words_match(search: Search, k: int) -> None:
    scores = search.hybrid()
    candidates = search.nearest(k) | {int(i) for i in np.flatnonzero(search.words)}
    assert best(among(scores, candidates), k) == best(scores, k)


@given(search=searches(), k=st.integers(1, 13), n=st.integers(1, 13))
def test_what_is_left_out_of_a_hybrid_is_worth_no_more_than_the_last_neighbours_and_the_last_match(
    search: Search, k: int, n: int
) -> None:
    scores = search.hybrid()
    matching = sorted(np.flatnonzero(search.words).tolist(), key=lambda i: -search.words[i])[:n]
    candidates = search.nearest(k) | set(matching)
    last = search.words[matching[-1]] if matching else 0.0
    bound = search.worth_of_neighbour(k) + 0.3 * last / (last + 8.0)
    assert all(scores[i] <= bound + 1e-12 for i in scores.keys() - candidates)
    for size in range(1, len(scores) + 1):
        page = best(among(scores, candidates), size)
        if len(page) == size and page[-1] > bound + 1e-12:
            assert page == best(scores, size)


def one_modality(*column: float) -> Numbers:
    return np.array(column, np.float64)[:, None]


def test_a_map_that_falls_turns_the_order_round() -> None:
    search = Search(one_modality(0.9, 0.1), [lambda c: -c], [1.0], np.zeros(2))
    assert search.nearest(1) == {0}
    assert search.maximum() == {0: -0.9, 1: -0.1}


def test_a_negative_weight_does_too() -> None:
    search = Search(one_modality(0.9, 0.1), [identity], [-1.0], np.zeros(2))
    assert search.nearest(1) == {0}
    assert max(search.maximum(), key=search.maximum().__getitem__) == 1


def test_without_the_matching_words_a_hybrid_loses_its_best_hit() -> None:
    search = Search(one_modality(0.9, 0.8), [identity], [1.0], np.array([0.0, 8.0]))
    assert search.nearest(1) == {0}
    assert search.hybrid() == {0: 0.9, 1: 0.8 + 0.15}


def test_a_background_lifts_an_item_that_is_nobodys_neighbour() -> None:
    """The first item lacks the second modality, whose background is more than the other item's cosines."""
    table = np.array([[0.50, NONE], [0.52, 0.55]])
    search = Search(table, [identity, identity], [1.0, 1.0], np.zeros(2), backgrounds=[0.6, 0.6])
    assert search.nearest(1) == {1}
    assert search.maximum() == {0: 0.6, 1: 0.55}


def test_a_smaller_k_than_the_page_loses_hits() -> None:
    """Each modality has to give as many as the page shows: the two best owe it to the same one."""
    table = np.array([[0.9, 0.0], [0.8, 0.0], [0.0, 0.1]])
    search = Search(table, [identity, identity], [1.0, 1.0], np.zeros(3))
    assert search.nearest(1) == {0, 2}
    assert best(among(search.maximum(), search.nearest(1)), 2) != best(search.maximum(), 2)

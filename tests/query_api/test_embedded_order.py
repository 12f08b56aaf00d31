"""Selecting the first of many by several keys is the same as sorting all of them."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from query_api.searchers.embedded.order import BLOCK, beyond, first

rows = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), max_size=40)


def keys_of(found: list[tuple[int, int]]) -> list[np.ndarray]:
    columns = np.asarray(found, dtype=np.float64).reshape(-1, 2).T
    return [*columns, np.random.default_rng(0).permutation(len(found)).astype(np.float64)]


@given(found=rows, count=st.integers(0, 50), left=st.integers(0, 2**40 - 1))
def test_the_first_are_the_first_of_all_sorted(found: list[tuple[int, int]], count: int, left: int) -> None:
    keys = keys_of(found)
    candidates = [i for i in range(len(found)) if left >> i & 1]
    ordered = sorted(candidates, key=lambda i: [key[i] for key in keys])
    assert first(keys, np.asarray(candidates, dtype=np.int64), count).tolist() == ordered[:count]


@given(seed=st.integers(0, 1000), number=st.integers(0, 3 * BLOCK), count=st.integers(0, 9), kinds=st.integers(1, 300))
def test_the_first_of_many_are_the_first_too(seed: int, number: int, count: int, kinds: int) -> None:
    random = np.random.default_rng(seed)
    keys = [random.integers(0, kinds, number).astype(np.float64), random.permutation(number).astype(np.float64)]
    expected = sorted(range(number), key=lambda i: [key[i] for key in keys])[:count]
    assert first(keys, np.arange(number), count).tolist() == expected


@given(found=rows, size=st.integers(1, 7))
def test_pages_that_go_on_behind_the_last_item_are_all_of_them(found: list[tuple[int, int]], size: int) -> None:
    keys = keys_of(found)
    candidates = np.arange(len(found))
    walked: list[int] = []
    while len(candidates):
        page = first(keys, candidates, size).tolist()
        walked += page
        candidates = beyond(keys, np.arange(len(found)), [key[page[-1]] for key in keys])
    assert walked == sorted(range(len(found)), key=lambda i: [key[i] for key in keys])

"""The numbers of an audit: groups, clusters, faults, neighbours, scripts, by their laws and by planted mistakes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from encoders.parts.scripts import script
from maxcos.audit import groups
from maxcos.audit.groups import near, same
from maxcos.audit.neighbours import CHANCE, agreement, isolation, odd_one_out
from maxcos.audit.scripts import expected
from maxcos.audit.vectors import fault


def unit(matrix: NDArray[np.float64]) -> NDArray[np.float32]:
    return (matrix / np.linalg.norm(matrix, axis=1, keepdims=True)).astype(np.float32)


def drawn(seed: int, number: int, dims: int) -> NDArray[np.float32]:
    return unit(np.random.default_rng(seed).normal(size=(number, dims)))


def components(number: int, pairs: Sequence[tuple[int, int]]) -> list[tuple[int, ...]]:
    """Connected components of two and more, the slow way."""
    parts = [{i} for i in range(number)]
    for a, b in pairs:
        joined = [part for part in parts if a in part or b in part]
        parts = [part for part in parts if part not in joined] + [set().union(*joined)]
    return [tuple(sorted(part)) for part in parts if len(part) > 1]


# --- groups and clusters


@given(st.lists(st.integers(0, 6)))
def test_groups_hold_what_is_equal_and_nothing_else(digests: list[int]) -> None:
    found = same(np.asarray(digests, dtype=np.uint64))
    counts = Counter(digest for digest in digests if digest)
    assert sorted(map(len, found), reverse=True) == [len(group) for group in found]
    assert all(len({digests[at] for at in group}) == 1 and digests[group[0]] for group in found)
    assert sum(map(len, found)) == sum(count for count in counts.values() if count > 1)


@given(st.integers(0, 2**32), st.integers(1, 60), st.floats(0.5, 0.99), st.sampled_from([1, 7, 512]))
def test_clusters_are_the_connected_components_whatever_the_block(
    seed: int, number: int, least: float, block: int
) -> None:
    matrix = np.round(drawn(seed, number, 3), 1)
    matrix = unit(matrix.astype(np.float64) + 0.01)
    _, belongs = np.unique(matrix, axis=0, return_inverse=True)
    different = belongs.reshape(-1)
    cosines = matrix @ matrix.T
    if (abs(cosines - least) < 1e-5).any():
        return  # float32 may round a product differently in another block
    pairs = [(i, j) for i in range(number) for j in range(i) if cosines[i, j] >= least]
    wanted = [part for part in components(number, pairs) if len({different[i] for i in part}) > 1]
    previous, groups.BLOCK = groups.BLOCK, block
    try:
        found = near(matrix, least)
    finally:
        groups.BLOCK = previous
    assert sorted(cluster.members for cluster in found) == sorted(wanted)
    for cluster in found:
        inside = [cosines[i, j] for i, j in pairs if i in cluster.members and different[i] != different[j]]
        assert cluster.highest == pytest.approx(max(inside), abs=1e-5)
        assert cluster.lowest == pytest.approx(min(inside), abs=1e-5)


def test_the_order_of_the_items_does_not_change_the_clusters() -> None:
    matrix = unit(np.repeat(drawn(0, 40, 8), 3, axis=0) + 0.05 * drawn(1, 120, 8).astype(np.float64))
    order = np.random.default_rng(2).permutation(120)
    found = {frozenset(cluster.members) for cluster in near(matrix, 0.98)}
    moved = {frozenset(order[list(cluster.members)].tolist()) for cluster in near(matrix[order], 0.98)}
    assert found
    assert found == moved


# --- vectors


@pytest.mark.parametrize(
    ("vector", "wrong"),
    [
        ([0.6, 0.8], None),
        ([1.0], "wrong dimension"),
        ([0.0, np.nan], "not finite"),
        ([np.inf, 0.0], "not finite"),
        ([0.0, 0.0], "empty"),
        ([2**-0.5, 2**-0.5], "constant"),
        ([0.6, 0.9], "not unit length"),
        ([0.0600, 0.08], "not unit length"),
    ],
)
def test_a_fault_has_a_name(vector: list[float], wrong: str | None) -> None:
    assert fault(np.asarray(vector, dtype=np.float32), 2) == wrong


@given(st.integers(0, 2**32), st.integers(2, 4096))
def test_what_an_encoder_writes_is_without_fault(seed: int, dims: int) -> None:
    assert fault(drawn(seed, 1, dims)[0], dims) is None


# --- neighbours


def families(seed: int, dims: int = 64) -> NDArray[np.float32]:
    """300 vectors: large families, small ones and single things, as a catalogue has them."""
    random = np.random.default_rng(seed)
    middles = drawn(seed, 30, dims)[random.integers(0, 30, 300) ** 2 // 30]
    return unit(middles + drawn(seed + 1, 300, dims) * random.uniform(0.2, 1.0, (300, 1)))


@pytest.mark.parametrize("seed", range(1, 6))
def test_vectors_that_have_nothing_to_do_with_the_others_are_isolated(seed: int) -> None:
    matrix = np.concatenate([families(seed), drawn(seed + 100, 20, 64)])
    values, limit = isolation(matrix)
    assert (values[300:] <= limit).sum() >= 16
    assert (values[:300] <= limit).sum() <= 15


@pytest.mark.parametrize("seed", range(5))
def test_swapped_vectors_disagree(seed: int) -> None:
    one = families(seed)
    other = unit(one + 0.3 * drawn(seed + 200, 300, 64))
    swapped = np.random.default_rng(seed).choice(300, 15, replace=False)
    other[swapped] = other[np.roll(swapped, 1)]
    values = agreement(one, other)
    worst = set(np.argsort(values)[:30].tolist())
    assert len(worst & set(swapped.tolist())) >= 11
    assert np.median(values) > CHANCE


def test_unrelated_spaces_agree_as_chance_does() -> None:
    values = agreement(drawn(1, 2000, 16), drawn(2, 2000, 16))
    assert values.mean() == pytest.approx(CHANCE, abs=0.01)


def test_a_space_agrees_with_itself() -> None:
    assert (agreement(families(3), families(3)) == 1).all()


# --- which modality is the wrong one


def agreements(spaces: dict[str, NDArray[np.float32]]) -> dict[tuple[str, str], dict[int, float]]:
    return {
        (one, other): dict(enumerate(agreement(spaces[one], spaces[other]).tolist()))
        for one, other in combinations(spaces, 2)
    }


def three(seed: int) -> dict[str, NDArray[np.float32]]:
    """300 things, seen in three ways."""
    seen = families(seed)
    return {
        name: unit(seen + 0.3 * drawn(seed + at, 300, 64)) for at, name in enumerate(("text", "image", "graph"), 300)
    }


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("wrong", ["text", "image", "graph"])
def test_the_modality_that_is_wrong_is_named(seed: int, wrong: str) -> None:
    spaces = three(seed)
    few = sum(map(len, odd_one_out(agreements(spaces)).values()))
    swapped = np.random.default_rng(seed).choice(300, 15, replace=False)
    spaces[wrong][swapped] = spaces[wrong][np.roll(swapped, 1)]
    odd = odd_one_out(agreements(spaces))
    assert few <= 2
    # Some were given the picture of a thing of their own family.
    assert len(odd[wrong].keys() & set(swapped.tolist())) >= 8
    assert sum(map(len, odd.values())) - len(odd[wrong].keys() & set(swapped.tolist())) <= 2


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_the_items_does_not_change_who_is_odd(seed: int) -> None:
    spaces = three(seed)
    spaces["image"][:15] = spaces["image"][np.roll(np.arange(15), 1)]
    order = np.random.default_rng(seed).permutation(300)
    found = odd_one_out(agreements(spaces))
    moved = odd_one_out(agreements({name: matrix[order] for name, matrix in spaces.items()}))
    assert found["image"]
    for modality, odd in moved.items():
        assert {int(order[at]): value for at, value in odd.items()} == pytest.approx(found[modality])


ranks = st.dictionaries(st.integers(0, 5), st.floats(0, 1))


@given(st.dictionaries(st.sampled_from(list(combinations("abcd", 2))), ranks))
def test_an_odd_modality_disagrees_with_all_others_which_agree(pairs: dict[tuple[str, str], dict[int, float]]) -> None:
    odd = odd_one_out(pairs)
    for at in range(6):
        own = {pair: values[at] for pair, values in pairs.items() if at in values}
        (*wrong,) = (modality for modality, found in odd.items() if at in found)
        assert len(wrong) <= 1
        for modality in wrong:
            assert len(own) >= 2
            assert all((value <= CHANCE) == (modality in pair) for pair, value in own.items())


# --- scripts


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Armchair", "Latin"),
        ("Стул", "Cyrillic"),
        ("扶手椅", "Han"),
        ("肘掛け椅子", "Kana"),
        ("ﾍﾞｯﾄﾞ", "Kana"),
        ("의자", "Hangul"),
        ("เก้าอี้", "Thai"),
        ("ＤＶＤ", "Latin"),
        ("DVD播放器机", "Han"),
        ("Ωμέγα 3", "Greek"),
        ("12 €", "none"),
        ("", "none"),
        ("ᚠᚢᚦ", "other"),
    ],
)
def test_a_text_has_the_script_of_most_of_its_letters(text: str, wanted: str) -> None:
    assert script(text) == wanted


def test_a_field_is_meant_for_what_its_name_or_its_values_say() -> None:
    assert expected("title_zh", {"Latin": 1000}) == {"Han"}
    assert expected("title.ja", {}) == {"Kana", "Han"}
    assert expected("title", {"Latin": 95, "Han": 5, "none": 900}) == {"Latin"}
    assert expected("title", {"Latin": 50, "Han": 50}) == frozenset()
    assert expected("title", {}) == frozenset()
    assert expected("quiz", {"Latin": 1}) == {"Latin"}


@given(st.text())
def test_every_text_has_a_script(text: str) -> None:
    assert script(text)

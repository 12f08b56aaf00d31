"""Training heads: the loss against numpy, folds, schedules, what seeds and checkpoints promise, and that it learns."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from encoders.parts.alignment import directions
from encoders.training.alignment import (
    FOLDS,
    CrossFit,
    Pairs,
    candidates,
    centred,
    cross_fit,
    metrics,
    ranks,
    targets,
)
from encoders.training.alignment.fit import EPOCHS, WARMUP, schedule
from encoders.training.alignment.folds import folds_by_group
from encoders.training.alignment.heads import Head, ridge
from encoders.training.alignment.objective import info_nce
from encoders.training.alignment.pairs import PairsDataset
from es_mappings.errors import BadInput

DIMS = 12


def drawn(items: int = 150, width: int = 20, noise: float = 0.3, seed: int = 0) -> Pairs:
    """Features that a linear map turns into texts, up to noise; two languages, and groups of one or two items."""
    random = np.random.default_rng(seed)
    features = directions(random.normal(size=(items, width)))
    truth = features @ random.normal(size=(width, DIMS))
    groups = np.arange(items)
    groups[1::3] = groups[::3][: len(groups[1::3])]
    owner = np.concatenate([np.arange(items), np.arange(0, items, 2)])
    texts = directions(truth[owner] + noise * random.normal(size=(len(owner), DIMS)) * np.abs(truth).mean())
    field = np.repeat([0, 1], [items, len(owner) - items])
    base = directions(truth + 3 * random.normal(size=truth.shape) * np.abs(truth).mean())
    return Pairs(features, base, texts, owner, field, ("title", "title_zh"), groups)


def reference_loss(texts: Any, placed: Any, groups: Any, scale: float, hardness: float) -> float:
    """The formula of `info_nce`, term by term."""
    total = 0.0
    for one, other in ((texts, placed), (placed, texts)):
        for i in range(len(one)):
            score = scale * (other @ one[i])
            negatives = [j for j in range(len(one)) if groups[j] != groups[i]]
            norm = sum(np.exp(hardness * score[j]) for j in negatives)
            weighted = sum(len(negatives) * np.exp(hardness * score[j]) / norm * np.exp(score[j]) for j in negatives)
            total -= np.log(np.exp(score[i]) / (np.exp(score[i]) + weighted))
    return total / (2 * len(texts))


@given(
    seed=st.integers(0, 1000),
    groups=st.lists(st.integers(0, 3), min_size=2, max_size=9),
    hardness=st.sampled_from([0.0, 0.25, 1.0]),
)
def test_the_loss_is_its_formula(seed: int, groups: list[int], hardness: float) -> None:
    random = np.random.default_rng(seed)
    texts, placed = (directions(random.normal(size=(len(groups), 5))) for _ in range(2))
    wanted = reference_loss(texts.astype(np.float64), placed.astype(np.float64), groups, 7.0, hardness)
    tensors = [torch.from_numpy(part) for part in (texts, placed)]
    found = info_nce(*tensors, torch.tensor(groups), torch.tensor(7.0), hardness)
    assert float(found) == pytest.approx(wanted, rel=1e-4, abs=1e-5)


def test_what_is_in_one_group_pushes_nothing_away() -> None:
    texts = torch.eye(4)
    placed = torch.full((4, 4), 0.5, requires_grad=True)
    loss = info_nce(texts, placed, torch.zeros(4), torch.tensor(10.0), 0.25)
    loss.backward()  # type: ignore[no-untyped-call]
    assert float(loss.detach()) == 0.0
    assert placed.grad is not None and not placed.grad.any()


@given(st.lists(st.integers(0, 12), min_size=FOLDS, max_size=80), st.integers(0, 5))
def test_a_group_is_in_one_fold_and_folds_are_even(groups: list[int], seed: int) -> None:
    numbers = np.array(groups)
    folds = folds_by_group(numbers, FOLDS, seed)
    assert all(len(set(folds[numbers == group].tolist())) == 1 for group in groups)
    sizes = np.bincount(folds, minlength=FOLDS)
    assert sizes.max() - sizes.min() <= np.bincount(numbers).max()
    assert (folds == folds_by_group(numbers, FOLDS, seed)).all()


def test_ridge_regression_solves_its_equations() -> None:
    pairs = drawn()
    wanted = targets(pairs)
    for rows in (np.arange(10), np.arange(100)):  # by either of the two matrices
        weights = ridge(pairs, wanted, rows, 0.5).astype(np.float64)
        x, y = pairs.features[rows], wanted[rows]
        np.testing.assert_allclose(weights @ (x.T @ x + 0.5 * np.eye(x.shape[1])), y.T @ x, atol=1e-4)


def test_ranks_are_those_of_a_sort() -> None:
    pairs, _ = centred(drawn(60))
    placed = np.random.default_rng(1).normal(size=(60, DIMS)).astype(np.float32)
    rows = np.arange(10, 60)
    texts = np.flatnonzero(np.isin(pairs.owner, rows))
    found = ranks(pairs, placed, rows, texts)
    items = directions(placed[rows])
    items = directions(items - items.mean(axis=0))
    for text, rank in zip(texts.tolist(), found.tolist(), strict=True):
        own = pairs.owner[text]
        cosines = {row: float(pairs.texts[text] @ items[row - 10]) for row in rows.tolist()}
        better = [r for r in cosines if cosines[r] > cosines[own] and pairs.groups[r] != pairs.groups[own]]
        assert rank == 1 + len(better)
    assert candidates(pairs)[0] == 59 and metrics(found).texts == len(texts)


def test_ties_share_their_mean_rank() -> None:
    pairs, _ = centred(drawn(30))
    pairs = replace(pairs, groups=np.arange(30))
    same = np.zeros((30, DIMS), dtype=np.float32)
    assert set(ranks(pairs, same, np.arange(30), np.arange(30)).tolist()) == {1 + 29 / 2}


def test_an_epoch_s_batches_have_each_item_with_a_text_of_its_own() -> None:
    pairs, rows, generator = drawn(), np.arange(0, 150, 2), torch.Generator()
    data = PairsDataset(pairs, rows, generator)
    places = list(range(len(data)))
    seen = set()
    for seed in range(20):
        generator.manual_seed(seed)
        batch = data[places]
        assert (batch.features.numpy() == pairs.features[rows]).all()
        assert (batch.groups.numpy() == pairs.groups[rows]).all()
        for row, text in zip(rows, batch.texts.numpy(), strict=True):
            (found,) = np.flatnonzero((pairs.texts == text).all(axis=1))
            assert pairs.owner[found] == row
            seen.add((row, pairs.field[found]))
    assert len(seen) == 2 * len(rows), "either language has its turn"


def test_the_learning_rate_rises_then_falls() -> None:
    rates = [schedule(step, 100) for step in range(100)]
    top = round(WARMUP * 100)
    assert rates[:top] == sorted(rates[:top]) and rates[top] == 1
    assert rates[top:] == sorted(rates[top:], reverse=True) and rates[-1] < 0.01
    assert schedule(0, 1) == 1


@pytest.fixture(scope="module")
def pairs() -> Pairs:
    return centred(drawn())[0]


@pytest.fixture(scope="module")
def fitted(pairs: Pairs) -> CrossFit:
    return cross_fit(pairs, seed=3)


def test_heads_find_what_they_have_not_seen(pairs: Pairs, fitted: CrossFit) -> None:
    def mrr(placed: Any) -> float:
        return metrics(ranks(pairs, placed, np.arange(150), np.arange(len(pairs.owner)))).mrr

    assert mrr(fitted.placed) > 1.5 * mrr(pairs.base)
    assert mrr(fitted.placed) >= mrr(fitted.ridge) - 0.02


def test_an_item_is_placed_by_the_head_that_has_not_seen_its_group(pairs: Pairs, fitted: CrossFit) -> None:
    for row in range(0, 150, 7):
        head = fitted.chosen[fitted.folds[row]].head
        wanted = head.share * pairs.base[row] + head.weights @ pairs.features[row] + head.bias
        np.testing.assert_allclose(fitted.placed[row], wanted, atol=1e-5)
        assert len({*fitted.folds[pairs.groups == pairs.groups[row]].tolist()}) == 1


def test_what_a_head_has_learnt_does_not_depend_on_its_own_fold(pairs: Pairs, fitted: CrossFit) -> None:
    """With other texts for the items of one fold, ridge regression of that fold is the same head."""
    own = fitted.folds[pairs.owner] == 2
    texts = pairs.texts.copy()
    texts[own] = -texts[own]
    other = replace(pairs, texts=texts)
    rest = np.flatnonzero(fitted.folds != 2)
    np.testing.assert_array_equal(ridge(pairs, targets(pairs), rest, 1.0), ridge(other, targets(other), rest, 1.0))


def test_without_a_base_there_is_none_to_share(pairs: Pairs) -> None:
    found = cross_fit(replace(pairs, base=np.zeros_like(pairs.base)))
    assert {one.head.share for one in found.chosen} == {0.0}
    assert metrics(ranks(pairs, found.placed, np.arange(150), np.arange(len(pairs.owner)))).mrr > 0.3


def content(found: CrossFit) -> list[bytes]:
    heads = [part.tobytes() for one in found.chosen for part in (one.head.weights, one.head.bias)]
    return [*heads, found.placed.tobytes(), str([(c.penalty, c.epochs, c.mrr) for c in found.chosen]).encode()]


def test_one_seed_gives_the_same_bytes(pairs: Pairs, fitted: CrossFit) -> None:
    assert content(cross_fit(pairs, seed=3)) == content(fitted)
    assert content(cross_fit(pairs, seed=4)) != content(fitted)


class Stop(Exception):
    """What interrupts a training."""


def test_a_training_that_was_cut_off_ends_with_the_same_bytes(pairs: Pairs, fitted: CrossFit, tmp_path: Path) -> None:
    told: list[float] = []

    def stop(scalars: Any) -> None:
        told.append(scalars["mrr"])
        if len(told) in (2, 3):
            raise Stop

    for _ in range(2):
        with pytest.raises(Stop):
            cross_fit(pairs, seed=3, checkpoint=tmp_path, tell=stop)
    assert content(cross_fit(pairs, seed=3, checkpoint=tmp_path, tell=stop)) == content(fitted)
    assert len(told) <= EPOCHS
    with pytest.raises(BadInput, match="other settings or data"):
        cross_fit(pairs, seed=4, checkpoint=tmp_path)


def test_a_file_that_is_no_checkpoint(pairs: Pairs, tmp_path: Path) -> None:
    (tmp_path / "heads.pt").write_bytes(b"nothing")
    with pytest.raises(BadInput, match=r"heads\.pt: not a checkpoint"):
        cross_fit(pairs, checkpoint=tmp_path)


def test_logs_go_on_where_the_training_does(pairs: Pairs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[tuple[str, int]] = []
    purged: list[int] = []

    class Writer:
        def __init__(self, folder: str, purge_step: int) -> None:
            assert folder == str(tmp_path / "tensorboard")
            purged.append(purge_step)

        def add_scalar(self, name: str, value: float, step: int) -> None:
            steps.append((name, step))

        def close(self) -> None: ...

    def stop(scalars: Any) -> None:
        raise Stop

    module = ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = Writer  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    with pytest.raises(Stop):
        cross_fit(pairs, checkpoint=tmp_path, tell=stop)
    assert (steps, purged) == ([("loss", 1), ("mrr", 1)], [1])
    cross_fit(pairs, checkpoint=tmp_path)
    assert purged == [1, 2] and steps[2:4] == [("loss", 2), ("mrr", 2)]


def test_a_head_by_hand() -> None:
    head = Head(np.ones((2, 3), dtype=np.float32), np.array([1, 2], dtype=np.float32), 0.5)
    placed = head.place(np.eye(3, dtype=np.float32), np.ones((3, 2), dtype=np.float32))
    np.testing.assert_array_equal(placed, [[2.5, 3.5]] * 3)

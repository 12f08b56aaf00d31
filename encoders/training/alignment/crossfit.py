"""Heads that have not seen what they are judged by: one for each fold of items, learnt from all the other folds.

The heads are trained side by side, epoch by epoch: after each one every item is placed by the head of its own fold, and
the texts of all items look for them among all. What is chosen for a head (penalty, share, epochs) is what serves the
texts of the other folds best, so that its own fold's texts decide nothing that they judge.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from encoders.parts.weights import import_torch
from encoders.training.alignment.evaluate import Ranks, ranks
from encoders.training.alignment.fit import EPOCHS, Fit
from encoders.training.alignment.folds import folds_by_group
from encoders.training.alignment.heads import Head, ridge
from encoders.training.alignment.pairs import Numbers, Pairs, targets
from encoders.training.states import Log, read_state, write_state
from es_mappings.types import Matrix

FOLDS = 5
PENALTIES = (0.03, 0.1, 0.3, 1.0, 3.0)
"""Of ridge regression, on features of unit length."""
SHARES = (0.0, 0.3, 1.0)
"""Of the base vectors, of unit length, beside what ridge regression makes of the features."""
PATIENCE = 4
"""Epochs in which no head gets better that end the training."""

Tell = Callable[[Mapping[str, float]], None]
"""Is told after each epoch the mean loss of the heads and the MRR of all held-out texts."""


@dataclass(frozen=True, slots=True, eq=False)
class Chosen:
    """One fold's head, and what was chosen for it. epochs: of training after ridge regression; 0: none was better.

    mrr: the mean reciprocal rank of the other folds' texts with that choice.
    """

    head: Head
    penalty: float
    epochs: int
    mrr: float


@dataclass(frozen=True, slots=True, eq=False)
class CrossFit:
    """chosen: by fold. folds: (n,) whose head has not seen an item.

    placed, ridge: (n, dims) where the items are put by the heads that have not seen them, after training and before.
    """

    chosen: tuple[Chosen, ...]
    folds: Numbers
    placed: Matrix
    ridge: Matrix


def cross_fit(pairs: Pairs, *, seed: int = 0, checkpoint: Path | None = None, tell: Tell = lambda _: None) -> CrossFit:
    """Fit a head for every fold of groups. One seed, the same numbers, also where a run goes on from a checkpoint.

    pairs: centred, every item with a text, at least FOLDS groups. checkpoint: a folder for the state after every epoch,
    from which the same call goes on, and for TensorBoard's logs. Raises BadInput when it holds another training's.
    """
    import_torch()
    judge = _Judge(pairs, folds_by_group(pairs.groups, FOLDS, seed))
    begun = _ridge(pairs, judge)
    by_ridge = judge.placed([chosen.head for chosen in begun])
    training = _Training(pairs, judge, begun, seed)
    file, settings = None, {}
    if checkpoint is not None:
        file, settings = checkpoint / "heads.pt", {"seed": seed, "data": _digest(pairs)}
        before = read_state(file, settings)
        if before is not None:
            training.restore(before)
    log = Log(checkpoint / "tensorboard", training.epochs + 1) if checkpoint is not None else None
    try:
        while training.goes_on:
            scalars = training.epoch()
            if file is not None and log is not None:
                write_state(file, settings, training.state())
                log.add(training.epochs, scalars)
            tell(scalars)
    finally:
        if log is not None:
            log.close()
    best = tuple(training.best)
    return CrossFit(best, judge.folds, judge.placed([chosen.head for chosen in best]), by_ridge)


class _Judge:
    """Places items by the heads that have not seen them, and ranks them by their texts."""

    def __init__(self, pairs: Pairs, folds: Numbers) -> None:
        self._pairs, self.folds = pairs, folds
        self._every, self._texts = np.arange(len(pairs.features)), np.arange(len(pairs.owner))

    def rest(self, fold: int) -> Numbers:
        """The items that a fold's head learns from."""
        return np.flatnonzero(self.folds != fold)

    def placed(self, heads: Sequence[Head]) -> Matrix:
        placed = np.empty((len(self.folds), self._pairs.texts.shape[1]), dtype=np.float32)
        for fold, head in enumerate(heads):
            own = self.folds == fold
            placed[own] = head.place(self._pairs.features[own], self._pairs.base[own])
        return placed

    def ranks(self, heads: Sequence[Head]) -> Ranks:
        return ranks(self._pairs, self.placed(heads), self._every, self._texts)

    def without(self, found: Ranks) -> list[float]:
        """By fold the mean reciprocal rank of the other folds' texts."""
        fold = self.folds[self._pairs.owner]
        return [float(np.mean(1 / found[fold != own])) for own in range(FOLDS)]


def _ridge(pairs: Pairs, judge: _Judge) -> list[Chosen]:
    """For each fold the best of ridge regression; of equals the first."""
    wanted = targets(pairs)
    bias = np.zeros(wanted.shape[1], dtype=np.float32)
    best: list[Chosen] = []
    for penalty in PENALTIES:
        weights = [ridge(pairs, wanted, judge.rest(fold), penalty) for fold in range(FOLDS)]
        for share in SHARES if pairs.base.any() else SHARES[:1]:
            heads = [Head(own, bias, share) for own in weights]
            judged = zip(heads, judge.without(judge.ranks(heads)), strict=True)
            found = [Chosen(head, penalty, 0, mrr) for head, mrr in judged]
            best = [new if new.mrr > old.mrr else old for new, old in zip(found, best or found, strict=True)]
    return best


class _Training:
    """All folds' trainings, side by side."""

    def __init__(self, pairs: Pairs, judge: _Judge, begun: Sequence[Chosen], seed: int) -> None:
        self._judge, self.best, self.epochs = judge, list(begun), 0
        self._fits = [
            Fit(pairs, judge.rest(fold), chosen.head, seed * FOLDS + fold) for fold, chosen in enumerate(begun)
        ]
        # Heads that begin with different choices are judged together from now on.
        self.best = self._judged([chosen.head for chosen in begun])[0]

    @property
    def goes_on(self) -> bool:
        return self.epochs < EPOCHS and self.epochs - max(chosen.epochs for chosen in self.best) < PATIENCE

    def epoch(self) -> dict[str, float]:
        loss = float(np.mean([fit.epoch(self.epochs) for fit in self._fits]))
        self.epochs += 1
        found, mrr = self._judged([fit.head() for fit in self._fits])
        self.best = [new if new.mrr > old.mrr else old for new, old in zip(found, self.best, strict=True)]
        return {"loss": loss, "mrr": mrr}

    def _judged(self, heads: Sequence[Head]) -> tuple[list[Chosen], float]:
        found = self._judge.ranks(heads)
        chosen = [
            replace(old, head=head, epochs=self.epochs, mrr=mrr)
            for old, head, mrr in zip(self.best, heads, self._judge.without(found), strict=True)
        ]
        return chosen, float(np.mean(1 / found))

    def state(self) -> dict[str, Any]:
        best = [
            {
                "weights": torch.from_numpy(chosen.head.weights),
                "bias": torch.from_numpy(chosen.head.bias),
                "share": chosen.head.share,
                "epochs": chosen.epochs,
                "mrr": chosen.mrr,
            }
            for chosen in self.best
        ]
        return {"epochs": self.epochs, "fits": [fit.state() for fit in self._fits], "best": best}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.epochs = state["epochs"]
        for fit, saved in zip(self._fits, state["fits"], strict=True):
            fit.restore(saved)
        self.best = [
            replace(
                old,
                head=Head(new["weights"].numpy(), new["bias"].numpy(), new["share"]),
                epochs=new["epochs"],
                mrr=new["mrr"],
            )
            for old, new in zip(self.best, state["best"], strict=True)
        ]


def _digest(pairs: Pairs) -> str:
    """A text that other data would not have."""
    digest = hashlib.sha256()
    for part in (pairs.features, pairs.base, pairs.texts, pairs.owner, pairs.groups):
        digest.update(np.ascontiguousarray(part).tobytes())
    return digest.hexdigest()

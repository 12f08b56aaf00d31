"""What moves queries, learnt from texts whose items are known: see `encoders.parts.queries` for what it does.

Here a map W; `adapters.py` has LoRA adapters. Either begins as doing nothing and is trained by the same symmetric
InfoNCE as the heads. It reads texts, and the items stay where they are. Groups of items are split in ten parts: eight
are learnt from, one says when to stop, and one judges what came of it, so that nothing is judged by texts or items that
had a say in it.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import BatchSampler, DataLoader, RandomSampler

from encoders.parts.alignment import directions
from encoders.training.alignment.evaluate import Ranks, ranks
from encoders.training.alignment.fit import schedule
from encoders.training.alignment.folds import folds_by_group
from encoders.training.alignment.heads import LARGEST_SCALE, TEMPERATURE
from encoders.training.alignment.objective import info_nce
from encoders.training.alignment.pairs import Batch, Numbers, Pairs, PairsDataset
from es_mappings.types import Matrix

PARTS = 10
EPOCHS = 12
BATCH = 256
LEARNING_RATE = 5e-4
FASTER = 10.0
"""What the learning rate of the scale is multiplied by."""
STAYING = 1e-3
"""What |W - 1|^2 costs beside the loss: what the texts say nothing about stays as it was."""
HARDNESS = 0.25
PATIENCE = 3
"""Epochs without a better map that end the training."""
FEWEST = 20
"""With fewer texts to judge by, nothing can be told."""

Tell = Callable[[Mapping[str, float]], None]
W = TypeVar("W")
"""What is learnt: a map's matrix, or adapters."""


@dataclass(frozen=True, slots=True, eq=False)
class QueryFit(Generic[W]):
    """weights: of the epoch that served the choosing part best; 0 epochs: doing nothing did.

    learnt: (l,) the numbers of the texts that were learnt from. judged: (j,) of those that judge. before, after: (j,)
    their ranks as they are and moved.
    """

    weights: W
    epochs: int
    learnt: Numbers
    judged: Numbers
    before: Ranks
    after: Ranks


class Training(ABC, Generic[W]):
    """An epoch at a time, each item with one of its texts."""

    def __init__(
        self, pairs: Pairs, rows: Numbers, parameters: Iterable[nn.Parameter], *, rate: float, batch: int, seed: int
    ) -> None:
        """rows: the items to learn from. rate: the highest learning rate. batch: items at a time."""
        self.pairs = pairs
        self._batch = batch
        self._generator = torch.Generator().manual_seed(seed)
        self._data = PairsDataset(pairs, rows, self._generator)
        self._log_scale = nn.Parameter(torch.tensor(-math.log(TEMPERATURE)))
        groups = [{"params": list(parameters), "lr": rate}, {"params": [self._log_scale], "lr": rate * FASTER}]
        self._optimizer = torch.optim.AdamW(groups, weight_decay=0.0)
        self._rates = [group["lr"] for group in self._optimizer.param_groups]

    @abstractmethod
    def weights(self) -> W:
        """A copy of what has been learnt so far."""

    @abstractmethod
    def placed(self, weights: W, texts: Numbers) -> Matrix:
        """(len(texts), dims) of unit length: where these weights put the texts of these numbers."""

    @abstractmethod
    def moved(self, batch: Batch) -> Tensor:
        """(b, dims) of unit length: where the batch's texts are put now."""

    def cost(self) -> Tensor | float:
        """What is added to the loss."""
        return 0.0

    def epoch(self, number: int) -> float:
        """Train the epoch of that number, from 0 to EPOCHS - 1; its mean loss."""
        sampler = BatchSampler(RandomSampler(self._data, generator=self._generator), self._batch, drop_last=False)
        batches = DataLoader(self._data, sampler=sampler, batch_size=None, generator=self._generator)
        losses = []
        for step, batch in enumerate(batches, start=number * len(sampler)):
            factor = schedule(step, EPOCHS * len(sampler))
            for group, rate in zip(self._optimizer.param_groups, self._rates, strict=True):
                group["lr"] = rate * factor
            scale = self._log_scale.exp().clamp(max=LARGEST_SCALE)
            loss = info_nce(self.moved(batch), batch.features, batch.groups, scale, HARDNESS) + self.cost()
            self._optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            self._optimizer.step()
            losses.append(loss.item())
        return float(np.mean(losses))


def fit_queries(pairs: Pairs, *, seed: int = 0, tell: Tell = lambda _: None) -> QueryFit[Matrix]:
    """Learn a map (dims, dims) from pairs whose features are the items' own vectors. One seed, the same numbers.

    pairs: centred; features (n, dims) and texts (t, dims). tell: is told after each epoch its loss and the MRR.
    """
    return learn(pairs, lambda rows: _MapTraining(pairs, rows, seed), seed, tell)


def learn(pairs: Pairs, begin: Callable[[Numbers], Training[W]], seed: int, tell: Tell) -> QueryFit[W]:
    """Train what `begin` makes for the items to learn from, and judge it, see above."""
    part = folds_by_group(pairs.groups, PARTS, seed)
    of_text = part[pairs.owner]
    choosing, judged = np.flatnonzero(of_text == 1), np.flatnonzero(of_text == 0)
    training = begin(np.intersect1d(np.flatnonzero(part > 1), pairs.owner))
    best, epochs, reached = training.weights(), 0, _mrr(pairs, pairs.texts[choosing], choosing)
    for number in range(EPOCHS):
        loss = training.epoch(number)
        weights = training.weights()
        mrr = _mrr(pairs, training.placed(weights, choosing), choosing)
        tell({"loss": loss, "mrr": mrr})
        if mrr > reached:
            best, epochs, reached = weights, number + 1, mrr
        elif number + 1 - epochs >= PATIENCE:
            break
    before = _ranks(pairs, pairs.texts[judged], judged)
    after = _ranks(pairs, training.placed(best, judged), judged) if epochs else before
    return QueryFit(best, epochs, np.flatnonzero(of_text > 1), judged, before, after)


def _mrr(pairs: Pairs, placed: Matrix, texts: Numbers) -> float:
    return float(np.mean(1 / _ranks(pairs, placed, texts)))


def _ranks(pairs: Pairs, placed: Matrix, texts: Numbers) -> Ranks:
    """(len(texts),) where texts, put there, find their items among all."""
    asked = replace(pairs, texts=placed, owner=pairs.owner[texts], field=pairs.field[texts])
    return ranks(asked, pairs.features, np.arange(len(pairs.features)), np.arange(len(texts)))


class _MapTraining(Training[Matrix]):
    def __init__(self, pairs: Pairs, rows: Numbers, seed: int) -> None:
        dims = pairs.texts.shape[1]
        self._moved = nn.Parameter(torch.zeros(dims, dims))
        super().__init__(pairs, rows, [self._moved], rate=LEARNING_RATE, batch=BATCH, seed=seed)

    def weights(self) -> Matrix:
        moved: Matrix = self._moved.detach().numpy().copy()
        return moved + np.eye(len(moved), dtype=np.float32)

    def placed(self, weights: Matrix, texts: Numbers) -> Matrix:
        return directions(self.pairs.texts[texts] @ weights.T)

    def moved(self, batch: Batch) -> Tensor:
        return nn.functional.normalize(batch.texts + nn.functional.linear(batch.texts, self._moved), dim=1)

    def cost(self) -> Tensor:
        return STAYING * self._moved.square().sum()

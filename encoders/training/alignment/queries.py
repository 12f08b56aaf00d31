"""A map of queries, learnt from texts whose items are known: see `encoders.parts.queries` for what it does.

W begins as doing nothing and is trained by the same symmetric InfoNCE as the heads. It reads texts, and the items stay
where they are. Groups of items are split in ten parts: eight are learnt from, one says when to stop, and one judges
what came of it, so that nothing is judged by texts or items that had a say in it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

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


@dataclass(frozen=True, slots=True, eq=False)
class QueryFit:
    """weights: (dims, dims), of the epoch that served the choosing part best; 0 epochs: doing nothing did.

    learnt: (l,) the numbers of the texts that were learnt from. judged: (j,) of those that judge. before, after: (j,)
    their ranks without the map and with it.
    """

    weights: Matrix
    epochs: int
    learnt: Numbers
    judged: Numbers
    before: Ranks
    after: Ranks


def fit_queries(pairs: Pairs, *, seed: int = 0, tell: Tell = lambda _: None) -> QueryFit:
    """Learn from pairs whose features are the items' own vectors. One seed, the same numbers.

    pairs: centred; features (n, dims) and texts (t, dims). tell: is told after each epoch its loss and the MRR.
    """
    part = folds_by_group(pairs.groups, PARTS, seed)
    of_text = part[pairs.owner]
    choosing, judged = np.flatnonzero(of_text == 1), np.flatnonzero(of_text == 0)
    learnt_from = np.intersect1d(np.flatnonzero(part > 1), pairs.owner)
    training = _Training(pairs, learnt_from, seed)
    best, epochs, reached = training.weights(), 0, _mrr(pairs, None, choosing)
    for number in range(EPOCHS):
        loss = training.epoch(number)
        weights = training.weights()
        mrr = _mrr(pairs, weights, choosing)
        tell({"loss": loss, "mrr": mrr})
        if mrr > reached:
            best, epochs, reached = weights, number + 1, mrr
        elif number + 1 - epochs >= PATIENCE:
            break
    return QueryFit(
        best, epochs, np.flatnonzero(of_text > 1), judged, _ranks(pairs, None, judged), _ranks(pairs, best, judged)
    )


def _mrr(pairs: Pairs, weights: Matrix | None, texts: Numbers) -> float:
    return float(np.mean(1 / _ranks(pairs, weights, texts)))


def _ranks(pairs: Pairs, weights: Matrix | None, texts: Numbers) -> Ranks:
    """(len(texts),) where texts find their items among all, moved by a map if there is one."""
    moved = pairs.texts[texts] if weights is None else directions(pairs.texts[texts] @ weights.T)
    asked = replace(pairs, texts=moved, owner=pairs.owner[texts], field=pairs.field[texts])
    return ranks(asked, pairs.features, np.arange(len(pairs.features)), np.arange(len(texts)))


class _Map(nn.Module):
    def __init__(self, dims: int) -> None:
        super().__init__()
        self.moved = nn.Parameter(torch.zeros(dims, dims))
        self.log_scale = nn.Parameter(torch.tensor(-math.log(TEMPERATURE)))

    def forward(self, texts: Tensor) -> Tensor:
        return nn.functional.normalize(texts + nn.functional.linear(texts, self.moved), dim=1)

    @property
    def scale(self) -> Tensor:
        return self.log_scale.exp().clamp(max=LARGEST_SCALE)


class _Training:
    """An epoch at a time, each item with one of its texts."""

    def __init__(self, pairs: Pairs, rows: Numbers, seed: int) -> None:
        self._generator = torch.Generator().manual_seed(seed)
        self._data = PairsDataset(pairs, rows, self._generator)
        self._map = _Map(pairs.texts.shape[1])
        self._optimizer = torch.optim.AdamW(
            [
                {"params": [self._map.moved], "lr": LEARNING_RATE},
                {"params": [self._map.log_scale], "lr": LEARNING_RATE * FASTER},
            ],
            weight_decay=0.0,
        )
        self._rates = [group["lr"] for group in self._optimizer.param_groups]

    def epoch(self, number: int) -> float:
        sampler = BatchSampler(RandomSampler(self._data, generator=self._generator), BATCH, drop_last=False)
        batches = DataLoader(self._data, sampler=sampler, batch_size=None, generator=self._generator)
        losses = []
        for step, batch in enumerate(batches, start=number * len(sampler)):
            factor = schedule(step, EPOCHS * len(sampler))
            for group, rate in zip(self._optimizer.param_groups, self._rates, strict=True):
                group["lr"] = rate * factor
            loss = self._loss(batch)
            self._optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            self._optimizer.step()
            losses.append(loss.item())
        return float(np.mean(losses))

    def _loss(self, batch: Batch) -> Tensor:
        contrast = info_nce(self._map(batch.texts), batch.features, batch.groups, self._map.scale, HARDNESS)
        return contrast + STAYING * self._map.moved.square().sum()

    def weights(self) -> Matrix:
        moved: Matrix = self._map.moved.detach().numpy().copy()
        return moved + np.eye(len(moved), dtype=np.float32)

"""The training of one head, an epoch at a time, and what is needed to go on later."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import BatchSampler, DataLoader, RandomSampler

from encoders.training.alignment.heads import Head, HeadModule
from encoders.training.alignment.objective import info_nce
from encoders.training.alignment.pairs import Batch, Numbers, Pairs, PairsDataset

EPOCHS = 12
BATCH = 256
LEARNING_RATE = 1e-3
FASTER = 10.0
"""What the learning rate of the two single numbers, share and scale, is multiplied by."""
DECAY = 0.1
DROPOUT = 0.2
HARDNESS = 0.25
"""Of negatives, see `info_nce`. On the demo 0 to 1 make no difference that can be told from chance."""
WARMUP = 0.1
"""The share of all steps in which the learning rate rises; then it falls along a cosine to zero."""


class Fit:
    """A training that can stop after any epoch and go on from its `state`, giving the same numbers as if it had not.

    That holds because an epoch draws from a generator that is seeded by the seed and its number alone. On a GPU the
    products are computed in bfloat16; the loss and the parameters stay float32.
    """

    def __init__(self, pairs: Pairs, rows: Numbers, begin: Head, seed: int) -> None:
        """pairs: centred. rows: the items to learn from."""
        self._seed = seed
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._generator = torch.Generator()
        self._data = PairsDataset(pairs, rows, self._generator)
        self._module = HeadModule(begin).to(self._device)
        module = self._module
        self._optimizer = torch.optim.AdamW(
            [
                {"params": [module.weights, module.bias], "weight_decay": DECAY, "lr": LEARNING_RATE},
                {"params": [module.share, module.log_scale], "weight_decay": 0.0, "lr": LEARNING_RATE * FASTER},
            ]
        )
        self._rates = [group["lr"] for group in self._optimizer.param_groups]

    def epoch(self, number: int) -> float:
        """Train the epoch of that number, from 0 to EPOCHS - 1; its mean loss."""
        self._generator.manual_seed(self._seed * 1_000_003 + number)
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
        kept = torch.rand(batch.features.shape, generator=self._generator) >= DROPOUT
        thinned = batch.features * kept / (1 - DROPOUT)
        features, base, texts, groups = (part.to(self._device) for part in (thinned, *batch[1:4]))
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._device.type == "cuda"):
            return info_nce(texts, self._module(features, base), groups, self._module.scale, HARDNESS)

    def head(self) -> Head:
        """A copy of what has been learnt so far."""
        return self._module.head()

    def state(self) -> dict[str, Any]:
        """All that `restore` needs, of tensors and plain values."""
        return {"module": self._module.state_dict(), "optimizer": self._optimizer.state_dict()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on where a training of the same arguments was."""
        self._module.load_state_dict(state["module"])
        self._optimizer.load_state_dict(state["optimizer"])


def schedule(step: int, steps: int) -> float:
    """What the learning rate is multiplied by at a step, from 0: up in a straight line, then down along a cosine."""
    warmup = max(1, round(WARMUP * steps))
    if step < warmup:
        return (step + 1) / warmup
    return (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup))) / 2

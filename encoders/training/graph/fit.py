"""The training loop of the link predictors: epochs, validation, early stopping, and what is needed to go on later."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from encoders.training.graph.edges import two_way
from encoders.training.graph.evaluate import filtered_ranks, link_metrics
from encoders.training.graph.network import LinkNetwork, scorer
from encoders.training.graph.objectives import AllEntities, Objective, SampledEntities
from encoders.training.graph.recipes import Recipe
from encoders.training.graph.reproduce import reseed
from encoders.training.triples import Triples

ALL_ENTITIES_MOST = 10_000
"""Up to so many entities each question is compared with all of them."""
EVERY = 5
"""Epochs between two validations."""
PATIENCE = 6
"""Validations without a better MRR that end a training."""


@dataclass(frozen=True, slots=True, eq=False)
class Best:
    """The vectors at the best validation: entities (n, dims), slots (2r, relation_width). mrr: None without triples."""

    epoch: int
    mrr: float | None
    entities: Tensor
    relations: Tensor


class Fit:
    """A training that can stop after any epoch and go on from its `state`, giving the same numbers as if it had not.

    That holds because an epoch draws from generators that are seeded by the seed and its number alone.
    """

    def __init__(
        self,
        entities: int,
        relations: int,
        train: Triples,
        valid: Triples,
        known: Triples,
        *,
        dims: int,
        recipe: Recipe,
        seed: int,
    ) -> None:
        """known: triples that validation takes for true beside those of train and valid."""
        self._valid, self._known = valid, np.concatenate([train, known])
        self._relations, self._seed = relations, seed
        reseed(seed)
        self._graph = two_way(train, entities, relations)
        self._network = LinkNetwork(entities, relations, dims, recipe)
        objective = AllEntities if entities <= ALL_ENTITIES_MOST else SampledEntities
        self._losses: Objective = objective(self._network, recipe, self._graph)
        self._optimizer = torch.optim.Adagrad(self._network.parameters(), lr=recipe.learning_rate)
        self.epoch, self.loss = 0, float("nan")
        self._stale = 0
        self._best: Best | None = None

    def run(self, epochs: int, after_epoch: Callable[[], None]) -> Best:
        """Train until that many epochs are done or validation does not get better; the best vectors of all epochs."""
        while self.epoch < epochs and self._stale < PATIENCE:
            reseed(self._seed + 7919 * (self.epoch + 1))
            self.loss = self._train_epoch()
            self.epoch += 1
            if self.epoch % EVERY == 0 or self.epoch == epochs:
                self._validate()
            after_epoch()
        if self._best is None:
            raise ValueError("a training needs at least one epoch")
        return self._best

    @property
    def mrr(self) -> float | None:
        """The best validation MRR so far."""
        return None if self._best is None else self._best.mrr

    def _train_epoch(self) -> float:
        self._network.train()
        losses = []
        for loss in self._losses():
            self._optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            self._optimizer.step()
            losses.append(loss.item())
        return float(np.mean(losses))

    def _validate(self) -> None:
        self._network.eval()
        with torch.no_grad():
            entities, relations = (vectors.detach().clone() for vectors in self._network.encode_all(self._graph))
        if not len(self._valid):
            self._best = Best(self.epoch, None, entities, relations)
            return
        score = scorer(self._network.scoring, entities, relations)
        mrr = link_metrics(filtered_ranks(score, self._valid, self._known, len(entities), self._relations)).mrr
        if self._best is None or self._best.mrr is None or mrr > self._best.mrr:
            self._best, self._stale = Best(self.epoch, mrr, entities, relations), 0
        else:
            self._stale += 1

    def state(self) -> dict[str, Any]:
        """All that `restore` needs, of tensors and plain values."""
        return {
            "epoch": self.epoch,
            "loss": self.loss,
            "stale": self._stale,
            "network": self._network.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "best": None if self._best is None else {name: getattr(self._best, name) for name in Best.__slots__},
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on where a training of the same arguments was."""
        self.epoch, self.loss, self._stale = state["epoch"], state["loss"], state["stale"]
        self._network.load_state_dict(state["network"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._best = None if state["best"] is None else Best(**state["best"])

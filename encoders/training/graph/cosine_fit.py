"""The training loop of the models that are made for cosines, and what is needed to go on later.

Most epochs go through the triples that were not held out; then these are measured, and the last epochs learn them too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from encoders.training.graph.cosine import cosine_mrr
from encoders.training.triples import KnowledgeGraph, Triples, Weights
from es_mappings.types import Matrix


class CosineModel(Protocol):
    """What CosineDistMult and LightGCN have in common."""

    def learn_from(self, triples: Triples, weights: Weights) -> None: ...
    def epoch(self) -> float: ...
    def vectors(self, triples: Triples) -> Matrix: ...
    def state(self) -> dict[str, Any]: ...
    def restore(self, state: Mapping[str, Any]) -> None: ...


class CosineFit:
    """A training that can stop after any epoch and go on from its `state`, giving the same numbers as if it had not.

    Epochs draw one after the other from the global generators of torch and numpy, so these are part of the state.
    """

    def __init__(
        self,
        model: CosineModel,
        graph: KnowledgeGraph,
        held: NDArray[np.bool_],
        valid: Triples,
        known: Triples,
        epochs: int,
    ) -> None:
        """held: (m,) which triples to hold out at first. valid, known: to measure by, and what is true beside it."""
        self._model, self._graph, self._valid, self._known = model, graph, valid, known
        self._early = (graph.triples[~held], graph.weights[~held])
        self._first = epochs
        self.epochs = epochs + (-(-epochs // 4) if held.any() else 0)
        self.epoch, self.loss = 0, float("nan")
        self.mrr: float | None = None

    def run(self, after_epoch: Callable[[], None]) -> None:
        """Train to the end."""
        while self.epoch < self.epochs:
            if self.epoch in (0, self._first):
                self._begin()
            self.loss = self._model.epoch()
            self.epoch += 1
            if self.epoch == self._first and len(self._valid):
                known = np.concatenate([self._graph.triples, self._valid, self._known])
                self.mrr = cosine_mrr(self._model.vectors(self._early[0]), known, self._valid)
            after_epoch()

    def _begin(self) -> None:
        """Of the first epochs, or of the last ones."""
        early = self.epoch < self._first
        self._model.learn_from(*(self._early if early else (self._graph.triples, self._graph.weights)))

    def state(self) -> dict[str, Any]:
        """All that `restore` needs, of tensors and plain values."""
        drawn = np.random.get_state(legacy=False)["state"]
        return {
            "epoch": self.epoch,
            "loss": self.loss,
            "mrr": self.mrr,
            "model": self._model.state(),
            "torch": torch.get_rng_state(),
            "numpy": (torch.from_numpy(drawn["key"].astype(np.int64)), drawn["pos"]),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on where a training of the same arguments was."""
        self.epoch, self.loss, self.mrr = state["epoch"], state["loss"], state["mrr"]
        self._begin()
        self._model.restore(state["model"])
        torch.set_rng_state(state["torch"])
        numbers, place = state["numpy"]
        np.random.set_state(("MT19937", numbers.numpy().astype(np.uint32), place, 0, 0.0))

"""LoRA adapters of a text encoder's network, learnt for queries only: see `queries.py` for how, and how it is judged.

A map of queries moves all of them alike; adapters change what the network reads out of the words (Hu et al. 2021,
arXiv:2106.09685). They sit on the projections that peft names for the kind of model, queries and values of its
attention, and else on all linear layers.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from peft.utils import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING
from safetensors.torch import save_file
from torch import Tensor, nn

from encoders.parts.alignment import directions
from encoders.parts.queries import ADAPTERS
from encoders.training.alignment.pairs import Batch, Numbers, Pairs
from encoders.training.alignment.queries import QueryFit, Tell, Training, learn
from encoders.transformers import MAX_BATCH, Network, embed, pooled
from es_mappings.types import Matrix, Vector

BATCH = 64
LEARNING_RATE = 1e-3


@dataclass(frozen=True, slots=True, eq=False)
class Adapters:
    """By their names in peft's layout."""

    config: LoraConfig
    tensors: dict[str, Tensor]

    def write(self, folder: Path) -> None:
        """Write them as peft reads them, replacing older ones; what else is in the folder stays."""
        folder.mkdir(parents=True, exist_ok=True)
        self.config.save_pretrained(str(folder))
        part = folder / f"{ADAPTERS}.{os.getpid()}.part"
        try:
            save_file(self.tensors, part)
            part.replace(folder / ADAPTERS)
        finally:
            part.unlink(missing_ok=True)


def fit_adapters(
    network: Network,
    rank: int,
    pairs: Pairs,
    texts: Sequence[str],
    mean: Vector,
    *,
    seed: int = 0,
    tell: Tell = lambda _: None,
) -> QueryFit[Adapters]:
    """Learn from pairs whose features are the items' own vectors. One seed, the same numbers.

    network: gets the adapters. pairs: centred; features (n, dims) and texts (t, dims). texts: the same t, as the
    encoder sees them. mean: (dims,), what was taken off the texts' unit vectors.
    """
    return learn(pairs, lambda rows: _AdapterTraining(network, rank, pairs, rows, texts, mean, seed), seed, tell)


class _AdapterTraining(Training[Adapters]):
    """Without dropout, as it is served."""

    def __init__(
        self,
        network: Network,
        rank: int,
        pairs: Pairs,
        rows: Numbers,
        texts: Sequence[str],
        mean: Vector,
        seed: int,
    ) -> None:
        kind = network.model.config.model_type
        where = None if kind in TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING else "all-linear"
        self._config = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=where)
        with torch.random.fork_rng(devices=[]):  # peft draws from the generator that all share
            torch.manual_seed(seed)
            self._model = get_peft_model(network.model, self._config).eval()
        self._config.base_model_name_or_path = None  # a place on this machine; LEARNT knows what they were made of
        self._network = replace(network, model=self._model)
        self._texts, self._mean = texts, mean
        learnt = [one for one in self._model.parameters() if one.requires_grad]
        super().__init__(pairs, rows, learnt, rate=LEARNING_RATE, batch=BATCH, seed=seed)

    def weights(self) -> Adapters:
        state = get_peft_model_state_dict(self._model, save_embedding_layers=False)
        return Adapters(self._config, {name: tensor.detach().clone() for name, tensor in state.items()})

    def placed(self, weights: Adapters, texts: Numbers) -> Matrix:
        set_peft_model_state_dict(self._model, weights.tensors)
        return directions(directions(embed(self._network, self._chosen(texts), MAX_BATCH)) - self._mean)

    def moved(self, batch: Batch) -> Tensor:
        vectors = nn.functional.normalize(pooled(self._network, self._chosen(batch.drawn.numpy())), dim=1)
        return nn.functional.normalize(vectors - torch.from_numpy(self._mean), dim=1)

    def _chosen(self, texts: Numbers) -> list[str]:
        return self._network.prompts.queries([self._texts[number] for number in texts.tolist()])

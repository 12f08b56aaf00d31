"""A trainable link predictor: vectors of entities and relations, message passing over them where the recipe says so."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from encoders.training.graph.compgcn import CompGCNLayer
from encoders.training.graph.evaluate import Score
from encoders.training.graph.models import RotatE, Scoring
from encoders.training.graph.recipes import Recipe


class LinkNetwork(nn.Module):
    """n entities, 2r slots: relation i has the vector i for its tails and r + i for its heads."""

    def __init__(self, entities: int, relations: int, dims: int, recipe: Recipe) -> None:
        super().__init__()
        self.scoring = recipe.scoring
        self.entities = nn.Embedding(entities, dims)
        self.relations = nn.Embedding(2 * relations, recipe.scoring.relation_width(dims))
        self.layers = nn.ModuleList(CompGCNLayer(dims, relations, recipe.dropout) for _ in range(recipe.layers))
        nn.init.normal_(self.entities.weight, std=recipe.initial)
        if isinstance(recipe.scoring, RotatE):
            nn.init.uniform_(self.relations.weight, -torch.pi, torch.pi)
        else:
            nn.init.normal_(self.relations.weight, std=recipe.initial)

    def encode(self, graphs: Sequence[Any], nodes: Tensor) -> tuple[Tensor, Tensor]:
        """Vectors of entities (the last graph's targets, dims) and of slots (2r, relation_width).

        graphs: one graph or block per layer. nodes: the sources of the first one; all that is asked without layers.
        """
        entities, relations = self.entities(nodes), self.relations.weight
        for layer, graph in zip(self.layers, graphs, strict=True):
            entities, relations = layer(graph, entities, relations)
        return entities, relations

    def encode_all(self, graph: Any) -> tuple[Tensor, Tensor]:
        """Vectors of all entities (n, dims) and slots (2r, relation_width), by messages over the whole graph."""
        return self.encode([graph] * len(self.layers), torch.arange(self.entities.num_embeddings))


def scorer(scoring: Scoring, entities: Tensor, relations: Tensor) -> Score:
    """What `filtered_ranks` asks: all entities' scores from their vectors (n, dims) and those of the slots."""

    @torch.no_grad()
    def score(asked: Any, slots: Any) -> Any:
        questions = scoring.ask(entities[torch.from_numpy(asked)], relations[torch.from_numpy(slots)])
        return scoring.compare(questions, entities).numpy()

    return score

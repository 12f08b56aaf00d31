"""From files of triples to the file of vectors that serving reads."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from encoders.training.graph.checkpoint import digest, recorded
from encoders.training.graph.cosine import DIMS, CosineDistMult
from encoders.training.graph.cosine_fit import CosineFit
from encoders.training.graph.edges import hold_out
from encoders.training.graph.fit import Fit
from encoders.training.graph.index_vectors import directions, smooth
from encoders.training.graph.lightgcn import LightGCN
from encoders.training.graph.memory import memory_plan
from encoders.training.graph.recipes import COSINE, LIGHTGCN, MODELS, RECIPES
from encoders.training.graph.reproduce import reproducible
from encoders.training.lines import Problem
from encoders.training.saving import save
from encoders.training.triples import KnowledgeGraph, Triples, numbered, read_graph
from es_mappings.errors import BadInput
from es_mappings.types import Matrix


@dataclass(frozen=True, slots=True)
class TrainingReport:
    """What a training did.

    epochs: how many were trained. loss: mean of the last one. mrr: the model's own mean reciprocal rank of the
    validation triples: of cosine DistMult and LightGCN by the cosine of such vectors as are saved, see `cosine_mrr`, of
    the others by their score at the best epoch; None where the graph is too small to hold any out.
    problems: the lines of the files that were left out.
    """

    model: str
    entities: int
    relations: int
    triples: int
    users: int
    epochs: int
    loss: float
    mrr: float | None
    seconds: float
    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Task:
    """The arguments of `train_graph`, with triples in place of their files."""

    graph: KnowledgeGraph
    valid: Triples | None
    known: Triples
    model: str
    dims: int
    epochs: int | None
    seed: int
    checkpoint: Path | None
    progress: bool


@dataclass(frozen=True, slots=True, eq=False)
class _Learnt:
    epochs: int
    loss: float
    mrr: float | None
    settings: Mapping[str, Any]
    arrays: Mapping[str, Matrix]


def train_graph(
    triples: Path | None,
    names: Path | None,
    output: Path,
    *,
    interactions: Path | None = None,
    model: str | None = None,
    valid: Path | None = None,
    known: tuple[Path, ...] = (),
    dims: int | None = None,
    epochs: int | None = None,
    seed: int = 0,
    checkpoint: Path | None = None,
    progress: bool = True,
    say: Callable[[str], object] = lambda _: None,
) -> TrainingReport:
    """Train on triples, interactions or both and save the vectors, replacing `output` in one step; one seed, the same
    bytes.

    names: None names every entity by its id.
    model: one of MODELS; None is LIGHTGCN where there are interactions, else COSINE.
    dims, epochs: None leaves them to the model.
    valid: triples to validate by, which are not learnt; None holds a few of the triples out. Those of cosine DistMult
    and LightGCN are measured once and then learnt in the last fifth of the training, which comes on top; the other
    models stop when their validation does not get better.
    known: more triples that validation is to take for true.
    checkpoint: a folder for the state after every epoch; a training of the same data and settings goes on from there.
    say: told, before the training begins, how much memory it will take.

    `encoders.training.saving` describes the file.

    Raises BadInput when the files hold no triples, cannot be read, or the arguments do not fit together.
    """
    if model is not None and model not in MODELS:
        raise BadInput(f"{model!r} is no graph model; there are {', '.join(MODELS)}")
    if (dims is not None and dims < 1) or (epochs is not None and epochs < 1):
        raise BadInput("training a graph needs at least one dimension and one epoch")
    start = time.monotonic()
    graph = read_graph(triples, names, interactions)
    model = model or (LIGHTGCN if graph.users else COSINE)
    if graph.users and model in RECIPES:
        raise BadInput(f"{model} does not learn from interactions; {LIGHTGCN} and {COSINE} do")
    problems = list(graph.problems)
    validation = numbered(valid, graph.entities, graph.relations, problems) if valid else None
    others = np.concatenate(
        [graph.triples[:0], *(numbered(path, graph.entities, graph.relations, problems) for path in known)]
    )
    dims = dims or (RECIPES[model].dims if model in RECIPES else DIMS)
    say(memory_plan(model, len(graph.entities), len(graph.triples), dims))
    task = _Task(graph, validation, others, model, dims, epochs, seed, checkpoint, progress)
    with reproducible(seed):
        learnt = _links(task) if model in RECIPES else _cosines(task)
    save(output, graph, learnt.settings, learnt.arrays)
    return TrainingReport(
        model=model,
        entities=len(graph.entities),
        relations=len(graph.relations),
        triples=len(graph.triples),
        users=len(graph.users),
        epochs=learnt.epochs,
        loss=learnt.loss,
        mrr=learnt.mrr,
        seconds=time.monotonic() - start,
        problems=tuple(problems),
    )


def _cosines(task: _Task) -> _Learnt:
    """Of the models that are trained for cosines."""
    graph, valid, seed = task.graph, task.valid, task.seed
    kind = CosineDistMult if task.model == COSINE else LightGCN
    dims, epochs = task.dims, task.epochs or kind.epochs
    network = kind(len(graph.entities), len(graph.relations), dims)
    held = np.zeros(len(graph.triples), dtype=bool)
    if valid is None:
        held = hold_out(graph, np.random.default_rng(seed))
        valid = graph.triples[held]
    settings = {"model": task.model, "dims": dims, "epochs": epochs, "seed": seed, **kind.settings}
    fit = CosineFit(network, graph, held, valid, task.known, epochs)
    content = _content(task, settings, graph.weights, valid)
    with recorded(fit, task.checkpoint, content, fit.epochs, progress=task.progress) as after_epoch:
        fit.run(after_epoch)
    arrays = {
        "vectors": network.vectors(graph.triples),
        "relation_vectors": network.relation_weights().detach().numpy(),
    }
    return _Learnt(fit.epoch, fit.loss, fit.mrr, settings, arrays)


def _links(task: _Task) -> _Learnt:
    graph, valid, model, seed = task.graph, task.valid, task.model, task.seed
    recipe = RECIPES[model]
    dims, epochs = task.dims, task.epochs or recipe.epochs
    if recipe.scoring.is_complex and dims % 2:
        raise BadInput(f"{model} needs an even number of dimensions: real and imaginary parts")
    train = graph.triples
    if valid is None:
        held = hold_out(graph, np.random.default_rng(seed))
        train, valid = train[~held], train[held]
    settings = {"model": model, "dims": dims, "seed": seed}
    settings |= {name: value for name, value in asdict(recipe).items() if name not in ("scoring", "dims", "epochs")}
    fit = Fit(len(graph.entities), len(graph.relations), train, valid, task.known, dims=dims, recipe=recipe, seed=seed)
    content = _content(task, settings, valid)
    with recorded(fit, task.checkpoint, content, epochs, progress=task.progress) as after_epoch:
        best = fit.run(epochs, after_epoch)
    arrays = {
        "vectors": smooth(
            directions(best.entities, centred=recipe.scoring.is_distance), graph.triples, len(graph.relations)
        ),
        "relation_vectors": best.relations[: len(graph.relations)].numpy(),
        "link_entities": best.entities.numpy(),
        "link_relations": best.relations.numpy(),
    }
    return _Learnt(fit.epoch, fit.loss, best.mrr, settings | {"epochs": best.epoch}, arrays)


def _content(task: _Task, settings: Mapping[str, Any], *data: NDArray[Any]) -> dict[str, Any]:
    """What a checkpoint holds beside the state. data: what decides the training beside the triples."""
    graph = task.graph
    return {
        "settings": {**settings, "data": digest(graph, *data, task.known)},
        "entities": list(graph.entities),
        "relations": list(graph.relations),
        "triples": torch.from_numpy(graph.triples),
    }

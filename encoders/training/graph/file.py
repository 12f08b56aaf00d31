"""The file that a training leaves: writing it, and predicting links with it.

A `.npz` of numpy arrays (no pickle):

entities, relations            ids as text, (n,) and (r,)
vectors                        (n, dims) float32, unit length: made to be compared by cosine, see `index_vectors`
relation_vectors               (r, width) float32: the relations' vectors, of cosine DistMult the weights w, of
                               LightGCN 1
triples                        (m, 3) int32: numbers of head entity, relation, tail entity
users                          (u,) int32: the entities that are users
name_entity                    (k,) int32: the entity of a name; one without names, if no user, is named by its id
name_language, name_text       (k,) text
settings                       a JSON text: what the training was told; `model` names the model
link_entities, link_relations  (n, dims) and (2r, width) float32: what the model's score is made of, slot r being the
                               tails of relation r and slot n + r its heads; cosine DistMult and LightGCN have neither
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from encoders.training.graph.checkpoint import FILE, read_checkpoint
from encoders.training.graph.evaluate import Score, filtered_ranks, link_metrics
from encoders.training.graph.models import DistMult, Scoring
from encoders.training.graph.network import scorer
from encoders.training.graph.recipes import RECIPES
from encoders.training.triples import KnowledgeGraph, Name, Problem, Triples, numbered
from es_mappings.errors import BadInput
from es_mappings.types import Matrix


@dataclass(frozen=True, slots=True, eq=False)
class LinkFile:
    """A trained model as far as link prediction needs it. triples: those that it was trained on."""

    model: str
    entities: tuple[str, ...]
    relations: tuple[str, ...]
    triples: Triples
    score: Score


@dataclass(frozen=True, slots=True)
class LinkReport:
    """Filtered metrics over both ends of the test's triples, see `evaluate`; problems: what was left out of them."""

    model: str
    triples: int
    mrr: float
    hits_at_1: float
    hits_at_3: float
    hits_at_10: float
    problems: tuple[Problem, ...]


def evaluate_links(model: Path, test: Path, known: Sequence[Path] = ()) -> LinkReport:
    """Predict both ends of the test's triples with a trained `.npz` or the folder of a checkpoint.

    The triples that the model was trained on are taken for true, and those of the files `known`.
    Raises BadInput when the model or a file cannot be read, or no triple of the test can be ranked.
    """
    links, problems = read_link_file(model), list[Problem]()
    triples = numbered(test, links.entities, links.relations, problems)
    if not len(triples):
        raise BadInput(f"{test}: no triple of entities and relations that {model} knows")
    others = [numbered(path, links.entities, links.relations, problems) for path in known]
    ranks = filtered_ranks(
        links.score, triples, np.concatenate([links.triples, *others]), len(links.entities), len(links.relations)
    )
    metrics = link_metrics(ranks)
    return LinkReport(
        model=links.model,
        triples=len(triples),
        mrr=metrics.mrr,
        hits_at_1=metrics.hits_at_1,
        hits_at_3=metrics.hits_at_3,
        hits_at_10=metrics.hits_at_10,
        problems=tuple(problems),
    )


def save(
    output: Path,
    graph: KnowledgeGraph,
    settings: Mapping[str, Any],
    arrays: Mapping[str, Matrix],
) -> None:
    """Write the graph, its names and the arrays, replacing `output` in one step."""
    # A user without a name has none, so that nobody finds people by typing.
    named = {name.entity for name in graph.names} | {*graph.users}
    names = graph.names + tuple(Name(i, "", e) for i, e in enumerate(graph.entities) if i not in named)
    output.parent.mkdir(parents=True, exist_ok=True)
    part = output.with_name(f"{output.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            np.savez(
                file,
                entities=np.array(graph.entities, dtype=np.str_),
                relations=np.array(graph.relations, dtype=np.str_),
                triples=graph.triples.astype(np.int32),
                users=np.array(graph.users, dtype=np.int32),
                name_entity=np.array([name.entity for name in names], dtype=np.int32),
                name_language=np.array([name.language for name in names], dtype=np.str_),
                name_text=np.array([name.text for name in names], dtype=np.str_),
                settings=np.array(json.dumps(dict(settings), sort_keys=True)),
                **dict[str, Any](arrays),
            )
        part.replace(output)
    finally:
        part.unlink(missing_ok=True)


def read_link_file(path: Path) -> LinkFile:
    """Read a trained `.npz`, or the folder of a checkpoint at its best epoch so far.

    A file of cosine DistMult or LightGCN scores by what it holds: sum_i w_ri v_hi v_ti over the vectors of the index.
    Raises BadInput for anything else.
    """
    return _from_checkpoint(path) if path.is_dir() else _from_npz(path)


def _from_npz(path: Path) -> LinkFile:
    try:
        with path.open("rb") as file:
            if not zipfile.is_zipfile(file):
                raise ValueError("not an .npz archive")
            file.seek(0)
            arrays = np.load(file, allow_pickle=False)
            model = json.loads(str(arrays["settings"]))["model"]
            if model not in RECIPES:
                scoring: Scoring = DistMult()
                entities, relations = arrays["vectors"], np.tile(arrays["relation_vectors"], (2, 1))
            else:
                scoring = RECIPES[model].scoring
                entities, relations = arrays["link_entities"], arrays["link_relations"]
            return LinkFile(
                model=model,
                entities=tuple(arrays["entities"].tolist()),
                relations=tuple(arrays["relations"].tolist()),
                triples=arrays["triples"].astype(np.int64),
                score=scorer(scoring, torch.from_numpy(entities), torch.from_numpy(relations)),
            )
    except (OSError, ValueError, LookupError, EOFError, TypeError, zipfile.BadZipFile) as error:
        raise BadInput(f"{path}: not a graph that `maxcos graph train` wrote ({error})") from error


def _from_checkpoint(folder: Path) -> LinkFile:
    content = read_checkpoint(folder)
    if content is None:
        raise BadInput(f"{folder}: no {FILE} in this folder")
    best = content["state"]["best"]
    if best is None:
        raise BadInput(f"{folder}: this training has not been validated yet; let it run for a few epochs more")
    return LinkFile(
        model=content["settings"]["model"],
        entities=tuple(content["entities"]),
        relations=tuple(content["relations"]),
        triples=content["triples"].numpy(),
        score=scorer(RECIPES[content["settings"]["model"]].scoring, best["entities"], best["relations"]),
    )

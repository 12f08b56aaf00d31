"""Predicting links with the file that a training leaves, see `encoders.training.saving`, or with its checkpoint."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from encoders.training.graph.checkpoint import FILE, read_checkpoint
from encoders.training.graph.evaluate import Score, filtered_ranks, link_metrics
from encoders.training.graph.models import DistMult, Scoring
from encoders.training.graph.network import scorer
from encoders.training.graph.recipes import RECIPES
from encoders.training.lines import Problem
from encoders.training.triples import Triples, numbered
from es_mappings.errors import BadInput


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
    model = content["settings"]["model"]
    if model not in RECIPES:
        raise BadInput(f"{folder}: {model} is no link predictor; measure the file that its training ends with")
    best = content["state"]["best"]
    if best is None:
        raise BadInput(f"{folder}: this training has not been validated yet; let it run for a few epochs more")
    return LinkFile(
        model=model,
        entities=tuple(content["entities"]),
        relations=tuple(content["relations"]),
        triples=content["triples"].numpy(),
        score=scorer(RECIPES[model].scoring, best["entities"], best["relations"]),
    )

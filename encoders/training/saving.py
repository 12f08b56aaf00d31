"""Writing the file that a training leaves.

A `.npz` of numpy arrays (no pickle):

entities, relations            ids as text, (n,) and (r,)
vectors                        (n, dims) float32, unit length: made to be compared by cosine, see `index_vectors`
relation_vectors               (r, width) float32: the relations' vectors, of cosine DistMult the weights w, of
                               LightGCN 1
triples                        (m, 3) int32: numbers of head entity, relation, tail entity
users                          (u,) int32: the entities that are users
name_entity                    (k,) int32: the entity of a name; one without names, if no user, is named by its id
name_language, name_text       (k,) text
settings                       a JSON text: what the training was told; `model` names the model, and `trained` the
                               training of which `encoders.training.update` has changed the file
link_entities, link_relations  (n, dims) and (2r, width) float32: what the model's score is made of, slot r being the
                               tails of relation r and slot n + r its heads; cosine DistMult and LightGCN have neither
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from encoders.training.triples import KnowledgeGraph, Name
from es_mappings.types import Matrix


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

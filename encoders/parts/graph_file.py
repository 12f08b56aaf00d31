"""A trained graph's `.npz` as serving reads it: with numpy alone, mapped into memory."""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from encoders.parts.arrays import mapped_arrays
from encoders.parts.names import Name
from encoders.parts.users import INTERACTED
from encoders.parts.weights import contents_digest, fingerprint_of
from es_mappings.errors import EncoderError
from es_mappings.types import Matrix

VERSION = "graph-1"
"""Part of the fingerprint: raise it when the same file gives other vectors."""

COSINE = "cosine-distmult"
"""The model whose relations are weights of the very vectors that the index compares; those of others are not."""

TRAINED = "trained"
"""The setting of an updated file that says which training's space it is in, see `GraphFile.trained`."""

NO_INTERACTIONS: NDArray[np.int32] = np.empty((0, 2), dtype=np.int32)


@dataclass(frozen=True, slots=True, eq=False)
class GraphFile:
    """What a trained graph's file holds, see `encoders.training.graph.train_graph`.

    entities: (n,) ids. vectors: (n, dims) float32 of unit length. relations: their names. relation_weights: (r, dims)
    float32, positive, as in `relation_vectors`; None for another model than COSINE, whose relations do not act on these
    vectors. triples: (m, 3) numbers of head entity, relation, tail entity, without interactions. interactions: (k, 2)
    numbers of user and item. users: numbers of the entities that are users. names: in the order of the file.
    trained: the digest of the file that the training wrote, which updates keep: they stay in its space.
    """

    entities: tuple[str, ...]
    vectors: Matrix
    relations: tuple[str, ...]
    relation_weights: Matrix | None
    triples: NDArray[np.int32]
    interactions: NDArray[np.int32]
    users: frozenset[int]
    names: tuple[Name, ...]
    trained: str

    @property
    def fingerprint(self) -> str:
        """Sixteen hex digits for the space that the vectors are in."""
        return fingerprint_of([self.trained], VERSION)


def read_graph_file(path: Path) -> GraphFile:
    """Read a trained graph; its vectors and triples stay in the file until they are needed.

    Raises EncoderError when the file is missing or is not one.
    """
    if not path.is_file():
        raise EncoderError(
            f"{path}: no such graph; train it with `maxcos graph train` or `maxcos ingest --triples FILE`"
        )
    try:
        arrays = mapped_arrays(path)
        settings = json.loads(str(arrays["settings"]))
        relations = tuple(arrays["relations"].tolist())
        # A file of an older version knows no users.
        users = arrays.get("users", NO_INTERACTIONS[:, 0])
        triples, interactions = _apart(np.asarray(arrays["triples"]), users, relations)
        graph = GraphFile(
            entities=tuple(arrays["entities"].tolist()),
            vectors=_floats(arrays["vectors"]),
            relations=relations,
            relation_weights=_floats(arrays["relation_vectors"]) if settings.get("model", COSINE) == COSINE else None,
            triples=triples,
            interactions=interactions,
            users=frozenset(users.tolist()),
            names=tuple(map(Name, *(arrays[f"name_{part}"].tolist() for part in ("entity", "language", "text")))),
            trained=settings.get(TRAINED) or contents_digest(path),
        )
    except (OSError, ValueError, LookupError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        raise EncoderError(f"{path}: not a graph that `maxcos graph train` wrote ({error})") from error
    if graph.vectors.ndim != 2 or len(graph.vectors) != len(graph.entities):
        raise EncoderError(f"{path}: {len(graph.entities)} entities, but vectors {graph.vectors.shape}")
    weights = graph.relation_weights
    if weights is not None and weights.shape != (len(graph.relations), graph.vectors.shape[1]):
        raise EncoderError(f"{path}: {len(graph.relations)} relations, but vectors {weights.shape}")
    return graph


def _apart(
    triples: NDArray[np.int32], users: NDArray[np.int32], relations: tuple[str, ...]
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """What the graph knows of things, (m, 3), and what users did, (k, 2): facts are told to everybody, the rest not."""
    if not len(users):
        return triples, NO_INTERACTIONS
    done = np.isin(triples[:, 0], users) & (triples[:, 1] == relations.index(INTERACTED))
    return triples[~done], triples[done][:, [0, 2]]


def _floats(array: NDArray[Any]) -> Matrix:
    return np.ascontiguousarray(array, dtype=np.float32)

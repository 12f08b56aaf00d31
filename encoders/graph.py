"""The graph modality: vectors of a knowledge graph's nodes, trained by `maxcos graph train`, read from a `.npz`.

Needs numpy only. Items, tags, categories and makers are nodes of the same space, so that a word that names
a tag finds the items that carry it and those near them.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from encoders.contract import Encoded, Encoder, unit
from encoders.parts.linking import EntityLinker, Link
from encoders.parts.weights import fingerprint
from es_mappings.errors import BadInput, EncoderError, SettingsError
from es_mappings.types import EntityTerm, Matrix, Provenance, Space, Term, TextTerm, Vector

if TYPE_CHECKING:
    from es_mappings.settings import ModalitySettings

VERSION = "graph-1"
"""Part of the fingerprint: raise it when the same file gives other vectors."""

CONCEPT_WEIGHT = 1.5
"""What a tag or category of a name counts for against the items titled so.

Measured on the furniture catalogue with the 49 names that tags or categories share with items, precision at 10
against the items that are titled so or tagged so: 0.62 without the items, 0.80 when all entities count the same,
0.85 at 1, 0.86 at 1.5, 0.83 at 2; against the tagged ones alone 1.00, 0.41, 0.75, 0.95, 0.97.
"""


@dataclass(frozen=True, slots=True, eq=False)
class GraphFile:
    """What a trained graph's file holds, see `encoders.training.graph.train_graph`.

    entities: (n,) ids. vectors: (n, dims) float32 of unit length. relations: their names.
    triples: (m, 3) numbers of head entity, relation, tail entity. names: pairs of entity number and name.
    fingerprint: of the file's contents, see `encoders.parts.weights.fingerprint`.
    """

    entities: tuple[str, ...]
    vectors: Matrix
    relations: tuple[str, ...]
    triples: NDArray[np.int32]
    names: tuple[tuple[int, str], ...]
    fingerprint: str


def load(modality: str, settings: ModalitySettings, peers: Mapping[str, Encoder]) -> GraphEncoder:
    """Read the graph of a modality; it has no options and needs no peers.

    Raises SettingsError when `model` is not set, EncoderError when that file is missing or no trained graph.
    """
    settings.options()
    if settings.model is None:
        raise SettingsError(f"modalities.{modality}.model: name the file that `maxcos graph train` writes")
    return GraphEncoder(modality, read_graph_file(Path(settings.model)))


def read_graph_file(path: Path) -> GraphFile:
    """Read a trained graph. Raises EncoderError when the file is missing or is not one."""
    if not path.is_file():
        raise EncoderError(
            f"{path}: no such graph; train it with `maxcos graph train` or `maxcos ingest --triples FILE`"
        )
    try:
        with path.open("rb") as file:
            if not zipfile.is_zipfile(file):
                raise ValueError("not an .npz archive")
            file.seek(0)
            arrays = np.load(file, allow_pickle=False)
            graph = GraphFile(
                entities=tuple(arrays["entities"].tolist()),
                vectors=np.ascontiguousarray(arrays["vectors"], dtype=np.float32),
                relations=tuple(arrays["relations"].tolist()),
                triples=arrays["triples"],
                names=tuple(zip(arrays["name_entity"].tolist(), arrays["name_text"].tolist(), strict=True)),
                fingerprint=fingerprint([path], VERSION),
            )
    except (OSError, ValueError, LookupError, EOFError, zipfile.BadZipFile) as error:
        raise EncoderError(f"{path}: not a graph that `maxcos graph train` wrote ({error})") from error
    if graph.vectors.ndim != 2 or len(graph.vectors) != len(graph.entities):
        raise EncoderError(f"{path}: {len(graph.entities)} entities, but vectors {graph.vectors.shape}")
    return graph


class GraphEncoder:
    """One space, named like the modality; an item's source field holds its entity's id."""

    def __init__(self, modality: str, graph: GraphFile) -> None:
        dims = graph.vectors.shape[1]
        self.graph = graph
        self.spaces = (Space(modality, modality, dims),)
        self.provenance = {modality: Provenance("graph", graph.fingerprint, dims)}
        self._name = modality
        self._numbers = {entity: number for number, entity in enumerate(graph.entities)}
        self._is_concept = np.bincount(graph.triples[:, 2], minlength=len(graph.entities)) > 0

    def encode_items(self, values: Sequence[Sequence[Any]], base: Path) -> Encoded:
        """The vector of each item's node; the first value is the entity's id, an unknown one has none."""
        vectors: list[Vector | None] = []
        errors: dict[int, BadInput] = {}
        for index, fields in enumerate(values):
            try:
                vectors.append(self._vector(_entity_id(fields)))
            except BadInput as error:
                vectors.append(None)
                errors[index] = error
        return Encoded({self._name: vectors}, errors)

    def encode_query(self, term: Term) -> Mapping[str, Vector]:
        """The node of an entity term, the mean of what a text names; other terms mean nothing to a graph.

        Raises BadInput for an unknown entity.
        """
        vector: Vector | None = None
        if isinstance(term, EntityTerm):
            vector = self._vector(term.id)
            if vector is None:
                raise BadInput(f"{term.id!r} is not an entity of the graph")
        elif isinstance(term, TextTerm):
            vector = self._mean(self.link(term.text))
        return {} if vector is None else {self._name: vector}

    def link(self, text: str) -> tuple[Link, ...]:
        """The entities that a text names, see `EntityLinker.link`; of one name, the most used ones first."""
        return self._linker.link(text)

    @cached_property
    def _linker(self) -> EntityLinker:
        """Built at the first text; ingest never needs it."""
        entities, incoming = self.graph.entities, np.bincount(self.graph.triples[:, 2], minlength=1)
        priority = {entities[number]: float(incoming[number]) for number in np.flatnonzero(incoming)}
        return EntityLinker(((entities[number], name) for number, name in self.graph.names), priority)

    def _vector(self, entity: str | None) -> Vector | None:
        number = None if entity is None else self._numbers.get(entity)
        return None if number is None else self.graph.vectors[number]

    def _mean(self, links: Iterable[Link]) -> Vector | None:
        """Each name counts once, however many entities share it; None when there is none or all cancel out."""
        spans = [
            self._sense([self._numbers[link.entity] for link in shared])
            for _, shared in groupby(links, key=lambda link: link.start)
        ]
        return _direction(np.sum(spans, axis=0)) if spans else None

    def _sense(self, numbers: list[int]) -> Vector:
        """What a name means that several entities share: the mean of its concepts and the mean of its items.

        A concept is an entity that something points at: a tag, a category, a maker. Its vector finds what is tagged
        so, that of the items what is merely titled so, and a single item may be titled "Sofa" by chance.
        """
        concepts = [n for n in numbers if self._is_concept[n]]
        items = [n for n in numbers if not self._is_concept[n]]
        sense = np.zeros(self.graph.vectors.shape[1], dtype=np.float32)
        for group, weight in ((concepts, CONCEPT_WEIGHT), (items, 1.0)):
            if group:
                sense += weight * self.graph.vectors[group].mean(axis=0)
        return sense if (unit_sense := _direction(sense)) is None else unit_sense


def _direction(vector: Vector) -> Vector | None:
    """The vector at unit length, None when it has no length."""
    try:
        scaled: Vector = unit(vector[None, :], "text")[0]
    except BadInput:
        return None
    return scaled


def _entity_id(fields: Sequence[Any]) -> str | None:
    """The first value, or the first of a list; None when there is none."""
    for value in fields:
        for single in value if isinstance(value, list | tuple) else (value,):
            if isinstance(single, bool) or not isinstance(single, str | int):
                raise BadInput(f"an entity's id is a text or a whole number, not {type(single).__name__}")
            return str(single)
    return None

"""The graph modality: vectors of a knowledge graph's nodes, trained by `maxcos graph train`, read from a `.npz`.

Needs numpy only. Items, tags, categories and makers are nodes of the same space, so that a word that names
a tag finds the items that carry it and those near them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from encoders.contract import Encoded, Encoder, unit
from encoders.parts.facts import Facts, Goal
from encoders.parts.graph_file import GraphFile, read_graph_file
from encoders.parts.inductive import direction, inductive, smoothed
from encoders.parts.linking import Link as NameLink
from encoders.parts.paths import Numbers
from encoders.parts.relatives import Link, Relatives
from encoders.parts.users import user_entity
from encoders.parts.weights import HEX_DIGITS
from es_mappings.errors import BadInput, BadTerm, SettingsError
from es_mappings.schema import lookup
from es_mappings.types import (
    EntityMatch,
    EntityTerm,
    Fields,
    GraphPath,
    ItemTerm,
    Provenance,
    Space,
    Term,
    TextTerm,
    UserTerm,
    Vector,
)

if TYPE_CHECKING:
    from es_mappings.settings import ModalitySettings

CONCEPT_WEIGHT = 1.5
"""What a tag or category of a name counts for against the items titled so.

Measured on the furniture catalogue with the 49 names that tags or categories share with items, precision at 10
against the items that are titled so or tagged so: 0.62 without the items, 0.80 when all entities count the same,
0.85 at 1, 0.86 at 1.5, 0.83 at 2; against the tagged ones alone 1.00, 0.41, 0.75, 0.95, 0.97.
"""

MOST_LISTED = 50
"""Relations that an error lists."""


def load(modality: str, settings: ModalitySettings, peers: Mapping[str, Encoder]) -> GraphEncoder:
    """Read the graph of a modality; a text modality beside it is needed by the option `align` only.

    Its option `relations` names fields of items and the relations that their values stand in to them: an item that is
    not in the graph has its vector by those. Raises SettingsError when `model` is not set or a relation is not in the
    graph, EncoderError when that file is missing or no trained graph.
    """
    settings.options("relations", "words", "align")
    if settings.model is None:
        raise SettingsError(f"modalities.{modality}.model: name the file that `maxcos graph train` writes")
    graph = read_graph_file(Path(settings.model))
    for field, relation in settings.relations.items():
        if relation not in graph.relations:
            known = ", ".join(graph.relations[:MOST_LISTED])
            place = f"modalities.{modality}.relations.{field}"
            raise SettingsError(f"{place}: {relation!r} is not a relation of the graph, which has {known}")
    from encoders.parts.graph_words import beside_texts  # which is made of what stands below

    return beside_texts(modality, graph, settings, peers)


class GraphEncoder:
    """One space, named like the modality; an item's source field holds its entity's id."""

    def __init__(
        self,
        modality: str,
        graph: GraphFile,
        source: tuple[str, ...] = ("id",),
        relations: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """relations: by field of an item the relation that links it to the field's values, see `Relatives`."""
        dims = graph.vectors.shape[1]
        self.graph = graph
        self.facts = Facts(graph.entities, graph.relations, graph.triples, graph.names)
        self.spaces: tuple[Space, ...] = (Space(modality, modality, dims),)
        self.provenance: Mapping[str, Provenance] = {
            modality: Provenance("graph", _fingerprint(graph, relations), dims)
        }
        self._source = source
        self._relatives = Relatives(self.facts, relations)
        self._name = modality
        self._numbers = self.facts.numbers

    def encode_items(self, values: Sequence[Sequence[Any]], base: Path) -> Encoded:
        """The vector of each item's node; the first value is the entity's id.

        One that the graph does not know has a vector by its relations, where the last value is the `Fields` of those
        and names an entity; else it has none.
        """
        vectors: list[Vector | None] = []
        errors: dict[int, BadInput] = {}
        for index, fields in enumerate(values):
            try:
                vectors.append(self._item_vector(fields))
            except BadInput as error:
                vectors.append(None)
                errors[index] = error
        return Encoded({self._name: vectors}, errors)

    def digest_items(self, values: Sequence[Sequence[Any]], base: Path) -> list[str | None]:
        """Of each item a digest of its very vector: an updated graph keeps its fingerprint, and most of its vectors."""
        vectors = self.encode_items(values, base).vectors[self._name]
        return [None if vector is None else hashlib.sha256(vector.tobytes()).hexdigest() for vector in vectors]

    def encode_query(self, term: Term) -> Mapping[str, Vector]:
        """The node of an entity or user term, the mean of what a text names; others mean nothing to a graph.

        Raises BadInput for an unknown entity, BadTerm for an unknown relation or user.
        """
        vector: Vector | None = None
        if isinstance(term, EntityTerm):
            vector = self._related(term)
        elif isinstance(term, UserTerm):
            vector = self.graph.vectors[self._user(term.id)]
        elif isinstance(term, TextTerm):
            vector = self._mean(term.text)
        return {} if vector is None else {self._name: vector}

    # --- what the graph tells beside vectors, see `encoders.contract.Graph`

    def link(self, text: str) -> tuple[NameLink, ...]:
        """The entities that a text names, see `EntityLinker.link`; of one name, the most used ones first."""
        return self.facts.link(text)

    def search(self, text: str, size: int, languages: Sequence[str]) -> list[EntityMatch]:
        """Entities that a text may mean, see `Facts.search`."""
        return self.facts.search(text, size, languages)

    def seen(self, user: str) -> tuple[str, ...]:
        """The ids of the items that a user has interacted with; an item's entity has the item's id.

        Raises BadTerm for an unknown user, and where items have another field for that.
        """
        found = self._known_to(user)
        if self._source[0] != "id":
            raise BadTerm("exclude_seen", f"the graph knows items by {self._source[0]!r}, not by their ids: use false")
        return found

    def named(self, term: Term, item: Mapping[str, Any] | None) -> tuple[str, ...]:
        """The entities of the graph that a term is about; item: the fields of an item term's item, with its `id`.

        Of a name that concepts and items share, the concepts: "sofa" is about sofas, not about each item of that title.
        A user is about the items of the interactions, since nothing is told of users.
        """
        if isinstance(term, TextTerm):
            return tuple(self.graph.entities[n] for span in self._spans(term.text) for n in span[0] or span[1])
        if isinstance(term, EntityTerm):
            return (term.id,) if term.id in self._numbers else ()
        if isinstance(term, UserTerm):
            return self._known_to(term.id)
        return self._about(item) if isinstance(term, ItemTerm) and item is not None else ()

    def paths(
        self, origins: Sequence[str], items: Sequence[Mapping[str, Any]], languages: Sequence[str]
    ) -> list[tuple[GraphPath, ...]]:
        """For each item, given by its fields with its `id`, the best paths from these entities of the graph to it."""
        numbers = [self._numbers[origin] for origin in origins]
        return self.facts.paths(numbers, [self._goal(item) for item in items], languages)

    def _known_to(self, user: str) -> tuple[str, ...]:
        rows = self.graph.interactions
        return tuple(self.graph.entities[item] for item in rows[rows[:, 0] == self._user(user), 1].tolist())

    def _about(self, item: Mapping[str, Any]) -> tuple[str, ...]:
        """An item's node, or what it is linked to where the graph does not know it."""
        goal = self._goal(item)
        numbers = [tail for _, tail in goal.links] if goal.number is None else [goal.number]
        return tuple(self.graph.entities[number] for number in numbers)

    def _goal(self, item: Mapping[str, Any]) -> Goal:
        """An item that paths lead to; one whose fields cannot be read has no links."""
        values = [value for name in self._source if (value := lookup(item, name)) is not None]
        try:
            number = self._numbers.get(_entity_id(values) or "")
            links = () if number is not None else tuple(self._relatives.links(item))
        except BadInput:
            number, links = None, ()
        return Goal(number, item["id"] if number is None else self.graph.entities[number], links)

    # --- vectors

    def _user(self, identifier: str) -> int:
        number = self._numbers.get(user_entity(identifier))
        if number is None or number not in self.graph.users:
            raise BadTerm("user", f"{identifier!r} is not a user whose interactions the graph was trained with")
        return number

    def _related(self, term: EntityTerm) -> Vector:
        """The entity's vector v; with a relation r what the model expects there, and what the graph knows to be there:

            q = unit(unit(w_r * v) + unit(sum_j v_j / sqrt(deg_j)))          j over the neighbours by r

        The first is the unit vector x with the highest sum_i w_ri v_i x_i, which is how the model scores triples of r,
        the same in both directions; of a model without such weights it is v. The second is what training smooths with,
        over one relation and, where it is asked, one direction. `benchmarks/graph_typed_relations.py` measures both.
        """
        entity = self._numbers.get(term.id)
        if entity is None:
            raise BadInput(f"{term.id!r} is not an entity of the graph")
        vector: Vector = self.graph.vectors[entity]
        if term.relation is None:
            return vector
        relation = self._relation(term.relation)
        weights = self.graph.relation_weights
        expected: Vector = vector if weights is None else unit(weights[relation] * vector[None, :], term.relation)[0]
        neighbours = self._neighbours(entity, relation, term)
        known = smoothed(self.graph.vectors, neighbours, self.facts.degrees(neighbours))
        both = None if known is None else direction(expected + known)
        return expected if both is None else both

    def _neighbours(self, entity: int, relation: int, term: EntityTerm) -> Numbers:
        """Linked by the relation in the direction that is asked; none where it has the relation in neither."""
        edges = self.facts.edges(entity)
        edges = edges.take(edges.relation == relation)
        there = edges.after if term.direction is None else edges.after[edges.outward == (term.direction == "out")]
        if len(edges) and not len(there):
            verb = "arrives at" if term.direction == "in" else "leaves"
            raise BadTerm(
                "direction", f"no triple {term.relation!r} {verb} {term.id!r}: it has the other direction only"
            )
        return there

    def _relation(self, name: str) -> int:
        if name not in self.graph.relations:
            known = ", ".join(self.graph.relations[:MOST_LISTED])
            raise BadTerm("relation", f"{name!r} is not a relation of the graph, which has {known}")
        return self.graph.relations.index(name)

    def _item_vector(self, values: Sequence[Any]) -> Vector | None:
        vector = self._vector(_entity_id([value for value in values if not isinstance(value, Fields)]))
        if vector is not None:
            return vector
        links = [link for value in values if isinstance(value, Fields) for link in self._relatives.links(value.values)]
        return self._inductive(links)

    def _inductive(self, links: Sequence[Link]) -> Vector | None:
        """The vector of an item that training did not see, from the triples (relation, tail) that it would have."""
        if not links:
            return None
        relations, tails = np.array(links, dtype=np.int64).T
        # The degrees count the item too.
        degrees = self.facts.degrees(tails) + 1
        return inductive(self.graph.vectors, self.graph.relation_weights, relations, tails, degrees)

    def _vector(self, entity: str | None) -> Vector | None:
        number = None if entity is None else self._numbers.get(entity)
        return None if number is None else self.graph.vectors[number]

    def _mean(self, text: str) -> Vector | None:
        """Each name counts once, however many entities share it; None when there is none or all cancel out."""
        senses = [self._sense(concepts, items) for concepts, items in self._spans(text)]
        return direction(np.sum(senses, axis=0)) if senses else None

    def _spans(self, text: str) -> list[tuple[list[int], list[int]]]:
        """For each name in a text the concepts and the items that bear it.

        A concept is an entity that something points at: a tag, a category, a maker. Its vector finds what is tagged
        so, that of the items what is merely titled so, and a single item may be titled "Sofa" by chance.
        """
        found = []
        for _, shared in groupby(self.link(text), key=lambda link: link.start):
            numbers = [self._numbers[link.entity] for link in shared]
            concepts = [n for n in numbers if self.facts.incoming[n]]
            found.append((concepts, [n for n in numbers if not self.facts.incoming[n]]))
        return found

    def _sense(self, concepts: list[int], items: list[int]) -> Vector:
        """What a name means that several entities share: the mean of its concepts and the mean of its items."""
        sense = np.zeros(self.graph.vectors.shape[1], dtype=np.float32)
        for group, weight in ((concepts, CONCEPT_WEIGHT), (items, 1.0)):
            if group:
                sense += weight * self.graph.vectors[group].mean(axis=0)
        return sense if (unit_sense := direction(sense)) is None else unit_sense


def _fingerprint(graph: GraphFile, relations: Mapping[str, str]) -> str:
    """Of all that decides the vectors; that of the file alone where there are no relations."""
    if not relations:
        return graph.fingerprint
    text = json.dumps([graph.fingerprint, sorted(relations.items())])
    return hashlib.sha256(text.encode()).hexdigest()[:HEX_DIGITS]


def _entity_id(fields: Sequence[Any]) -> str | None:
    """The first value, or the first of a list; None when there is none."""
    for value in fields:
        for single in value if isinstance(value, list | tuple) else (value,):
            if isinstance(single, bool) or not isinstance(single, str | int):
                raise BadInput(f"an entity's id is a text or a whole number, not {type(single).__name__}")
            return str(single)
    return None

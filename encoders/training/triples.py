"""A knowledge graph by numbers: triples, names and interactions, as `encoders.training.lines` reads them."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from encoders.parts.users import INTERACTED, user_entity
from encoders.training.lines import Done, Problem, Row, interactions_in, rows_in, triples_in
from es_mappings.errors import BadInput

Triples = NDArray[np.int64]
"""Shape (m, 3): numbers of head entity, relation, tail entity."""

Weights = NDArray[np.float32]
"""Shape (m,): what each triple counts for in training."""


@dataclass(frozen=True, slots=True)
class Name:
    """One name or alias; `entity` is an index into the entities, `language` a code such as `en` ("" if unknown)."""

    entity: int
    language: str
    text: str


@dataclass(frozen=True, slots=True, eq=False)
class KnowledgeGraph:
    """Distinct triples over numbered entities and relations; numbers follow the first appearance in the files.

    triples: shape (n, 3), int64, the columns being head entity, relation, tail entity. weights: (n,) float32, what each
    counts for in training. times: (n,) float64, when an interaction was, -inf where that is unknown or it is none.
    users: the entities that are users; every triple that has one as its head and INTERACTED as its relation is an
    interaction. problems: the lines that were left out; the rest of the files counts all the same.
    """

    entities: tuple[str, ...]
    relations: tuple[str, ...]
    triples: Triples
    weights: Weights
    times: NDArray[np.float64]
    users: tuple[int, ...] = ()
    names: tuple[Name, ...] = ()
    problems: tuple[Problem, ...] = ()

    @property
    def interactions(self) -> NDArray[np.bool_]:
        """(n,) which of the triples are interactions."""
        relation = self.relations.index(INTERACTED) if self.users else -1
        found: NDArray[np.bool_] = np.isin(self.triples[:, 0], self.users) & (self.triples[:, 1] == relation)
        return found

    def without(self, lost: NDArray[np.bool_]) -> KnowledgeGraph:
        """The graph without some entities, (n,), and without their triples and names."""
        numbers = np.cumsum(~lost) - 1
        kept = ~lost[self.triples[:, [0, 2]]].any(axis=1)
        triples = self.triples[kept]
        triples[:, [0, 2]] = numbers[triples[:, [0, 2]]]
        return replace(
            self,
            entities=tuple(entity for number, entity in enumerate(self.entities) if not lost[number]),
            triples=triples,
            weights=self.weights[kept],
            times=self.times[kept],
            users=tuple(int(numbers[user]) for user in self.users if not lost[user]),
            names=tuple(replace(n, entity=int(numbers[n.entity])) for n in self.names if not lost[n.entity]),
        )


def read_graph(triples: Path | None, names: Path | None = None, interactions: Path | None = None) -> KnowledgeGraph:
    """Read triples, interactions or both, and, where given, names.

    Raises BadInput when a file cannot be read or has no triple at all. Single bad lines end up in `problems`.
    """
    if triples is None and interactions is None:
        raise BadInput("a graph is made of triples, of interactions, or of both")
    problems: list[Problem] = []
    return numbered_graph(
        triples_in(triples, problems) if triples is not None else (),
        interactions_in(interactions, problems) if interactions is not None else (),
        rows_in(names, problems) if names is not None else (),
        problems,
    )


def numbered_graph(
    facts: Iterable[Row], interactions: Iterable[Done], names: Iterable[Row], problems: Sequence[Problem]
) -> KnowledgeGraph:
    """The graph of triples, then interactions; names of entities without a triple are left out.

    A triple counts 1. What a user did with the same item again adds up, at the latest of its times.
    problems: as they are when all has been read.
    """
    entities: dict[str, int] = {}
    relations: dict[str, int] = {}
    found = array("q")  # 24 bytes for a triple, where a tuple of numbers takes 200
    for head, relation, tail in facts:
        found.extend((_number(entities, head), _number(relations, relation), _number(entities, tail)))
    done = _done(interactions, entities, relations)
    known = _distinct(found, len(entities), len(relations))
    weights, times = np.array([*done.values()], dtype=np.float64).reshape(-1, 2).T
    named = dict.fromkeys(Name(entities[entity], language, text) for entity, language, text in names
                          if entity in entities)  # fmt: skip
    return KnowledgeGraph(
        entities=tuple(entities),
        relations=tuple(relations),
        triples=np.concatenate([known, np.array([*done], dtype=np.int64).reshape(-1, 3)]),
        weights=np.concatenate([np.ones(len(known)), weights]).astype(np.float32),
        times=np.concatenate([np.full(len(known), -math.inf), times]),
        users=tuple(dict.fromkeys(user for user, _, _ in done)),
        names=tuple(named),
        problems=tuple(problems),
    )


def _done(
    interactions: Iterable[Done], entities: dict[str, int], relations: dict[str, int]
) -> dict[tuple[int, int, int], tuple[float, float]]:
    """By triple its weight and time; entities and relations are numbered on the way."""
    found: dict[tuple[int, int, int], tuple[float, float]] = {}
    for user, item, weight, time in interactions:
        head = _number(entities, user_entity(user))
        triple = (head, _number(relations, INTERACTED), _number(entities, item))
        before, last = found.get(triple, (0.0, -math.inf))
        found[triple] = (before + weight, max(last, time))
    return found


def numbered(path: Path, entity_ids: Sequence[str], relation_ids: Sequence[str], problems: list[Problem]) -> Triples:
    """More triples, such as a test's, by a trained graph's numbers; what has none is added to `problems`.

    Raises BadInput when the file cannot be read.
    """
    entities = {entity: number for number, entity in enumerate(entity_ids)}
    relations = {relation: number for number, relation in enumerate(relation_ids)}
    found = array("q")
    strange = 0
    for head, relation, tail in rows_in(path, problems):
        if head in entities and relation in relations and tail in entities:
            found.extend((entities[head], relations[relation], entities[tail]))
        else:
            strange += 1
    if strange:
        problems.append((f"{path}", f"{strange} triples name an entity or relation that training has not seen"))
    return _distinct(found, len(entities), len(relations))


def _distinct(numbers: array[int], entities: int, relations: int) -> Triples:
    """The triples, each where it stands first. One int64 for each holds ten million entities with ten thousand
    relations.
    """
    triples = np.array(numbers, dtype=np.int64).reshape(-1, 3)
    keys = (triples[:, 0] * relations + triples[:, 1]) * entities + triples[:, 2]
    _, first = np.unique(keys, return_index=True)
    return np.ascontiguousarray(triples[np.sort(first)])


def _number(numbers: dict[str, int], key: str) -> int:
    return numbers.setdefault(key, len(numbers))

"""What a knowledge graph tells in words beside its vectors: entities by name, how they are linked, and paths."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from encoders.parts.linking import EntityLinker, Link, keys_of
from encoders.parts.names import Found, Name, NameIndex
from encoders.parts.paths import Adjacency, Edges, Numbers, Origins, Trail
from es_mappings.types import Entity, EntityMatch, GraphPath, Step, Tie


class Goal(NamedTuple):
    """Where paths lead: an entity by its number, or None for one that the graph does not know.

    id: its id. links: the triples that an unknown one would have, pairs of the numbers of a relation and of its tail.
    """

    number: int | None
    id: str
    links: tuple[tuple[int, int], ...] = ()


class Facts:
    """The triples and names of a graph. What is derived from them is made when it is first asked for, and then kept."""

    def __init__(
        self, entities: Sequence[str], relations: Sequence[str], triples: NDArray[np.int32], names: Sequence[Name]
    ) -> None:
        """triples: (m, 3) numbers of head entity, relation, tail entity."""
        self.entities = entities
        self.relations = relations
        self.numbers = {entity: number for number, entity in enumerate(entities)}
        self._triples = triples
        self._names = names

    # --- names

    def link(self, text: str) -> tuple[Link, ...]:
        """The entities that a text names, see `EntityLinker.link`; of one name, the most used ones first."""
        return self._linker.link(text)

    def search(self, text: str, size: int, languages: Sequence[str]) -> list[EntityMatch]:
        """Entities that a text may mean, whole or while it is typed, the likeliest first; names in these languages.

        What the text begins (see `NameIndex.find`), and what it names or holds a name of (see `EntityLinker.link`).
        """
        found = {match.name.entity: match for match in self._index.find(text)}
        for match in map(self._linked, self.link(text)):
            known = found.get(match.name.entity)
            if known is None or self._index.order(match) < self._index.order(known):
                found[match.name.entity] = match
        best = sorted(found.values(), key=self._index.order)
        return [self._told(match, languages) for match in best[:size]]

    def _linked(self, link: Link) -> Found:
        number = self.numbers[link.entity]
        language = next(name.language for name in self.names(number) if name.text == link.name)
        return Found(Name(number, language, link.name), "name" if link.score == 1.0 else "part", link.score)

    @cached_property
    def _linker(self) -> EntityLinker:
        """Built at the first text; ingest never needs it."""
        priority = {self.entities[number]: value for number, value in self._priority.items()}
        return EntityLinker([(self.entities[name.entity], name.text) for name in self._names], priority, self._keys)

    @cached_property
    def _index(self) -> NameIndex:
        return NameIndex(self._names, self._priority, self._keys)

    @cached_property
    def _keys(self) -> list[str]:
        """Of the names, for both."""
        return keys_of(name.text for name in self._names)

    @cached_property
    def _priority(self) -> dict[int, float]:
        """By entity how many triples point at it, where any do."""
        return {number: float(self.incoming[number]) for number in np.flatnonzero(self.incoming).tolist()}

    @cached_property
    def incoming(self) -> Numbers:
        """How many triples point at each entity."""
        return np.bincount(self._triples[:, 2], minlength=len(self.entities))

    @cached_property
    def _by_entity(self) -> tuple[Numbers, Numbers]:
        """Rows of the names by entity, those of one in the order of the file, and where those of each begin."""
        owners = np.array([name.entity for name in self._names], dtype=np.int64)
        counts = np.bincount(owners, minlength=len(self.entities))
        return np.argsort(owners, kind="stable"), np.concatenate([[0], np.cumsum(counts)])

    def names(self, entity: int) -> list[Name]:
        """The names of an entity in the order of the file."""
        rows, starts = self._by_entity
        return [self._names[row] for row in rows[starts[entity] : starts[entity + 1]].tolist()]

    # --- entities as people read them

    def entity(self, number: int, languages: Sequence[str]) -> Entity:
        """Its first name in each of the languages that it has one in; `name` is the first of them, else any, or its id.

        A language serves for its variants too: of "zh" and "zh-TW" the one that was asked for, else the other's.
        """
        known = self.names(number)
        names: dict[str, str] = {}
        for language in languages:
            exact = (name.text for name in known if name.language == language)
            variants = (name.text for name in known if name.language.startswith(f"{language}-"))
            if (text := next(exact, None) or next(variants, None)) is not None:
                names[language] = text
        name = next(iter(names.values()), known[0].text if known else self.entities[number])
        return Entity(self.entities[number], name, names)

    def _told(self, match: Found, languages: Sequence[str]) -> EntityMatch:
        number, language, alias = match.name
        edges = self._adjacency.of(number)
        return EntityMatch(
            entity=self.entity(number, languages),
            alias=alias,
            language=language,
            match=match.match,
            score=match.score,
            items=len(np.unique(edges.after[~edges.outward])),
            degree=len(np.unique(edges.after)),
            ties=self.ties(number),
        )

    def ties(self, number: int) -> tuple[Tie, ...]:
        """How an entity is linked: its triples by relation and direction, most first, then as the file has them."""
        edges = self._adjacency.of(number)
        kinds, counts = np.unique(edges.relation * 2 + edges.outward, return_counts=True)
        ties = (
            Tie(self.relations[kind // 2], "out" if kind % 2 else "in", count)
            for kind, count in zip(kinds.tolist(), counts.tolist(), strict=True)
        )
        return tuple(sorted(ties, key=lambda tie: -tie.count))

    # --- links

    @cached_property
    def _adjacency(self) -> Adjacency:
        return Adjacency(self._triples, len(self.entities))

    def edges(self, number: int) -> Edges:
        """The triples of an entity as edges that leave it."""
        return self._adjacency.of(number)

    def tails(self, relation: int) -> list[int]:
        """The entities that a relation leads to, those with the most triples that point at them first."""
        found = np.unique(self._triples[self._triples[:, 1] == relation, 2])
        return sorted(found.tolist(), key=lambda number: (-self.incoming[number], number))

    def degrees(self, numbers: Numbers) -> Numbers:
        """How many triples each of the entities has, one that points at itself twice."""
        return self._adjacency.degrees(numbers)

    def paths(
        self, origins: Sequence[int], goals: Sequence[Goal], languages: Sequence[str]
    ) -> list[tuple[GraphPath, ...]]:
        """For each goal its best paths, see `Origins.trails`. Names are in these languages."""
        start = Origins(self._adjacency, origins)
        return [self._paths(start, goal, languages) for goal in goals]

    def _paths(self, start: Origins, goal: Goal, languages: Sequence[str]) -> tuple[GraphPath, ...]:
        beyond = len(self.entities)
        trails = (
            start.trails_along(self._adjacency.edges_to(beyond, goal.links), beyond)
            if goal.number is None
            else start.trails(goal.number)
        )
        return tuple(self._path(trail, goal, languages) for trail in trails)

    def _path(self, trail: Trail, goal: Goal, languages: Sequence[str]) -> GraphPath:
        def entity(number: int) -> Entity:
            known = number < len(self.entities)
            return self.entity(number, languages) if known else Entity(goal.id, goal.id, {})

        steps = (Step(self.relations[hop.relation], hop.direction, entity(hop.to)) for hop in trail.hops)
        return GraphPath(entity(trail.start), tuple(steps))

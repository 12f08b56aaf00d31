"""What the fields of an item say of its place in a knowledge graph that does not know the item."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

from encoders.parts.facts import Facts
from encoders.parts.linking import tokens
from es_mappings.errors import BadInput
from es_mappings.schema import as_values, lookup

Link = tuple[int, int]
"""The triple of an item with this relation and this tail, by their numbers."""


class Relatives:
    """From the fields of a record to the entities that they name, by the relation of each field."""

    def __init__(self, facts: Facts, relations: Mapping[str, str]) -> None:
        """relations: by field a relation of the graph."""
        self._facts = facts
        self._relations = {field: facts.relations.index(relation) for field, relation in relations.items()}

    def links(self, fields: Mapping[str, Any]) -> list[Link]:
        """The triples that an item with these fields has, ascending, each once.

        A value is the id of an entity, or one of the names of an entity that its relation leads to; of several the one
        with the most triples. A value that is neither says nothing. Raises BadInput for a value that is no text or
        whole number.
        """
        return sorted(set(self._found(fields)))

    def _found(self, fields: Mapping[str, Any]) -> Iterator[Link]:
        for field, relation in self._relations.items():
            for value in as_values(lookup(fields, field)):
                if isinstance(value, bool) or not isinstance(value, str | int):
                    raise BadInput(f"{field}: an entity's id or name is a text or a whole number, not {value!r:.60}")
                tail = self._facts.numbers.get(str(value))
                if tail is None:
                    tail = self._tails.get((relation, " ".join(tokens(str(value)))))
                if tail is not None:
                    yield relation, tail

    @cached_property
    def _tails(self) -> dict[tuple[int, str], int]:
        """By relation and name the entity; made at the first item that the graph does not know."""
        found: dict[tuple[int, str], int] = {}
        for relation in set(self._relations.values()):
            for entity in self._facts.tails(relation):
                for name in self._facts.names(entity):
                    if key := " ".join(tokens(name.text)):
                        found.setdefault((relation, key), entity)
        return found

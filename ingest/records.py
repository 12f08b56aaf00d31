"""Reading records and deciding which of them are items."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from es_mappings.schema import RESERVED, VECTOR_OBJECT, Schema, as_values, lookup
from es_mappings.types import Item, Tombstone

MAX_ID_BYTES = 512
"""Elasticsearch's limit for _id; the embedded store keeps to it so that data can move."""
DELETE = "delete"
"""As the value of the reserved field it says that the item of that id is no more."""


@dataclass(frozen=True, slots=True)
class Record:
    """The fields of one record and where they were read: `file:line`, `file:row n` or a file's name."""

    place: str
    fields: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Rejected:
    """A record, or one modality of it, that did not get into the index.

    lost: "item" when the whole record is missing, else the name of the modality that its item lacks.
    """

    place: str
    reason: str
    record: Any
    lost: str = "item"


Entry = Item | Tombstone | Rejected
"""What a source is made of."""


def item_of(record: Record) -> Entry:
    """The record as an item, or as the end of one, if its id and its fields' names allow it."""
    place, fields = record.place, record.fields
    identifier = fields.get("id")
    if not isinstance(identifier, str) or not identifier.strip():
        return Rejected(place, "id: must be a non-empty string", fields)
    if len(identifier.encode()) > MAX_ID_BYTES:
        return Rejected(place, f"id: longer than {MAX_ID_BYTES} bytes", fields)
    if fields.get(VECTOR_OBJECT) == DELETE:
        return Tombstone(identifier, place)
    taken = sorted((RESERVED - {"id"}) & fields.keys())
    if taken:
        return Rejected(place, f"{taken[0]}: this field name is reserved", fields)
    return Item(identifier, fields, place)


def validate(item: Item, schema: Schema) -> Rejected | None:
    """Why an engine would refuse the item: a text field that is no text, a filter field of the wrong type."""
    problem = _text_problem(item.source, schema) or _filter_problem(item.source, schema)
    return Rejected(item.place, problem, dict(item.source)) if problem else None


def _text_problem(source: Mapping[str, Any], schema: Schema) -> str | None:
    for field in schema.text:
        for value in as_values(lookup(source, field.name)):
            if not isinstance(value, str | int | float):
                return f"{field.name}: expected text, got {value!r:.60}"
    return None


def _filter_problem(source: Mapping[str, Any], schema: Schema) -> str | None:
    for field in schema.filters:
        try:
            schema.filter_values(source, field)
        except ValueError as error:
            return f"{field.name}: {error}"
    return None

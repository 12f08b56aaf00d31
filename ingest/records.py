"""Reading records and deciding which of them are items."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from es_mappings.schema import RESERVED, Schema, as_values, lookup
from es_mappings.types import Item

MAX_ID_BYTES = 512
"""Elasticsearch's limit for _id; the embedded store keeps to it so that data can move."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """A record, or one modality of it, that did not get into the index.

    lost: "item" when the whole record is missing, else the name of the modality that its item lacks.
    """

    place: str
    reason: str
    record: Any
    lost: str = "item"


def read_jsonl(path: Path) -> Iterator[Item | Rejected]:
    """Items of a JSON Lines file, one line in memory at a time; blank lines are passed over."""
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                yield _parse(line, f"{path.name}:{number}")


def _parse(line: bytes, place: str) -> Item | Rejected:
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        return Rejected(place, f"not JSON: {error}", line.decode("utf-8", "replace"))
    if not isinstance(record, dict):
        return Rejected(place, "not a JSON object", record)
    identifier = record.get("id")
    if not isinstance(identifier, str) or not identifier.strip():
        return Rejected(place, "id: must be a non-empty string", record)
    if len(identifier.encode()) > MAX_ID_BYTES:
        return Rejected(place, f"id: longer than {MAX_ID_BYTES} bytes", record)
    taken = sorted((RESERVED - {"id"}) & record.keys())
    if taken:
        return Rejected(place, f"{taken[0]}: this field name is reserved", record)
    return Item(identifier, record, place)


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

"""Text of files without types, as the values that the schema's filters want."""

from __future__ import annotations

import re
from typing import Any

import orjson

from es_mappings.schema import FilterField, Schema

NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
BOOLEANS = {"true": True, "false": False, "1": True, "0": False}
LARGEST = 2**63


def typed(text: str, column: str, schema: Schema) -> Any:
    """A cell's value; None for an empty one.

    In a column that the schema filters by, a number or boolean becomes one, and a cell that is a JSON array becomes a
    list (of a nested field: of objects). All other cells stay text. What does not fit stays text too: validation then
    names it.
    """
    if not text:
        return None
    field = schema.filter_field(column)
    if field is None and column not in schema.nested:
        return text
    if text.startswith("[") and (values := _array(text)) is not None:
        return [_value(value, field) if isinstance(value, str) else value for value in values]
    return _value(text, field)


def _array(text: str) -> list[Any] | None:
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, list) else None


def _value(text: str, field: FilterField | None) -> Any:
    word = text.strip()
    if field is None or field.type not in {"number", "boolean"}:
        return text
    if field.type == "boolean":
        return BOOLEANS.get(word.lower(), text)
    if not NUMBER.fullmatch(word):
        return text
    number = float(word)
    # JSON's integers end at 64 bits.
    return int(word) if word.lstrip("+-").isdecimal() and abs(number) < LARGEST else number

"""Which documents pass a filter, in plain Python: the second half of the contract's arithmetic."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from es_mappings.types import AllOf, AnyOf, EncodedItem, Exists, Filter, Has, Nested, Not, OneOf, Prefix, Range

NUMBERS = frozenset({"price", "variants.size"})
DATES = frozenset({"made"})
BOOLEANS = frozenset({"fresh"})
"""The filter fields of the corpus that are no keywords."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def passes(document: EncodedItem, clause: Filter | None) -> bool:
    match clause:
        case None:
            return True
        case AllOf(clauses):
            return all(passes(document, c) for c in clauses)
        case AnyOf(clauses):
            return any(passes(document, c) for c in clauses)
        case Not(inner):
            return not passes(document, inner)
        case Has(spaces):
            return any(space in document.vectors for space in spaces)
        case Nested(path, inner):
            alone = [replace(document.item, source={path: one}) for one in listed(document.item.source.get(path))]
            return any(passes(replace(document, item=item), inner) for item in alone)
        case _:
            return any(_suits(value, clause) for value in values(document, clause.field))


def values(document: EncodedItem, field: str) -> list[Any]:
    """A field's values as its type: dates as whole milliseconds since 1970."""
    found: list[Any] = [document.item.source]
    for name in field.split("."):
        found = [value for one in found if isinstance(one, Mapping) for value in listed(one.get(name))]
    return [_typed(field, value) for value in found]


def listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _typed(field: str, value: Any) -> Any:
    if field in NUMBERS:
        return float(value)
    if field in DATES:
        return milliseconds(value)
    return value if field in BOOLEANS else str(value)


def milliseconds(text: str) -> float:
    moment = datetime.fromisoformat(text)
    return float(((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - EPOCH) // timedelta(milliseconds=1))


def _suits(value: Any, clause: OneOf | Range | Exists | Prefix) -> bool:
    match clause:
        case OneOf(_, wanted):
            return value in wanted
        case Exists():
            return True
        case Prefix(_, prefix):
            return bool(value.startswith(prefix))
        case Range(_, gt, gte, lt, lte):
            return (
                (gt is None or value > gt)
                and (gte is None or value >= gte)
                and (lt is None or value < lt)
                and (lte is None or value <= lte)
            )

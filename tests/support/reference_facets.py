"""What facets count, in plain Python."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

from es_mappings.types import FACET_SIZE, AllOf, AnyOf, Bucket, EncodedItem, Facet, Filter, Has, Nested, Not
from reference_filters import BOOLEANS, DATES, EPOCH, NUMBERS, values


def without_own(clause: Filter | None, field: str) -> Filter | None:
    """The filter without what it demands of this very field at its top level."""
    match clause:
        case AllOf(clauses):
            return AllOf(tuple(rest for c in clauses if (rest := without_own(c, field)) is not None))
        case Not() | AnyOf():
            return None if set(_leaf_fields(clause)) == {field} else clause
        case None | Has() | Nested():
            return clause
        case _:
            return None if clause.field == field else clause


def _leaf_fields(clause: Filter) -> Iterator[str | None]:
    """The field of every leaf; None for a leaf that is on no field of the item itself."""
    match clause:
        case AllOf(clauses) | AnyOf(clauses):
            for inner in clauses:
                yield from _leaf_fields(inner)
        case Not(inner):
            yield from _leaf_fields(inner)
        case Has() | Nested():
            yield None
        case _:
            yield clause.field


def count_values(facet: Facet, documents: Sequence[EncodedItem]) -> tuple[Bucket, ...]:
    """documents: those that the filter leaves, but for what it demands of the facet's own field."""
    if facet.ranges:
        return tuple(Bucket(_between(facet.field, documents, *bounds), None, *bounds) for bounds in facet.ranges)
    counts = Counter(value for document in documents for value in set(values(document, facet.field)))
    ordered = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    return tuple(Bucket(count, shown(facet.field, value)) for value, count in ordered[:FACET_SIZE])


def _between(field: str, documents: Sequence[EncodedItem], start: float | None, end: float | None) -> int:
    return sum(
        any((start is None or v >= start) and (end is None or v < end) for v in values(document, field))
        for document in documents
    )


def shown(field: str, value: Any) -> str | float:
    """The value of a facet as the answer shows it."""
    if field in NUMBERS:
        return float(value)
    if field in BOOLEANS:
        return "true" if value else "false"
    if field in DATES:
        moment = EPOCH + timedelta(milliseconds=value)
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return str(value)

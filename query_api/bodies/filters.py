"""Filters in the engine's syntax, and which of their demands concern one field alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from es_mappings.mappings import filter_path
from es_mappings.schema import VECTOR_OBJECT, Schema, date_text
from es_mappings.types import AllOf, AnyOf, Exists, Filter, Has, Ids, Nested, Not, OneOf, Plan, Prefix, Range

JSON = dict[str, Any]


def filter_clause(clause: Filter, schema: Schema) -> JSON:
    """A filter as a query clause."""
    match clause:
        case OneOf(field, values):
            if _is_date(field, schema):
                return filter_clause(AnyOf(tuple(Range(field, gte=v, lte=v) for v in values)), schema)
            return {"terms": {filter_path(schema, field): list(values)}}
        case Range(field):
            bounds = {name: getattr(clause, name) for name in ("gt", "gte", "lt", "lte")}
            given: JSON = {name: bound for name, bound in bounds.items() if bound is not None}
            if _is_date(field, schema):
                # As text: OpenSearch takes milliseconds before 1970 for their neighbours in `gt` and `lte`.
                given = {name: date_text(bound) for name, bound in given.items()}
            return {"range": {filter_path(schema, field): given}}
        case Exists(field):
            return {"exists": {"field": filter_path(schema, field)}}
        case Prefix(field, prefix):
            return {"prefix": {filter_path(schema, field): {"value": prefix}}}
        case Has(spaces):
            return any_of([{"exists": {"field": f"{VECTOR_OBJECT}.{name}"}} for name in spaces])
        case Ids(values):
            return {"ids": {"values": list(values)}}
        case Nested(path, inner):
            return {"nested": {"path": path, "query": filter_clause(inner, schema)}}
        case AllOf(clauses):
            return {"bool": {"filter": [filter_clause(c, schema) for c in clauses]}}
        case AnyOf(clauses):
            return any_of([filter_clause(c, schema) for c in clauses])
        case Not(inner):
            return {"bool": {"must_not": [filter_clause(inner, schema)]}}


def _is_date(field: str, schema: Schema) -> bool:
    found = schema.filter_field(field)
    return found is not None and found.type == "date"


def any_of(clauses: list[JSON]) -> JSON:
    return clauses[0] if len(clauses) == 1 else {"bool": {"should": clauses, "minimum_should_match": 1}}


def restrictions(plan: Plan, schema: Schema) -> JSON:
    """The members of a `bool` that keep a search within the plan's filter and off its excluded items."""
    clauses: JSON = {}
    if plan.filter is not None:
        clauses["filter"] = [filter_clause(plan.filter, schema)]
    if plan.exclude:
        clauses["must_not"] = [excluded(plan.exclude)]
    return clauses


def excluded(identifiers: Sequence[str]) -> JSON:
    """Items by id, up to MAX_EXCLUDED; an `ids` query would take no more than 10,000."""
    return {"terms": {"_id": list(identifiers)}}


def demands(clause: Filter | None) -> list[tuple[str | None, Filter]]:
    """The filter as clauses that all have to hold, each with the one field that it speaks of (None: of several)."""
    if clause is None:
        return []
    if isinstance(clause, AllOf):
        return [demand for inner in clause.clauses for demand in demands(inner)]
    fields = _fields(clause)
    return [(fields.pop() if len(fields) == 1 else None, clause)]


def _fields(clause: Filter) -> set[str | None]:
    match clause:
        case OneOf(field) | Range(field) | Exists(field) | Prefix(field):
            return {field}
        case AllOf(clauses) | AnyOf(clauses):
            return {field for inner in clauses for field in _fields(inner)}
        case Not(inner):
            return _fields(inner)
        case _:
            return {None}

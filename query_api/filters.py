"""Filters as clients write them -> clauses, checked against the schema.

    {"field": value}  {"field": [value, …]}       it holds the value, or one of the values
    {"field": {"gte": 1, "lt": 5}}                it lies within the bounds: gt, gte, lt, lte
    {"field": {"exists": true}}                   it holds any value; false: it holds none
    {"field": {"prefix": "ab"}}                   a keyword that begins so
    {"any": [filter, …]}  {"all": [filter, …]}  {"not": filter}
    {"path": filter}                              one single object under `path` passes; its fields without the path

All members of one object have to hold.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from es_mappings.errors import InvalidRequest
from es_mappings.schema import OPERATORS, FilterField, Schema
from es_mappings.types import AllOf, AnyOf, Exists, Filter, Nested, Not, OneOf, Prefix, Range

MAX_DEPTH = 5
MAX_CLAUSES = 100
"""Filters in one `any` or `all`."""
MAX_CONDITIONS = 500
"""Conditions in the whole filter, wherever they stand."""
MAX_VALUES = 500
MAX_PREFIX = 200
BOUNDS = frozenset({"gt", "gte", "lt", "lte"})


@dataclass(frozen=True, slots=True)
class _Scope:
    """Where a filter stands: below which nested path, and the count of the conditions so far."""

    schema: Schema
    counter: Iterator[int]
    path: str | None = None

    def field(self, name: str, place: str) -> FilterField:
        """The filter field that a client means by this name here. Raises InvalidRequest."""
        if self.path is None:
            return known_field(name, self.schema, place, self.schema.nested)
        inside = f"{self.path}."
        field = self.schema.filter_field(inside + name)
        if field is None:
            known = [f.name.removeprefix(inside) for f in self.schema.filters if f.name.startswith(inside)]
            raise InvalidRequest.at(place, f"no such filter field in {self.path!r}; there are {listed(known)}")
        return field


def parse_filter(raw: Any, schema: Schema, place: str = "filter") -> Filter:
    """Check a filter and its values against the schema. Raises InvalidRequest naming the place."""
    return _filter(raw, _Scope(schema, itertools.count(1)), place, 1)


def known_field(name: str, schema: Schema, place: str, others: Iterable[str] = ()) -> FilterField:
    """The filter field of the item itself with this name. Raises InvalidRequest, for a field of a nested object too.

    others: what else might have been meant.
    """
    field = schema.filter_field(name)
    path = schema.nested_path(name)
    if field is None:
        outside = [f.name for f in schema.filters if schema.nested_path(f.name) is None]
        raise InvalidRequest.at(place, f"no such filter field; there are {listed([*outside, *others])}")
    if path is not None:
        short = name.removeprefix(f"{path}.")
        raise InvalidRequest.at(
            place, f'is inside the objects of {path!r}, which are filtered as {{"{path}": {{"{short}": …}}}}'
        )
    return field


def typed(field: FilterField, value: Any, place: str) -> Any:
    """The value as the field's type. Raises InvalidRequest."""
    if isinstance(value, dict | list):  # which may be too deep to be shown in a message
        raise InvalidRequest.at(place, f"expected one {field.type}")
    try:
        return field.normalise(value)
    except ValueError as error:
        raise InvalidRequest.at(place, str(error)) from error


def listed(names: Iterable[str]) -> str:
    """Names for a message."""
    return ", ".join(names) or "none"


def _filter(raw: Any, scope: _Scope, place: str, depth: int) -> Filter:
    if not isinstance(raw, dict) or not raw:
        raise InvalidRequest.at(place, "must be an object with at least one field")
    if depth > MAX_DEPTH:
        raise InvalidRequest.at(place, f"must not be nested deeper than {MAX_DEPTH}")
    clauses = tuple(_clause(str(name), value, scope, f"{place}.{name}", depth) for name, value in raw.items())
    return clauses[0] if len(clauses) == 1 else AllOf(clauses)


def _clause(name: str, value: Any, scope: _Scope, place: str, depth: int) -> Filter:
    if next(scope.counter) > MAX_CONDITIONS:
        raise InvalidRequest.at(place, f"a filter must not have more than {MAX_CONDITIONS} conditions")
    if name in OPERATORS:
        return _combined(name, value, scope, place, depth)
    if scope.path is None and name in scope.schema.nested:
        return Nested(name, _filter(value, _Scope(scope.schema, scope.counter, name), place, depth + 1))
    field = scope.field(name, place)
    if isinstance(value, dict):
        return _operators(field, value, place)
    values = value if isinstance(value, list) else [value]
    if not 1 <= len(values) <= MAX_VALUES:
        raise InvalidRequest.at(place, f"must be one value or a list of 1 to {MAX_VALUES}")
    return OneOf(field.name, tuple(typed(field, v, place) for v in values))


def _combined(name: str, value: Any, scope: _Scope, place: str, depth: int) -> Filter:
    if name == "not":
        return Not(_filter(value, scope, place, depth + 1))
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_CLAUSES:
        raise InvalidRequest.at(place, f"must be a list of 1 to {MAX_CLAUSES} filters")
    clauses = tuple(_filter(raw, scope, f"{place}[{i}]", depth + 1) for i, raw in enumerate(value))
    return AnyOf(clauses) if name == "any" else AllOf(clauses)


def _operators(field: FilterField, raw: dict[str, Any], place: str) -> Filter:
    match raw:
        case {"exists": bool(wanted)} if len(raw) == 1:
            return Exists(field.name) if wanted else Not(Exists(field.name))
        case {"exists": _} if len(raw) == 1:
            raise InvalidRequest.at(f"{place}.exists", "must be true or false")
        case {"prefix": prefix} if len(raw) == 1:
            return _prefix(field, prefix, f"{place}.prefix")
    if not raw or set(raw) - BOUNDS:
        raise InvalidRequest.at(place, "takes gt, gte, lt and lte, or exists alone, or prefix alone")
    if field.type == "boolean":
        raise InvalidRequest.at(place, "a boolean has no range")
    return Range(field.name, **{bound: typed(field, value, f"{place}.{bound}") for bound, value in raw.items()})


def _prefix(field: FilterField, prefix: Any, place: str) -> Prefix:
    if field.type != "keyword":
        raise InvalidRequest.at(place, f"only keywords have a beginning; {field.name!r} is a {field.type}")
    if not isinstance(prefix, str) or not 1 <= len(prefix) <= MAX_PREFIX:
        raise InvalidRequest.at(place, f"must be 1 to {MAX_PREFIX} characters")
    return Prefix(field.name, prefix)

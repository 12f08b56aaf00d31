"""What is added to the mapping of an index that somebody else made, and where that index has what the settings name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from es_mappings.companions import companion_fields
from es_mappings.dialects import Dialect
from es_mappings.errors import SettingsError
from es_mappings.provenance import META_KEY, Manifest, describe
from es_mappings.schema import VECTOR_OBJECT, FilterField, Layout, Schema

JSON = dict[str, Any]

TEXT = frozenset({"text", "match_only_text"})
EXACT = frozenset({"keyword", "constant_keyword", "wildcard"})
FILTERS = {
    "keyword": EXACT,
    "number": frozenset(
        {"long", "integer", "short", "byte", "unsigned_long", "double", "float", "half_float", "scaled_float"}
    ),
    "date": frozenset({"date", "date_nanos"}),
    "boolean": frozenset({"boolean"}),
}
"""By type of filter the engines' types that serve it."""
DATE_FORMATS = ("strict_date_optional_time", "date_optional_time", "strict_date_optional_time_nanos")
"""One of them has to be among the formats of a date field; without a format the first one is."""


def attach_body(schema: Schema, dialect: Dialect, manifest: Manifest, meta: Mapping[str, Any]) -> JSON:
    """The body of `PUT /INDEX/_mapping`: vector fields and readable companions in one object, and `_meta` with the
    other entries it has.

    id: of the document, which breaks ties.
    """
    companions = {"id": {"type": "keyword"}, **companion_fields(schema)}
    vectors = {space.name: dialect.vector_field(space) for space in schema.spaces}
    return {
        "_meta": {**meta, **describe(schema, manifest)},
        "properties": {VECTOR_OBJECT: {"dynamic": False, "properties": {**companions, **vectors}}},
    }


def detach_body(meta: Mapping[str, Any]) -> JSON:
    """The body of `PUT /INDEX/_mapping` that forgets what was attached; fields cannot be taken out of a mapping."""
    return {"_meta": {key: value for key, value in meta.items() if key != META_KEY}}


def layout_of(schema: Schema, properties: Mapping[str, Any]) -> Layout:
    """Where the index has the fields of the settings. Raises SettingsError naming all that do not serve."""
    problems = [*_text_problems(schema, properties), *_filter_problems(schema, properties)]
    if problems:
        raise SettingsError(f"the index does not have what the settings ask for: {'; '.join(problems)}")
    return Layout(
        text={field.name: tuple(_text_paths(properties, field.name)) for field in schema.text},
        filters={field.name: path for field in schema.filters if (path := _filter_path(properties, field))},
    )


def field_at(properties: Mapping[str, Any], path: str) -> JSON | None:
    """The mapping of a field, `a.b` being b inside of a, or a sub-field of it; None when there is none."""
    found: Any = {"properties": properties}
    for name in path.split("."):
        found = found.get("properties", {}).get(name) or found.get("fields", {}).get(name)
        if found is None:
            return None
    return dict(found)


def _text_paths(properties: Mapping[str, Any], name: str) -> Iterator[str]:
    """The field and its sub-fields that are analysed as text; one of exact values alone is better than none."""
    field = field_at(properties, name) or {}
    ways = {name: field, **{f"{name}.{sub}": found for sub, found in field.get("fields", {}).items()}}
    analysed = [path for path, found in ways.items() if found.get("type") in TEXT]
    yield from analysed or [path for path, found in ways.items() if found.get("type") in EXACT][:1]


def _text_problems(schema: Schema, properties: Mapping[str, Any]) -> Iterator[str]:
    for field in schema.text:
        if not list(_text_paths(properties, field.name)):
            yield f"lexical.fields: {field.name!r} is {_kind(field_at(properties, field.name))}, not text"
    for name in schema.suggest:
        path = next(_text_paths(properties, name), None)
        if path is not None and (field_at(properties, path) or {}).get("type") not in TEXT:
            yield f"lexical.suggest: {name!r} has exact values only, which no beginning is found in"


def _filter_path(properties: Mapping[str, Any], field: FilterField) -> str | None:
    found = field_at(properties, field.name) or {}
    ways = {field.name: found, **{f"{field.name}.{sub}": way for sub, way in found.get("fields", {}).items()}}
    return next((path for path, way in ways.items() if way.get("type") in FILTERS[field.type]), None)


def _filter_problems(schema: Schema, properties: Mapping[str, Any]) -> Iterator[str]:
    for field in schema.filters:
        path = _filter_path(properties, field)
        if path is None:
            yield f"lexical.filters: {field.name!r} is {_kind(field_at(properties, field.name))}, not a {field.type}"
            continue
        found = field_at(properties, path) or {}
        if found.get("doc_values") is False:
            yield f"lexical.filters: {path!r} has no doc_values"
        if field.type == "date" and not _is_iso(found):
            yield f"lexical.filters: {path!r} has dates of the format {found['format']!r} only"
    for name in schema.nested:
        if (field_at(properties, name) or {}).get("type") != "nested":
            yield f"lexical.nested: {name!r} is not mapped as nested"


def _is_iso(date: Mapping[str, Any]) -> bool:
    return "format" not in date or any(name in DATE_FORMATS for name in date["format"].split("||"))


def _kind(field: Mapping[str, Any] | None) -> str:
    """What a field is, for a message."""
    if field is None:
        return "not in its mapping"
    return f"of the type {field.get('type', 'object')}"

"""What an index holds, derived from the settings and the loaded encoders; every dialect is written from this."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from es_mappings.errors import SettingsError
from es_mappings.settings import FieldType, LexicalSettings
from es_mappings.types import SCORE, Provenance, Space

VERSION = 2
"""Raised whenever an index written by an older maxcos can no longer be searched by this one."""

VECTOR_OBJECT = "maxcos"
"""The object that holds the vector fields, so that they never meet a user's own field names."""

MAX_SPACES = 32
"""Each space is a block of the script, a clause of approximate search and a graph to build for every document."""

RESERVED = frozenset({"id", VECTOR_OBJECT})

OPERATORS = frozenset({"any", "all", "not"})
"""What combines filters in a request; no filter field bears such a name, within a nested object neither."""


@dataclass(frozen=True, slots=True)
class TextField:
    """A field that BM25 searches."""

    name: str
    boost: float = 1.0


@dataclass(frozen=True, slots=True)
class FilterField:
    """A field that filters, ranges, sorts and facets by its exact value; it may hold a list."""

    name: str
    type: FieldType = "keyword"

    def normalise(self, value: Any) -> str | float | bool:
        """The JSON value as this field's type: text, number, boolean, or for dates whole milliseconds since 1970 (UTC).

        Raises ValueError saying what was expected.
        """
        match self.type, value:
            case "keyword", str():
                return value
            case "keyword", int() | float() if not isinstance(value, bool):
                return str(value)
            case "number", int() | float() if not isinstance(value, bool) and math.isfinite(value):
                return float(value)
            case "boolean", bool():
                return value
            case "date", str():
                return _milliseconds(value)
        raise ValueError(f"expected a {_EXPECTED[self.type]}, got {value!r:.60}")


_EXPECTED = {"keyword": "string", "number": "finite number", "boolean": "boolean", "date": "date such as 2024-05-31"}


_DATE = re.compile(r"\d{4}-\d{2}-\d{2}(T.+)?")
"""The shape that every engine reads; Python alone would also take 20240531 and 2024-W22."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _milliseconds(text: str) -> float:
    try:
        if not _DATE.fullmatch(text):
            raise ValueError(text)
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        moment = moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"expected a {_EXPECTED['date']}, got {text!r:.60}") from error
    return float((moment - _EPOCH) // timedelta(milliseconds=1))


def date_text(milliseconds: float) -> str:
    """A normalised date as engines write it: 2024-05-31T00:00:00.000Z."""
    moment = _EPOCH + timedelta(milliseconds=milliseconds)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def as_values(value: Any) -> list[Any]:
    """A field's values as a list: a field may hold one value, a list, or nothing."""
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


def lookup(source: Mapping[str, Any], field: str) -> Any:
    """The value of a field, where `a.b` means member b of object a, or of all objects in the list a; None when it is
    absent.
    """
    if field in source:
        return source[field]
    head, dot, rest = field.partition(".")
    inner = source.get(head) if dot else None
    if isinstance(inner, list):
        found = [value for one in inner if isinstance(one, Mapping) for value in as_values(lookup(one, rest))]
        return found or None
    return lookup(inner, rest) if isinstance(inner, Mapping) else None


def objects(source: Mapping[str, Any], path: str) -> list[Mapping[str, Any]]:
    """The objects under a nested path: one object, a list of them, or none. Raises ValueError for anything else."""
    found = as_values(source.get(path))
    if wrong := [value for value in found if not isinstance(value, Mapping)]:
        raise ValueError(f"expected an object or a list of objects, got {wrong[0]!r:.60}")
    return found


@dataclass(frozen=True, slots=True)
class Layout:
    """Where an index that somebody else made has what the settings name.

    text: by text field the paths that BM25 searches, the one for suggestions first. filters: by filter field the path
    of its exact values.
    """

    text: Mapping[str, tuple[str, ...]]
    filters: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Schema:
    """The index contract: BM25 fields, filter fields, vector fields and where their vectors come from.

    layout: None for an index of our own, which has everything where `es_mappings.mappings` puts it. lexical_weight,
    saturation: see `Fusion`; nothing in an index depends on them.
    """

    text: tuple[TextField, ...]
    filters: tuple[FilterField, ...]
    facets: tuple[str, ...]
    languages: tuple[str, ...]
    spaces: tuple[Space, ...]
    provenance: Mapping[str, Provenance]
    nested: tuple[str, ...] = ()
    suggest: tuple[str, ...] = ()
    layout: Layout | None = None
    lexical_weight: float = 0.3
    saturation: float = 8.0

    def space(self, name: str) -> Space | None:
        return next((s for s in self.spaces if s.name == name), None)

    def nested_path(self, name: str) -> str | None:
        """The nested object that a field belongs to; None for a field of the item itself."""
        head = name.partition(".")[0]
        return head if head in self.nested else None

    def filter_field(self, name: str) -> FilterField | None:
        return next((f for f in self.filters if f.name == name), None)

    def filter_values(self, source: Mapping[str, Any], field: FilterField) -> list[tuple[int, str | float | bool]]:
        """An item's distinct normalised values of a filter field, each with the number of its nested object (0: none).

        Raises ValueError for a value of another type.
        """
        path = self.nested_path(field.name)
        holders = [source] if path is None else objects(source, path)
        name = field.name if path is None else field.name.removeprefix(f"{path}.")
        return [
            (number, value)
            for number, holder in enumerate(holders)
            for value in dict.fromkeys(map(field.normalise, as_values(lookup(holder, name))))
        ]

    def is_text(self, name: str) -> bool:
        return any(f.name == name for f in self.text)

    @property
    def modalities(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(space.modality for space in self.spaces))


class Encodes(Protocol):
    """What the schema needs to know of an encoder."""

    @property
    def spaces(self) -> tuple[Space, ...]: ...

    @property
    def provenance(self) -> Mapping[str, Provenance]: ...


def build_schema(lexical: LexicalSettings, encoders: Iterable[Encodes]) -> Schema:
    """Derive the schema. Raises SettingsError for too many spaces, and where two want one name, or one is taken."""
    encoders = tuple(encoders)
    spaces = tuple(space for encoder in encoders for space in encoder.spaces)
    provenance = {name: made for encoder in encoders for name, made in encoder.provenance.items()}
    text = tuple(_text_field(f) for f in lexical.fields)
    filters = tuple(_filter_field(f) for f in lexical.filters)
    _refuse_repeats("lexical.fields", [f.name for f in text])
    _refuse_repeats("lexical.filters", [f.name for f in filters])
    _refuse_repeats("modalities", [s.name for s in spaces])
    if len(spaces) > MAX_SPACES:
        raise SettingsError(f"modalities: {len(spaces)} vector fields, but an index has at most {MAX_SPACES}")
    for name in (*(f.name for f in text), *(f.name for f in filters)):
        if name.partition(".")[0] in RESERVED:
            raise SettingsError(f"lexical: the field name {name!r} is reserved")
    for field in filters:
        short = field.name.partition(".")[2] if field.name.partition(".")[0] in lexical.nested else field.name
        if taken := {field.name, short, *lexical.nested} & (OPERATORS | {SCORE}):
            raise SettingsError(f"lexical.filters: {min(taken)!r} is a word of the query language, not a field's name")
        if field.type != "keyword" and any(t.name == field.name for t in text):
            raise SettingsError(f"lexical: {field.name!r} is searched as text, so its filter must be a keyword")
    for searched in text:
        if searched.name.partition(".")[0] in lexical.nested:
            raise SettingsError(f"lexical: {searched.name!r} is inside a nested object and cannot be searched as text")
    suggest = lexical.suggest or tuple(f.name for f in text[:1])
    return Schema(
        text=text,
        filters=filters,
        facets=lexical.facets,
        languages=lexical.languages,
        spaces=spaces,
        provenance=provenance,
        nested=lexical.nested,
        suggest=suggest,
        lexical_weight=lexical.weight,
        saturation=lexical.saturation,
    )


def _text_field(text: str) -> TextField:
    name, _, boost = text.partition("^")
    return TextField(name, float(boost or 1))


def _filter_field(text: str) -> FilterField:
    name, _, kind = text.partition(":")
    return FilterField(name, kind or "keyword")  # type: ignore[arg-type]  # checked by the settings


def _refuse_repeats(where: str, names: list[str]) -> None:
    repeated = sorted({n for n in names if names.count(n) > 1})
    if repeated:
        raise SettingsError(f"{where}: {', '.join(repeated)} stands there twice")

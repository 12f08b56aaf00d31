"""The edge: what a client may ask, checked strictly, and turned into the words of maxcos."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from es_mappings.errors import FieldProblem, InvalidRequest
from es_mappings.schema import Schema
from es_mappings.types import (
    AllOf,
    AnyOf,
    EntityTerm,
    Filter,
    FusionMethod,
    ImageTerm,
    ItemTerm,
    Not,
    OneOf,
    Range,
    Term,
    TextTerm,
)

MAX_TEXT = 500
MAX_TERMS = 16
MAX_SIZE = 200
MAX_WINDOW = 10_000
MAX_FILTER_DEPTH = 5
MAX_FILTER_CLAUSES = 100
MAX_VALUES = 500

Weight = Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class TermModel(_Model):
    """One part of a query: exactly one of text, image (base64), item or entity."""

    text: str | None = Field(None, min_length=1, max_length=MAX_TEXT)
    image: str | None = None
    item: str | None = Field(None, min_length=1, max_length=512)
    entity: str | None = Field(None, min_length=1, max_length=512)
    weight: float = Field(1.0, ge=-1000, le=1000, allow_inf_nan=False)
    modalities: list[str] | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if sum(value is not None for value in (self.text, self.image, self.item, self.entity)) != 1:
            raise ValueError("a term is exactly one of text, image, item or entity")
        return self


class FusionModel(_Model):
    method: FusionMethod = "hybrid"
    calibration: Literal["raw"] = "raw"
    weights: dict[str, Weight] = Field(default_factory=dict)
    missing: Literal["ignore"] = "ignore"


class SearchModel(_Model):
    """The body of POST /v1/search."""

    query: Annotated[list[TermModel], Field(max_length=MAX_TERMS)] | None = None
    fusion: FusionModel = FusionModel()
    filter: dict[str, Any] | None = None
    facets: list[str] = Field(default_factory=list, max_length=20)
    size: int = Field(10, ge=0, le=MAX_SIZE)
    from_: int = Field(0, ge=0, alias="from")
    fields: list[str] | None = Field(None, max_length=100)
    highlight: bool = False
    plan: Literal["auto", "exact"] = "auto"
    explain: bool | Literal["engine"] = False

    @field_validator("query", mode="before")
    @classmethod
    def _words(cls, query: Any) -> Any:
        """Words alone are short for one text term."""
        if not isinstance(query, str):
            return query
        if len(query) > MAX_TEXT:
            raise ValueError(f"must not be longer than {MAX_TEXT} characters")
        return [{"text": query}] if query.strip() else []

    @model_validator(mode="after")
    def _window(self) -> Self:
        if self.from_ + self.size > MAX_WINDOW:
            raise ValueError(f"from + size must not exceed {MAX_WINDOW}")
        return self


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """A request that can be planned."""

    terms: tuple[Term, ...]
    method: FusionMethod
    weights: Mapping[str, float]
    filter: Filter | None
    facets: tuple[str, ...]
    size: int
    offset: int
    fields: tuple[str, ...] | None
    highlight: bool
    explain: bool | Literal["engine"]


def parse(body: Any, schema: Schema, image: bytes | None = None) -> SearchRequest:
    """Check a request body; `image` is the picture of a multipart request, one more term of the query.

    Raises InvalidRequest naming every offending field.
    """
    try:
        model = SearchModel.model_validate(body)
    except ValidationError as error:
        raise InvalidRequest(*_problems(error)) from error
    terms = tuple(_term(term, f"query[{i}]", schema) for i, term in enumerate(model.query or ()))
    if image is not None:
        terms = (*terms, ImageTerm(image))
    if not terms:
        raise InvalidRequest.at("query", "say what to look for: words, or a list of terms")
    _check_weights(model.fusion.weights, schema)
    for position, name in enumerate(model.facets):
        if name not in schema.facets:
            raise InvalidRequest.at(f"facets[{position}]", f"{name!r} is not one of {_list(schema.facets)}")
    return SearchRequest(
        terms=terms,
        method=model.fusion.method,
        weights=model.fusion.weights,
        filter=parse_filter(model.filter, schema) if model.filter else None,
        facets=tuple(dict.fromkeys(model.facets)),
        size=model.size,
        offset=model.from_,
        fields=tuple(model.fields) if model.fields is not None else None,
        highlight=model.highlight,
        explain=model.explain,
    )


def _problems(error: ValidationError) -> list[FieldProblem]:
    """pydantic's errors with the path as a client wrote it; the names of a union's branches are no part of it."""
    problems: dict[str, FieldProblem] = {}
    for e in error.errors():
        path = ""
        for part in e["loc"]:
            if isinstance(part, int):
                path += f"[{part}]"
            elif "[" not in part and part != "bool":
                path += f".{part}" if path else part
        problems[path] = FieldProblem(path or "body", e["msg"].removeprefix("Value error, "))
    return list(problems.values())


def _term(model: TermModel, place: str, schema: Schema) -> Term:
    unknown = [name for name in model.modalities or () if name not in schema.modalities]
    if unknown:
        raise InvalidRequest.at(f"{place}.modalities", f"{unknown[0]!r} is not one of {_list(schema.modalities)}")
    modalities = tuple(model.modalities) if model.modalities is not None else None
    if model.text is not None:
        if not model.text.strip():
            raise InvalidRequest.at(f"{place}.text", "must not be blank")
        return TextTerm(model.text.strip(), weight=model.weight, modalities=modalities)
    if model.item is not None:
        return ItemTerm(model.item, weight=model.weight, modalities=modalities)
    if model.entity is not None:
        return EntityTerm(model.entity, weight=model.weight, modalities=modalities)
    try:
        data = base64.b64decode(model.image or "", validate=True)
    except binascii.Error as error:
        raise InvalidRequest.at(f"{place}.image", f"must be a picture's bytes in base64: {error}") from error
    return ImageTerm(data, weight=model.weight, modalities=modalities)


def _check_weights(weights: Mapping[str, float], schema: Schema) -> None:
    known = (*schema.modalities, "lexical")
    for name in weights:
        if name not in known:
            raise InvalidRequest.at(f"fusion.weights.{name}", f"is not one of {_list(known)}")


def _list(names: tuple[str, ...]) -> str:
    return ", ".join(names) or "none"


# --- filters: {"field": value | [values] | {"gte": …}, "any": [filters], "all": [filters], "not": filter}


def parse_filter(raw: Any, schema: Schema, place: str = "filter", depth: int = 1) -> Filter:
    """Check a filter and its values against the schema. Raises InvalidRequest naming the place."""
    if not isinstance(raw, dict) or not raw:
        raise InvalidRequest.at(place, "must be an object with at least one field")
    if depth > MAX_FILTER_DEPTH:
        raise InvalidRequest.at(place, f"must not be nested deeper than {MAX_FILTER_DEPTH}")
    clauses = tuple(_clause(name, value, schema, f"{place}.{name}", depth) for name, value in raw.items())
    return clauses[0] if len(clauses) == 1 else AllOf(clauses)


def _clause(name: str, value: Any, schema: Schema, place: str, depth: int) -> Filter:
    if name == "not":
        return Not(parse_filter(value, schema, place, depth + 1))
    if name in {"any", "all"}:
        if not isinstance(value, list) or not 1 <= len(value) <= MAX_FILTER_CLAUSES:
            raise InvalidRequest.at(place, f"must be a list of 1 to {MAX_FILTER_CLAUSES} filters")
        clauses = tuple(parse_filter(raw, schema, f"{place}[{i}]", depth + 1) for i, raw in enumerate(value))
        return AnyOf(clauses) if name == "any" else AllOf(clauses)
    if schema.filter_field(name) is None:
        known = tuple(field.name for field in schema.filters)
        raise InvalidRequest.at(place, f"no such filter field; there are {_list(known)}")
    if isinstance(value, dict):
        return _range(name, value, schema, place)
    values = value if isinstance(value, list) else [value]
    if not 1 <= len(values) <= MAX_VALUES:
        raise InvalidRequest.at(place, f"must be one value or a list of 1 to {MAX_VALUES}")
    return OneOf(name, tuple(_value(name, v, schema, place) for v in values))


def _range(name: str, raw: dict[str, Any], schema: Schema, place: str) -> Range:
    unknown = sorted(set(raw) - {"gt", "gte", "lt", "lte"})
    if unknown or not raw:
        raise InvalidRequest.at(place, "a range takes gt, gte, lt and lte")
    field = schema.filter_field(name)
    if field is not None and field.type == "boolean":
        raise InvalidRequest.at(place, "a boolean has no range")
    return Range(name, **{bound: _value(name, v, schema, f"{place}.{bound}") for bound, v in raw.items()})


def _value(name: str, value: Any, schema: Schema, place: str) -> Any:
    field = schema.filter_field(name)
    if field is None:
        raise InvalidRequest.at(place, "no such filter field")
    try:
        return field.normalise(value)
    except ValueError as error:
        raise InvalidRequest.at(place, str(error)) from error

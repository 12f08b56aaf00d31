"""The forms of requests: what pydantic checks of the JSON before anything is looked up in a schema."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, WithJsonSchema, field_validator, model_validator

from es_mappings.errors import FieldProblem, InvalidRequest
from es_mappings.types import Direction, FusionMethod, Missing
from query_api import cursor
from query_api.limits import (
    MAX_COUNT,
    MAX_DIMS,
    MAX_FACETS,
    MAX_FIELDS,
    MAX_ITEMS,
    MAX_RANGES,
    MAX_SIZE,
    MAX_SORTS,
    MAX_TERMS,
    MAX_TEXT,
)

Calibrate = Literal["fitted", "raw"]
PlanWish = Literal["auto", "exact", "ann"]

Number = Annotated[float, Field(allow_inf_nan=False)]
Identifier = Annotated[str, Field(min_length=1, max_length=512)]
Weight = Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)]


_F = TypeVar("_F", bound="_Model")


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


KINDS = ("text", "image", "item", "entity", "user", "vector")
ONE_KIND: list[Any] = [
    {"required": [kind], "properties": {kind: {"type": "array" if kind == "vector" else "string"}}} for kind in KINDS
]
"""Exactly one kind of term, as JSON Schema says it; `TermModel` checks it by itself."""


class TermModel(_Model):
    """One part of a query: exactly one of text, image, item, entity, user, or a vector of a space.

    An image is base64, or an address (https) where the service fetches pictures from its host.
    """

    model_config = ConfigDict(json_schema_extra={"oneOf": ONE_KIND})

    text: str | None = Field(None, min_length=1, max_length=MAX_TEXT)
    image: str | None = None
    item: str | None = Field(None, min_length=1, max_length=512)
    entity: str | None = Field(None, min_length=1, max_length=512)
    relation: str | None = Field(None, min_length=1, max_length=512)
    direction: Direction | None = None
    user: str | None = Field(None, min_length=1, max_length=512)
    vector: list[Number] | None = Field(None, max_length=MAX_DIMS, fail_fast=True)
    space: str | None = None
    weight: float = Field(1.0, ge=-1000, le=1000, allow_inf_nan=False)
    modalities: list[str] | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if sum(getattr(self, kind) is not None for kind in KINDS) != 1:
            raise ValueError("a term is exactly one of text, image, item, entity, user or vector")
        return self


class FusionModel(_Model):
    method: FusionMethod = "hybrid"
    calibration: Calibrate | None = None
    weights: dict[str, Weight] = Field(default_factory=dict)
    missing: Missing = "ignore"


class FacetModel(_Model):
    """A field whose values are counted, or only how many fall into each range."""

    field: str
    ranges: Annotated[list[RangeModel], Field(min_length=1, max_length=MAX_RANGES)] | None = None


class RangeModel(_Model):
    """[from, to): numbers, or dates as text."""

    from_: str | int | Number | None = Field(None, alias="from")
    to: str | int | Number | None = None


SORT = {
    "type": "array",
    "maxItems": MAX_SORTS,
    "items": {
        "anyOf": [
            {"type": "string"},
            {
                "type": "object",
                "additionalProperties": {"enum": ["asc", "desc"]},
                "minProperties": 1,
                "maxProperties": 1,
            },
        ]
    },
}
"""What `sort` may look like; `query_api.request` reads it, since each field is looked up in the schema."""


class Wishes(_Model):
    """Which items may come back, and what of them: the same whatever is looked for."""

    filter: dict[str, Any] | None = None
    facets: list[FacetModel] = Field(default_factory=list, max_length=MAX_FACETS)
    sort: Annotated[list[Any], WithJsonSchema(SORT)] = Field(default_factory=list, max_length=MAX_SORTS)
    size: int = Field(10, ge=0, le=MAX_SIZE)
    from_: int = Field(0, ge=0, alias="from")
    after: str | None = Field(None, min_length=1, max_length=cursor.MAX_LENGTH)
    fields: list[str] | None = Field(None, max_length=MAX_FIELDS)
    paths: bool = False
    track_total_hits: bool | int = True
    plan: PlanWish = "auto"
    explain: bool | Literal["engine"] = False

    @field_validator(
        "facets",
        mode="before",
        json_schema_input_type=Annotated[list[str | FacetModel], Field(max_length=MAX_FACETS)],
    )
    @classmethod
    def _names(cls, facets: Any) -> Any:
        """A name alone is short for the values of that field."""
        return [{"field": f} if isinstance(f, str) else f for f in facets] if isinstance(facets, list) else facets

    @field_validator(
        "track_total_hits", mode="before", json_schema_input_type=bool | Annotated[int, Field(ge=1, le=MAX_COUNT)]
    )
    @classmethod
    def _bound(cls, wish: Any) -> Any:
        if isinstance(wish, bool) or (isinstance(wish, int) and 1 <= wish <= MAX_COUNT):
            return wish
        raise ValueError(f"must be true, false or a whole number from 1 to {MAX_COUNT}")


Words = Annotated[str, Field(max_length=MAX_TEXT)]
Terms = Annotated[list[TermModel], Field(max_length=MAX_TERMS)]


class Question(_Model):
    """What is looked for."""

    query: Terms | None = None

    @field_validator("query", mode="before", json_schema_input_type=Words | Terms | None)
    @classmethod
    def _words(cls, query: Any) -> Any:
        """Words alone are short for one text term."""
        if not isinstance(query, str):
            return query
        if len(query) > MAX_TEXT:
            raise ValueError(f"must not be longer than {MAX_TEXT} characters")
        return [{"text": query}] if query.strip() else []


class SearchModel(Wishes, Question):
    """The body of POST /v1/search."""

    fusion: FusionModel = FusionModel()
    highlight: bool = False


class RecommendModel(Wishes):
    """The body of POST /v1/recommend: for a user, or for who likes these items."""

    user: str | None = Field(None, min_length=1, max_length=512)
    items: list[Identifier] | None = Field(None, min_length=1, max_length=MAX_ITEMS)
    exclude_seen: bool = True

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if (self.user is None) == (self.items is None):
            raise ValueError("say for whom: exactly one of user or items")
        return self


class WhyModel(Question):
    """The body of POST /v1/why: a query as in POST /v1/search, and the hit to explain."""

    id: Identifier


def read_form(form: type[_F], body: Any) -> _F:
    """Raises InvalidRequest naming every offending field."""
    try:
        return form.model_validate(body)
    except ValidationError as error:
        raise InvalidRequest(*_problems(error)) from error


_MESSAGES = {
    "dict_type": "must be an object",
    "extra_forbidden": "there is no such member",
    "list_type": "must be a list",
    "missing": "is required",
    "model_type": "must be an object",
}


def _problems(error: ValidationError) -> list[FieldProblem]:
    """pydantic's errors with the path as a client wrote it; the names of a union's branches are no part of it."""
    problems: dict[str, FieldProblem] = {}
    for e in error.errors(include_url=False, include_context=False, include_input=False):
        path = ""
        for part in e["loc"]:
            if isinstance(part, int):
                path += f"[{part}]"
            elif "[" not in part and part not in {"bool", "str", "float", "int"}:
                path += f".{part}" if path else part
        message = _MESSAGES.get(e["type"], e["msg"].removeprefix("Value error, "))
        problems[path] = FieldProblem(path or "body", message)
    return list(problems.values())

"""The forms of answers, for the description. `query_api.respond` makes them; the tests hold each to the other."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from es_mappings.types import Direction, FusionMethod, Missing


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid")


class FieldProblem(_Answer):
    field: str = Field(description="The member of the body, or the parameter, that is wrong.")
    message: str


class Problem(_Answer):
    """RFC 9457. `request_id` is what the service's log has it under."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[FieldProblem]
    request_id: str


class Total(_Answer):
    """How many items the filter leaves, or match the words too where nothing but words is looked for."""

    value: int
    relation: Literal["eq", "gte"]
    of: Literal["filtered", "matching"]


class Fusion(_Answer):
    """Every number of the score that the hits do not carry themselves."""

    method: FusionMethod
    calibration: Literal["fitted", "raw"]
    missing: Missing
    weights: dict[str, float]
    saturation: float = Field(0, description="Under hybrid.")
    k: int = Field(0, description="Under rrf.")
    window: int = Field(0, description="Under rrf.")
    background: dict[str, float] = Field(default_factory=dict, description="Under penalize.")


class Plan(_Answer):
    kind: Literal["exact", "ann"]
    reason: str
    candidates: int
    fusion: Fusion


class Contribution(_Answer):
    """What a modality, or the words, gave: `space`, `cosine` and `calibrated`, or `score` and `saturated`."""

    space: str = ""
    cosine: float = 0
    calibrated: float = 0
    score: float = 0
    saturated: float = 0
    weight: float
    rank: int | None = Field(None, description="Under rrf.")


class Entity(_Answer):
    id: str
    name: str
    names: dict[str, str]


class Step(_Answer):
    relation: str
    direction: Direction
    to: Entity


class GraphPath(_Answer):
    from_: Entity = Field(alias="from")
    steps: list[Step]


class Hit(_Answer):
    id: str
    score: float
    modality: str = Field(description='What decided the score: a modality, "lexical" or "background".')
    contributions: dict[str, Contribution | None] = Field(description="null: the item lacks that modality.")
    source: dict[str, Any]
    highlight: dict[str, list[str]]
    paths: list[GraphPath] = Field(default_factory=list)


class Bucket(_Answer):
    """A value, or a range as it was asked, and how many items have it."""

    value: Any = None
    from_: float | str = Field(0, alias="from")
    to: float | str = 0
    count: int


class Partial(_Answer):
    reason: str


class SearchAnswer(_Answer):
    took_ms: float
    engine_ms: float
    plan: Plan
    total: Total | None
    hits: list[Hit]
    facets: dict[str, list[Bucket]]
    next: str | None = Field(description="The cursor of a walk's next page.")
    degraded: list[str] = Field(default_factory=list, description="Modalities whose encoder failed.")
    partial: Partial | None = Field(None, description="The engine's time was over before it had seen everything.")
    explain: dict[str, Any] = Field(default_factory=dict, description="The engine's request.")


class WhyMethod(_Answer):
    """How the numbers came about, and how many pieces an encoder is asked about at most."""

    name: Literal["occlusion"]
    query_pieces: int
    item_pieces: int
    cells: list[int]


class WhyPiece(_Answer):
    """A piece of the query's text. drops: by modality how much of the cosine is lost without it."""

    text: str
    drops: dict[str, float]


class WhyTerm(_Answer):
    term: int = Field(description="Its place in the query.")
    pieces: list[WhyPiece]
    picture: dict[str, Any] = Field(default_factory=dict, description="By modality the map of a picture.")


class WhyAnswer(_Answer):
    """`hit` is null for an item that is none."""

    id: str
    method: WhyMethod
    hit: Hit | None
    query: list[WhyTerm]
    modalities: dict[str, dict[str, Any] | None]
    degraded: list[str] = Field(default_factory=list, description="Modalities whose encoders failed.")
    took_ms: float


class Suggestion(_Answer):
    text: str
    count: int


class SuggestAnswer(_Answer):
    suggestions: list[Suggestion]
    took_ms: float


class Tie(_Answer):
    relation: str
    direction: Direction
    count: int


class EntityMatch(_Answer):
    id: str
    name: str
    names: dict[str, str]
    alias: str
    language: str
    match: str
    score: float
    items: int
    degree: int
    relations: list[Tie]
    modality: str


class EntitiesAnswer(_Answer):
    entities: list[EntityMatch]
    took_ms: float


class ItemAnswer(_Answer):
    id: str
    source: dict[str, Any]
    modalities: list[str]


class PageFields(_Answer):
    title: str
    image: str | None


class ConfigAnswer(_Answer):
    title: str
    fields: PageFields
    modalities: list[str]
    facets: list[str]
    filters: dict[str, str]
    languages: list[str]
    image_url: str


class AliveAnswer(_Answer):
    status: Literal["ok"]


class ReadyAnswer(_Answer):
    status: Literal["ready"]
    items: int

"""The words of maxcos as frozen dataclasses; `docs/architecture.md` defines each in a sentence.

They are what the packages pass to each other: an item on its way into an index, a term on its way to an encoder,
a plan on its way to an engine, and the page of hits on its way back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float32]
"""Shape (dims,), float32, unit length."""
Matrix = NDArray[np.float32]
"""Shape (n, dims), float32, every present row of unit length."""


@dataclass(frozen=True, slots=True)
class Space:
    """Vectors that may be compared with each other: one vector field of the index.

    A modality has one space, or several where one cannot serve every kind of query (`image` for pictures against
    pictures, `image_words` for words against pictures). `name` is the field's name, `modality` who wins with it.
    """

    name: str
    modality: str
    dims: int


@dataclass(frozen=True, slots=True)
class Provenance:
    """Which encoder and weights made the vectors of one space.

    fingerprint: a digest of everything that decides the vectors: weights, vocabulary, preprocessing, means.
    """

    encoder: str
    fingerprint: str
    dims: int
    normalisation: Literal["unit"] = "unit"


@dataclass(frozen=True, slots=True)
class Item:
    """What is searched: an id and any JSON fields; `place` says where it was read (file and line) for error reports."""

    id: str
    source: Mapping[str, Any]
    place: str = ""


@dataclass(frozen=True, slots=True)
class EncodedItem:
    """An item with one vector per space that it has (a missing modality is simply absent)."""

    item: Item
    vectors: Mapping[str, Vector]


# --- queries -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Term:
    weight: float = 1.0
    modalities: tuple[str, ...] | None = None
    """The modalities this term may speak to; None: all that understand it."""


@dataclass(frozen=True, slots=True)
class TextTerm(_Term):
    text: str


@dataclass(frozen=True, slots=True)
class ImageTerm(_Term):
    """A picture as the bytes of a file (`encoders.parts.pictures` has the formats)."""

    data: bytes


@dataclass(frozen=True, slots=True)
class ItemTerm(_Term):
    """An item of the index; its stored vectors are the query."""

    id: str


@dataclass(frozen=True, slots=True)
class EntityTerm(_Term):
    """A node of the knowledge graph, by its id."""

    id: str


Term = TextTerm | ImageTerm | ItemTerm | EntityTerm


@dataclass(frozen=True, slots=True)
class QueryVector:
    """One unit vector to compare with one space, and the weight of its cosine."""

    space: Space
    vector: Vector
    weight: float = 1.0


# --- filters -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OneOf:
    """The field holds at least one of the values."""

    field: str
    values: tuple[str | float | bool, ...]


@dataclass(frozen=True, slots=True)
class Range:
    """The field lies between the given bounds; a bound that is None is open."""

    field: str
    gt: float | str | None = None
    gte: float | str | None = None
    lt: float | str | None = None
    lte: float | str | None = None


@dataclass(frozen=True, slots=True)
class AllOf:
    clauses: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    clauses: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Not:
    clause: Filter


Filter = OneOf | Range | AllOf | AnyOf | Not


# --- plan and answer -----------------------------------------------------------------------------------------------

FusionMethod = Literal["max", "hybrid", "lexical"]


@dataclass(frozen=True, slots=True)
class Fusion:
    """How modality scores and the lexical score become one score.

    max:      s = max over modalities of w * cos
    hybrid:   s = that max (0 where the item has none of the modalities) + lexical_weight * b / (b + saturation),
              b being the engine's BM25 score
    lexical:  s = b
    """

    method: FusionMethod = "hybrid"
    lexical_weight: float = 0.3
    saturation: float = 8.0


@dataclass(frozen=True, slots=True)
class Plan:
    """A typed query, before any engine's syntax."""

    vectors: tuple[QueryVector, ...]
    words: str | None
    """What BM25 looks for; None when the query has no text or the fusion does not use it."""
    fusion: Fusion = Fusion()
    filter: Filter | None = None
    exclude: tuple[str, ...] = ()
    """Ids that must not come back: the items the query is made of."""
    facets: tuple[str, ...] = ()
    size: int = 10
    offset: int = 0
    fields: tuple[str, ...] | None = None
    """Source fields to return; None: all of them."""
    highlight: bool = False


@dataclass(frozen=True, slots=True)
class Hit:
    """One found item.

    cosines: the exact cosine of every queried space that the item has; absent spaces are missing from it.
    lexical: the engine's BM25 score; None when the words do not match or none were asked.
    """

    id: str
    score: float
    cosines: Mapping[str, float]
    lexical: float | None
    source: Mapping[str, Any]
    highlight: Mapping[str, list[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Page:
    """One page of hits, best first. `total` counts every item that the plan scores, not this page."""

    hits: tuple[Hit, ...]
    total: int
    facets: Mapping[str, Mapping[str, int]]
    engine_ms: float


@dataclass(frozen=True, slots=True)
class StoredItem:
    """An item as the index holds it."""

    id: str
    source: Mapping[str, Any]
    vectors: Mapping[str, Vector]

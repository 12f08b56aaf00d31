"""The words of maxcos as frozen dataclasses; `docs/architecture.md` defines each in a sentence.

They are what the packages pass to each other: an item on its way into an index, a term on its way to an encoder,
a plan on its way to an engine, and the page of hits on its way back.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

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
    pictures, `image_words` for words against pictures). `name` is the field's name, `modality` who wins with it. items:
    whether the vector of an item may ask for others like it.
    """

    name: str
    modality: str
    dims: int
    items: bool = True


@dataclass(frozen=True, slots=True)
class Provenance:
    """Which encoder and weights made the vectors of one space.

    fingerprint: a digest of everything that decides the vectors: weights, vocabulary, preprocessing, means. queries: a
    digest of what else queries go through, and items do not; "" for nothing.
    """

    encoder: str
    fingerprint: str
    dims: int
    normalisation: Literal["unit"] = "unit"
    queries: str = ""


@dataclass(frozen=True, slots=True)
class Item:
    """What is searched: an id and any JSON fields; `place` says where it was read (file and line) for error reports."""

    id: str
    source: Mapping[str, Any]
    place: str = ""


@dataclass(frozen=True, slots=True)
class Fields:
    """Fields of a record by name, for an encoder to which the values of its source do not say enough."""

    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class EncodedItem:
    """An item with one vector per space that it has (a missing modality is simply absent).

    kept: modalities of which the index has the right vectors already; they are not among `vectors` here.
    hashes: by modality a digest of what its vectors were made of, and under "lexical" one of the item's fields.
    """

    item: Item
    vectors: Mapping[str, Vector]
    kept: frozenset[str] = frozenset()
    hashes: Mapping[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Tombstone:
    """An item that shall be in the index no more."""

    id: str
    place: str = ""


@dataclass(frozen=True, slots=True)
class Stored:
    """What an index tells of an item that it holds: the modalities it has, and its hashes, see `EncodedItem`."""

    modalities: frozenset[str] = frozenset()
    hashes: Mapping[str, str] = field(default_factory=dict)


# --- what an index knows of its vectors ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Centre:
    """The means that are subtracted from the vectors of one space before they are made unit length again.

    items: the mean of the items' vectors. queries: the mean of the queries' vectors by kind of term ("text", "image",
    "entity"). Queries and items each lose their own mean: what all of them share says nothing about likeness.
    """

    items: Vector
    queries: Mapping[str, Vector] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Calibration:
    """How probable relevance is at a cosine: 1 / (1 + exp(-(slope * cosine + offset))), a logistic map (Platt 1999).

    slope is never negative, so that the map keeps the order of a modality's own hits. background: the mean of the map
    over unrelated pairs. fingerprint: the provenance of the vectors it was fitted on; it is void for any other.
    """

    slope: float
    offset: float
    background: float
    fingerprint: str

    def __call__(self, cosine: float) -> float:
        return 1.0 / (1.0 + math.exp(-min(max(self.slope * cosine + self.offset, -500.0), 500.0)))


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


Direction = Literal["in", "out"]
"""Which way a triple lies from an entity: "in" where the entity is its tail, "out" where it is its head."""


@dataclass(frozen=True, slots=True)
class EntityTerm(_Term):
    """A node of the knowledge graph, by its id; with a relation, what is linked to it by that one.

    direction: which way; None: every way in which the entity has that relation.
    """

    id: str
    relation: str | None = None
    direction: Direction | None = None


@dataclass(frozen=True, slots=True)
class UserTerm(_Term):
    """Somebody whose interactions the knowledge graph was trained with."""

    id: str


@dataclass(frozen=True, slots=True)
class VectorTerm(_Term):
    """A vector as the space's own encoder makes it for a query, of any length but zero."""

    space: str
    values: tuple[float, ...]


Term = TextTerm | ImageTerm | ItemTerm | EntityTerm | UserTerm | VectorTerm


@dataclass(frozen=True, slots=True)
class QueryVector:
    """One unit vector to compare with one space; what its cosine counts for is `weight * calibration(cosine)`.

    calibration: None leaves the cosine as it is (`raw`). background: what an item counts for that lacks the modality
    where the plan's policy for missing ones is to penalize; None: nothing is known. common: whether nearly all items
    have a vector in the space; which way is faster depends on it, never the answer.
    """

    space: Space
    vector: Vector
    weight: float = 1.0
    calibration: Calibration | None = None
    background: float | None = None
    common: bool = False

    def value(self, cosine: float) -> float:
        """The calibrated cosine, before its weight."""
        return cosine if self.calibration is None else self.calibration(cosine)


# --- what a knowledge graph tells -------------------------------------------------------------------------------------

Match = Literal["name", "prefix", "word", "part"]
"""How a name fits a text, best first: it is the text, begins with it, has its words somewhere, or is a part of it."""
MATCHES: tuple[Match, ...] = get_args(Match)


@dataclass(frozen=True, slots=True)
class Entity:
    """A node of a knowledge graph as people read it. names: its first name in each language that was asked for."""

    id: str
    name: str
    names: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Tie:
    """How many triples of one relation an entity has in one direction."""

    relation: str
    direction: Direction
    count: int


@dataclass(frozen=True, slots=True)
class EntityMatch:
    """An entity that a text may mean.

    alias, language: the name that fits the text. score: 1 for a full name, less for less of it. items: how many
    entities point at it, which in a catalogue's graph are the items that have it. degree: how many entities it is
    linked to either way. ties: the same by relation, most triples first.
    """

    entity: Entity
    alias: str
    language: str
    match: Match
    score: float
    items: int
    degree: int
    ties: tuple[Tie, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """One triple of a path, walked from the entity before it to `to`."""

    relation: str
    direction: Direction
    to: Entity


@dataclass(frozen=True, slots=True)
class GraphPath:
    """How an entity that a query names is linked to an item: the last step leads to the item."""

    start: Entity
    steps: tuple[Step, ...]


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
class Exists:
    """The field holds any value."""

    field: str


@dataclass(frozen=True, slots=True)
class Prefix:
    """One of the field's values (a keyword) begins with these characters."""

    field: str
    prefix: str


@dataclass(frozen=True, slots=True)
class Has:
    """The item has a vector in at least one of these spaces: how `missing: require` restricts a search."""

    spaces: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Ids:
    """The item is one of these: for questions about single items, no request can say it."""

    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Nested:
    """One single object of the list under `path` passes the clause; its fields have their full names (`path.field`)."""

    path: str
    clause: Filter


@dataclass(frozen=True, slots=True)
class AllOf:
    clauses: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    clauses: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Not:
    clause: Filter


Filter = OneOf | Range | Exists | Prefix | Has | Ids | Nested | AllOf | AnyOf | Not


@dataclass(frozen=True, slots=True)
class Facet:
    """What to count: the values of a field, or how many items have one within each [from, to) of `ranges`.

    The counts ignore what the filter itself demands of this field at its top level, so that a shopper who chose
    "red" still sees how many blue ones there are.
    """

    field: str
    ranges: tuple[tuple[float | None, float | None], ...] = ()


FACET_SIZE = 50
"""How many values a facet counts at most: the most frequent ones."""


@dataclass(frozen=True, slots=True)
class Sort:
    """An order by a filter field, or by the score (`field` is SCORE). Items without the field come last.

    Of several values the smallest counts when ascending, the largest when descending.
    """

    field: str
    descending: bool = False


SCORE = "_score"

MAX_EXCLUDED = 65_536
"""Ids that a plan may exclude: as many terms as a clause takes where a cluster's settings do not say otherwise."""


# --- plan and answer -----------------------------------------------------------------------------------------------

FusionMethod = Literal["max", "hybrid", "rrf", "lexical"]
Missing = Literal["ignore", "penalize", "require"]


@dataclass(frozen=True, slots=True)
class Fusion:
    """How modality scores and the lexical score become one score; v is the calibrated cosine, w a weight.

    max:      s = max over modalities of w * v
    hybrid:   s = that max (0 where the item has none of the modalities) + lexical_weight * b / (b + saturation),
              b being the engine's BM25 score
    rrf:      s = sum over modalities and BM25 of w / (RRF_K + rank), over ranks up to RRF_WINDOW (Cormack et al. 2009)
    lexical:  s = b

    missing: what an item gets from a queried modality that it lacks (a modality counts as lacking when the item has
    none of its queried spaces): nothing (`ignore`), the largest background of those spaces times the weight
    (`penalize`; for max and hybrid; an item without any queried modality is still no hit of max), or it is no hit at
    all (`require`, which the planner makes a part of the filter: see `Has`).
    """

    method: FusionMethod = "hybrid"
    lexical_weight: float = 0.3
    saturation: float = 8.0
    missing: Missing = "ignore"


RRF_K = 60
RRF_WINDOW = 500


@dataclass(frozen=True, slots=True)
class Ann:
    """Approximate search: the `k` nearest items of each space out of `candidates` visited ones, per shard.

    words: how many items are scored as well because their words match: all that match, or where more do the best of
    them, with those that tie with the last.
    """

    k: int
    candidates: int
    words: int = 2000


@dataclass(frozen=True, slots=True)
class Walk:
    """A place in a walk through all hits of one plan over a frozen view of the index.

    snapshot: the engine's name of that view; None begins the walk. after: the sort values of the last hit so far.
    """

    snapshot: str | None = None
    after: tuple[Any, ...] | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """A typed query, before any engine's syntax."""

    vectors: tuple[QueryVector, ...]
    words: str | None
    """What BM25 looks for; None when the query has no text or the fusion does not use it."""
    fusion: Fusion = Fusion()
    filter: Filter | None = None
    exclude: tuple[str, ...] = ()
    """Ids that must not come back: the items the query is made of, or those that a user has seen."""
    facets: tuple[Facet, ...] = ()
    sort: tuple[Sort, ...] = ()
    """Empty: by score, best first. Ties are broken by id."""
    size: int = 10
    offset: int = 0
    fields: tuple[str, ...] | None = None
    """Source fields to return; None: all of them."""
    highlight: bool = False
    count: int | None = None
    """How far to count the total: None exactly, else up to this bound; 0 not at all."""
    ann: Ann | None = None
    """None: score every document that the filter leaves."""
    walk: Walk | None = None


@dataclass(frozen=True, slots=True)
class Hit:
    """One found item.

    cosines: the exact cosine of every queried space that the item has; absent spaces are missing from it.
    lexical: the engine's BM25 score; None when the words do not match or none were asked.
    ranks: under `rrf` the item's rank, from 1, in each list (modality or "lexical") that has it within the window.
    """

    id: str
    score: float
    cosines: Mapping[str, float]
    lexical: float | None
    source: Mapping[str, Any]
    highlight: Mapping[str, list[str]] = field(default_factory=dict)
    ranks: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Total:
    """How many items the filter leaves (under `lexical`: and match); exact, or at least `value`."""

    value: int
    exact: bool = True


@dataclass(frozen=True, slots=True)
class Bucket:
    """One count of a facet: of a value, or of the range [start, end)."""

    count: int
    value: str | float | None = None
    start: float | None = None
    end: float | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """One page of hits, best first.

    total, facets: of the items that the filter leaves (under `lexical`: and match), never of candidates. facets: one
    tuple per `Plan.facets`, in their order. scored: how many items were scored exactly. partial: why the answer is not
    whole (a timeout, failed shards); None when it is. next: where the walk goes on; None at its end or without one.
    """

    hits: tuple[Hit, ...]
    total: Total | None
    facets: tuple[tuple[Bucket, ...], ...]
    engine_ms: float
    scored: int
    partial: str | None = None
    next: Walk | None = None


@dataclass(frozen=True, slots=True)
class StoredItem:
    """An item as the index holds it."""

    id: str
    source: Mapping[str, Any]
    vectors: Mapping[str, Vector]


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A title that begins as the user typed, or has a word that does, and how many of the looked-at items bear it."""

    text: str
    count: int

"""Plans of every kind over one small shop: the golden files show their bodies, and real engines have to take them."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import numpy as np

from es_mappings.schema import Schema, build_schema
from es_mappings.settings import LexicalSettings
from es_mappings.types import (
    SCORE,
    AllOf,
    Ann,
    AnyOf,
    Calibration,
    Exists,
    Facet,
    Fusion,
    Has,
    Nested,
    Not,
    OneOf,
    Plan,
    Prefix,
    Provenance,
    QueryVector,
    Range,
    Sort,
    Space,
)

SPACES = (Space("text", "text", 3), Space("image", "image", 2), Space("image_words", "image", 3))


class Encodes:
    spaces = SPACES
    provenance: ClassVar = {s.name: Provenance("example", "0123456789abcdef", s.dims) for s in SPACES}


def shop(languages: tuple[str, ...] = ("en", "zh")) -> Schema:
    lexical = LexicalSettings(
        fields=("title^2", "category"),
        languages=languages,
        filters=(
            "category",
            "price:number",
            "added:date",
            "sold:boolean",
            "brand",
            "variants.colour",
            "variants.size:number",
        ),
        facets=("category", "brand"),
        nested=("variants",),
    )
    return build_schema(lexical, [Encodes()])


def vector(position: int, *, calibrated: bool = False, background: float | None = None) -> QueryVector:
    space = SPACES[position]
    fitted = Calibration((8.0, 4.0, 6.0)[position], -2.0, 0.125, "0123456789abcdef") if calibrated else None
    weight = (1.0, 0.5, 0.5)[position]
    return QueryVector(space, np.eye(space.dims, dtype=np.float32)[0], weight, fitted, background)


FILTER = AllOf(
    (
        OneOf("category", ("sofa", "bed")),
        AnyOf((Range("price", gte=10.0, lt=50.0), Not(OneOf("sold", (True,))))),
        Range("added", gt=1_700_000_000_000.0),
        OneOf("added", (1_700_000_000_000.0,)),
    )
)
EVERY_FILTER = AllOf(
    (
        Exists("brand"),
        Prefix("category", "so"),
        Has(("image", "image_words")),
        Not(Nested("variants", AllOf((OneOf("variants.colour", ("red",)), Range("variants.size", lte=40.0))))),
    )
)
ALL = (vector(0), vector(1), vector(2))
CALIBRATED = tuple(vector(i, calibrated=True) for i in range(3))
PENALIZED = tuple(vector(i, calibrated=True, background=0.125) for i in range(3))

PLANS = {
    "max": Plan((vector(0), vector(1)), None, Fusion("max")),
    "max-common": Plan(tuple(replace(v, common=True) for v in (vector(0), vector(1))), None, Fusion("max")),
    "hybrid-common": Plan((replace(vector(0), common=True), vector(2)), "oak sofa", Fusion("hybrid")),
    "max-two-spaces-of-one-modality": Plan((vector(1), vector(2)), None, Fusion("max")),
    "max-calibrated": Plan(CALIBRATED, None, Fusion("max")),
    "max-penalize": Plan(PENALIZED, None, Fusion("max", missing="penalize")),
    "max-ann": Plan(ALL, None, Fusion("max"), ann=Ann(50, 200)),
    "max-ann-filter": Plan(ALL, None, Fusion("max"), FILTER, ("item-1",), ann=Ann(50, 200)),
    "hybrid": Plan((vector(0), vector(2)), "oak sofa", Fusion("hybrid"), highlight=True),
    "hybrid-words-only": Plan((), "oak sofa", Fusion("hybrid")),
    "hybrid-picture-only": Plan((vector(1),), None, Fusion("hybrid")),
    "hybrid-calibrated": Plan(CALIBRATED, "oak sofa", Fusion("hybrid")),
    "hybrid-penalize": Plan(PENALIZED, "oak sofa", Fusion("hybrid", missing="penalize")),
    "hybrid-ann": Plan(ALL, "oak sofa", Fusion("hybrid"), ann=Ann(50, 200)),
    "lexical": Plan((), "椅子", Fusion("lexical"), highlight=True),
    "filters": Plan((vector(0),), None, Fusion("max"), EVERY_FILTER),
    "sort": Plan((vector(0),), None, Fusion("max"), sort=(Sort("price", True), Sort("category"))),
    "sort-by-score-then-field": Plan((vector(0),), None, Fusion("max"), sort=(Sort(SCORE, True), Sort("added"))),
    "filter-facets-page": Plan(
        (vector(0),),
        "oak",
        Fusion("hybrid", 0.5),
        FILTER,
        exclude=("item-1",),
        facets=(Facet("category"),),
        size=5,
        offset=20,
        fields=("title",),
    ),
}

RANGES = ((None, 50.0), (50.0, 100.0), (100.0, None))
COUNTS = {
    "everything": Plan((vector(0),), None, Fusion("max")),
    "bounded": Plan((vector(0),), None, Fusion("max"), OneOf("brand", ("a",)), count=10_000),
    "lexical": Plan((), "椅子", Fusion("lexical"), OneOf("brand", ("a",)), facets=(Facet("category"),)),
    "facets": Plan((vector(0),), None, Fusion("max"), facets=(Facet("category"), Facet("price", RANGES))),
    "facets-ignore-their-own-filter": Plan(
        (vector(0),),
        None,
        Fusion("max"),
        AllOf((OneOf("category", ("sofa",)), Range("price", lt=50.0), OneOf("sold", (False,)))),
        exclude=("item-1",),
        facets=(Facet("category"), Facet("price", RANGES), Facet("brand")),
    ),
    "facets-only": Plan(
        (vector(0),), None, Fusion("max"), facets=(Facet("added", ((0.0, 1e12), (1e12, None))),), count=0
    ),
}

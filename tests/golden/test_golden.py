"""Every body that can reach a cluster, as files to read; `pytest --update-golden` rewrites them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from es_mappings.dialects import Dialect, dialects
from es_mappings.mappings import index_body
from es_mappings.schema import Schema, build_schema
from es_mappings.settings import EngineSettings, LexicalSettings
from es_mappings.types import AllOf, AnyOf, Fusion, Not, OneOf, Plan, Provenance, QueryVector, Range, Space
from query_api.compile import search_body

HERE = Path(__file__).parent
SPACES = (Space("text", "text", 3), Space("image", "image", 2), Space("image_words", "image", 3))
DIALECTS = {dialect.name: dialect for dialect in dialects()}


class Encodes:
    spaces = SPACES
    provenance: ClassVar = {s.name: Provenance("example", "0123456789abcdef", s.dims) for s in SPACES}


def shop(languages: tuple[str, ...] = ("en", "zh")) -> Schema:
    lexical = LexicalSettings(
        fields=("title^2", "category"),
        languages=languages,
        filters=("category", "price:number", "added:date", "sold:boolean"),
        facets=("category",),
    )
    return build_schema(lexical, [Encodes()])


def vector(position: int) -> QueryVector:
    space = SPACES[position]
    return QueryVector(space, np.eye(space.dims, dtype=np.float32)[0], weight=(1.0, 0.5, 0.5)[position])


FILTER = AllOf(
    (
        OneOf("category", ("sofa", "bed")),
        AnyOf((Range("price", gte=10.0, lt=50.0), Not(OneOf("sold", (True,))))),
        Range("added", gt=1_700_000_000_000.0),
        OneOf("added", (1_700_000_000_000.0,)),
    )
)

PLANS = {
    "max": Plan((vector(0), vector(1)), None, Fusion("max")),
    "max-two-spaces-of-one-modality": Plan((vector(1), vector(2)), None, Fusion("max")),
    "hybrid": Plan((vector(0), vector(2)), "oak sofa", Fusion("hybrid"), highlight=True),
    "hybrid-words-only": Plan((), "oak sofa", Fusion("hybrid")),
    "hybrid-picture-only": Plan((vector(1),), None, Fusion("hybrid")),
    "lexical": Plan((), "椅子", Fusion("lexical"), highlight=True),
    "filter-facets-page": Plan(
        (vector(0),),
        "oak",
        Fusion("hybrid", 0.5),
        FILTER,
        exclude=("item-1",),
        facets=("category",),
        size=5,
        offset=20,
        fields=("title",),
    ),
}


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, dict[str, Any]], None]:
    def compare(name: str, body: dict[str, Any]) -> None:
        file = HERE / f"{name}.json"
        if request.config.getoption("--update-golden"):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(body, indent=2, ensure_ascii=False) + "\n", "utf-8")
        assert json.loads(file.read_text("utf-8")) == json.loads(json.dumps(body))

    return compare


@pytest.mark.parametrize("name", DIALECTS)
def test_index_bodies(name: str, golden: Callable[[str, dict[str, Any]], None]) -> None:
    golden(f"mappings/{name}", index_body(shop(), DIALECTS[name], EngineSettings(shards=2, replicas=1)))


def test_index_body_of_one_language(golden: Callable[[str, dict[str, Any]], None]) -> None:
    golden("mappings/chinese-only", index_body(shop(("zh",)), DIALECTS["elasticsearch9"], EngineSettings()))


@pytest.mark.parametrize("plan", PLANS)
def test_query_bodies(plan: str, golden: Callable[[str, dict[str, Any]], None]) -> None:
    golden(f"queries/{plan}", search_body(PLANS[plan], shop(), DIALECTS["elasticsearch9"]))


def test_opensearch_scripts_name_the_field_as_its_painless_wants_it() -> None:
    dialect: Dialect = DIALECTS["opensearch"]
    script = search_body(PLANS["max"], shop(), dialect)["query"]["script_score"]["script"]["source"]
    assert "cosineSimilarity(params.q_text, doc['maxcos.text'])" in script


def test_the_text_of_a_script_depends_only_on_the_spaces() -> None:
    """Numbers are params: one compilation serves every query."""
    asked = [QueryVector(SPACES[0], np.full(3, 3**-0.5, np.float32), weight) for weight in (0.1, 0.7, 3.0)]
    bodies = [
        search_body(Plan((v,), "x", Fusion("hybrid", v.weight)), shop(), DIALECTS["elasticsearch9"]) for v in asked
    ]
    scripts = {body["query"]["script_score"]["script"]["source"] for body in bodies}
    assert len(scripts) == 1

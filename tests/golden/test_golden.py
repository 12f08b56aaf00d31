"""Every body that can reach a cluster, as files to read; `pytest --update-golden` rewrites them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from es_mappings.dialects import dialects
from es_mappings.mappings import index_body
from es_mappings.settings import EngineSettings
from es_mappings.types import Calibration, Fusion, OneOf, Plan, QueryVector
from plans import ALL, COUNTS, PLANS, SPACES, shop, vector
from query_api.bodies.counts import count_body
from query_api.bodies.search import ids_body, list_body, matching_body, search_body
from query_api.bodies.words import suggest_body
from query_api.rrf import list_plans

HERE = Path(__file__).parent
DIALECTS = {dialect.name: dialect for dialect in dialects()}
ELASTICSEARCH, OPENSEARCH = DIALECTS["elasticsearch9"], DIALECTS["opensearch"]


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, dict[str, Any]], None]:
    def compare(name: str, body: dict[str, Any]) -> None:
        file = HERE / f"{name}.json"
        if request.config.getoption("--update-golden"):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(body, indent=2, ensure_ascii=False, default=np.ndarray.tolist) + "\n", "utf-8")
        assert json.loads(file.read_text("utf-8")) == json.loads(json.dumps(body, default=np.ndarray.tolist))

    return compare


@pytest.mark.parametrize("name", DIALECTS)
def test_index_bodies(name: str, golden: Callable[[str, dict[str, Any]], None]) -> None:
    golden(f"mappings/{name}", index_body(shop(), DIALECTS[name], EngineSettings(shards=2, replicas=1)))


def test_index_body_of_one_language(golden: Callable[[str, dict[str, Any]], None]) -> None:
    golden("mappings/chinese-only", index_body(shop(("zh",)), DIALECTS["elasticsearch9"], EngineSettings()))


@pytest.mark.parametrize("plan", PLANS)
def test_query_bodies(plan: str, golden: Callable[[str, dict[str, Any]], None]) -> None:
    golden(f"queries/{plan}", search_body(PLANS[plan], shop(), ELASTICSEARCH))


@pytest.mark.parametrize("plan", ["max-calibrated", "max-common", "max-ann-filter", "hybrid-ann"])
def test_query_bodies_of_opensearch(plan: str, golden: Callable[[str, dict[str, Any]], None]) -> None:
    golden(f"queries/opensearch/{plan}", search_body(PLANS[plan], shop(), OPENSEARCH))


def test_query_body_of_elasticsearch_8_14(golden: Callable[[str, dict[str, Any]], None]) -> None:
    golden("queries/elasticsearch814/max-ann", search_body(PLANS["max-ann"], shop(), DIALECTS["elasticsearch814"]))


@pytest.mark.parametrize("plan", COUNTS)
def test_count_bodies(plan: str, golden: Callable[[str, dict[str, Any]], None]) -> None:
    body = count_body(COUNTS[plan], shop())
    assert body is not None
    golden(f"counts/{plan}", body)


def test_nothing_is_counted_when_nobody_asks() -> None:
    assert count_body(Plan((vector(0),), None, Fusion("max"), count=0), shop()) is None


def test_rank_fusion_bodies(golden: Callable[[str, dict[str, Any]], None]) -> None:
    plan = Plan(ALL, "oak sofa", Fusion("rrf"), OneOf("brand", ("a",)), highlight=True)
    for name, listed in list_plans(plan).items():
        golden(f"queries/rrf-list-{name}", list_body(listed, shop(), ELASTICSEARCH))
    golden("queries/rrf-hits", ids_body(plan, ["item-1", "item-2"], shop(), ELASTICSEARCH))


def test_bodies_of_an_approximate_hybrid_whose_words_are_everywhere(
    golden: Callable[[str, dict[str, Any]], None],
) -> None:
    plan = replace(PLANS["hybrid-ann"], filter=OneOf("brand", ("a",)))
    golden("queries/hybrid-ann-matching", matching_body(plan, shop(), ELASTICSEARCH) or {})
    golden("queries/hybrid-ann-best-matches", search_body(plan, shop(), ELASTICSEARCH, 3.25))
    assert [name for name, plan in PLANS.items() if matching_body(plan, shop(), ELASTICSEARCH)] == ["hybrid-ann"]


def test_suggestion_body(golden: Callable[[str, dict[str, Any]], None]) -> None:
    golden("queries/suggest", suggest_body("oak ch", 20, shop()))


def test_the_text_of_a_script_depends_only_on_the_spaces() -> None:
    """Numbers are params: one compilation serves every query."""
    scripts = set()
    for number in (0.1, 0.7, 3.0):
        fitted = Calibration(number, -number, number / 10, "")
        asked = QueryVector(SPACES[0], np.full(3, 3**-0.5, np.float32), number, fitted, fitted.background)
        plan = Plan((asked,), "x", Fusion("hybrid", number, missing="penalize"))
        scripts.add(search_body(plan, shop(), ELASTICSEARCH)["query"]["script_score"]["script"]["source"])
    assert len(scripts) == 1

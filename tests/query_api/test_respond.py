"""The response: every score can be computed from it alone, under every fusion and policy."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from es_mappings.types import (
    RRF_K,
    Bucket,
    Calibration,
    Facet,
    Fusion,
    Hit,
    Page,
    Plan,
    QueryVector,
    Space,
    Suggestion,
    Total,
    Walk,
)
from query_api import cursor, respond
from query_api.planner import Planned
from query_api.request import SearchRequest
from scores import recomputed

SPACES = (
    Space("text", "text", 3),
    Space("image", "image", 3),
    Space("image_words", "image", 3),
    Space("graph", "graph", 3),
)


def query(
    method: str,
    *names: str,
    missing: str = "ignore",
    words: bool = True,
    maps: Mapping[str, Calibration] | None = None,
    weights: Mapping[str, float] | None = None,
) -> Plan:
    vectors = tuple(
        QueryVector(
            space,
            np.ones(3, dtype=np.float32) / np.float32(math.sqrt(3)),
            (weights or {}).get(space.modality, 1.0),
            (maps or {}).get(space.name),
            (maps or {})[space.name].background if missing == "penalize" else None,
        )
        for space in SPACES
        if space.name in names
    )
    lexical = (weights or {}).get("lexical", 0.3)
    return Plan(vectors, "w" if words and method != "max" else None, Fusion(method, lexical, missing=missing))  # type: ignore[arg-type]


def answer(plan: Plan, *hits: Hit, request: SearchRequest | None = None, **page: Any) -> dict[str, Any]:
    whole = {"total": Total(7), "facets": (), "engine_ms": 1.0, "scored": 5, **page}
    planned = Planned(plan, "exact", "because", (), "raw")
    body = respond.response(Page(tuple(hits), **whole), planned, request or SearchRequest(()), 2.0)
    return json.loads(json.dumps(body))  # type: ignore[no-any-return]


def hit(
    score: float = 0.0, lexical: float | None = None, ranks: Mapping[str, int] | None = None, **cosines: float
) -> Hit:
    return Hit("i", score, cosines, lexical, {"title": "t"}, {}, ranks or {})


def shown(plan: Plan, found: Hit) -> dict[str, Any]:
    (one,) = answer(plan, found)["hits"]
    return one  # type: ignore[no-any-return]


# --- scores from first principles, for hits that are drawn


def score(plan: Plan, found: Hit) -> float | None:
    """The formulas of `types.Fusion`; None: no hit."""
    words = found.lexical if plan.words is not None else None
    if plan.fusion.method == "lexical":
        return words
    modalities: dict[str, list[QueryVector]] = {}
    for vector in plan.vectors:
        modalities.setdefault(vector.space.modality, []).append(vector)
    values = {}
    for modality, asked in modalities.items():
        own = [v.weight * v.value(found.cosines[v.space.name]) for v in asked if v.space.name in found.cosines]
        if own:
            values[modality] = max(own)
    if plan.fusion.method == "rrf":
        weights = {m: asked[0].weight for m, asked in modalities.items()} | {"lexical": plan.fusion.lexical_weight}
        return sum(weights[name] / (RRF_K + rank) for name, rank in found.ranks.items()) if found.ranks else None
    if plan.fusion.method == "max" and not values:
        return None
    if plan.fusion.missing == "require" and len(values) < len(modalities):
        return None
    if plan.fusion.missing == "penalize":
        for modality, asked in modalities.items():
            if modality not in values:
                values[modality] = asked[0].weight * max(v.background for v in asked if v.background is not None)
    best = max(values.values(), default=0.0)
    if plan.fusion.method == "max":
        return best
    if not any(v.space.name in found.cosines for v in plan.vectors) and words is None:
        return None
    return best + (plan.fusion.lexical_weight * words / (words + plan.fusion.saturation) if words else 0.0)


maps = st.fixed_dictionaries(
    {
        space.name: st.builds(Calibration, st.floats(0, 30), st.floats(-10, 10), st.floats(0.001, 0.6), st.just("f"))
        for space in SPACES
    }
)
names = st.sets(st.sampled_from([s.name for s in SPACES]), min_size=1)
cosines = st.dictionaries(st.sampled_from([s.name for s in SPACES]), st.floats(-1, 1))
weights = st.dictionaries(st.sampled_from(["text", "image", "graph", "lexical"]), st.floats(0.01, 5))
policies = st.sampled_from(
    [
        *((method, missing) for method in ("max", "hybrid") for missing in ("ignore", "penalize", "require")),
        *(("rrf", "ignore"), ("rrf", "require"), ("lexical", "ignore")),
    ]
)


@given(policies, names, maps, st.booleans(), st.booleans(), weights, cosines, st.none() | st.floats(0.1, 40), st.data())
def test_every_score_follows_from_the_response(
    policy: tuple[str, str],
    asked: set[str],
    fitted: Mapping[str, Calibration],
    raw: bool,
    words: bool,
    given_weights: Mapping[str, float],
    has: Mapping[str, float],
    lexical: float | None,
    data: st.DataObject,
) -> None:
    method, missing = policy
    used = () if method == "lexical" else asked
    plan = query(
        method,
        *used,
        missing=missing,
        words=words or method == "lexical",
        maps=None if raw and missing != "penalize" else fitted,
        weights=given_weights,
    )
    found = hit(0.0, lexical if plan.words else None, **{name: c for name, c in has.items() if name in used})
    if method == "rrf":
        lists = {v.space.modality for v in plan.vectors if v.space.name in found.cosines}
        lists |= {"lexical"} if found.lexical is not None else set()
        ranks = {name: data.draw(st.none() | st.integers(1, 500)) for name in sorted(lists)}
        found = replace(found, ranks={name: rank for name, rank in ranks.items() if rank is not None})
    expected = score(plan, found)
    if expected is None:
        return
    body = answer(plan, replace(found, score=expected))
    (shown_hit,) = body["hits"]
    assert recomputed(shown_hit, body["plan"]["fusion"]) == pytest.approx(shown_hit["score"], abs=1e-12)
    assert_decided(shown_hit, body["plan"]["fusion"])


def assert_decided(found: Mapping[str, Any], fusion: Mapping[str, Any]) -> None:
    """The named modality has the largest part of the score."""
    shares = {name: share for name, share in found["contributions"].items() if share is not None}
    if fusion["method"] == "rrf":
        parts = {n: s["weight"] / (fusion["k"] + s["rank"]) for n, s in shares.items() if s["rank"] is not None}
        assert parts[found["modality"]] == max(parts.values())
        return
    values = {name: s["weight"] * s["calibrated"] for name, s in shares.items() if name != "lexical"}
    lacking = [fusion["weights"][m] * b for m, b in fusion.get("background", {}).items() if m not in values]
    if not values:
        assert found["modality"] == "lexical"
    elif found["modality"] == "background":
        assert max(lacking) > max(values.values())
    else:
        assert values[found["modality"]] == max([*values.values(), *lacking])


# --- the shape


def test_an_answer_has_the_shape_of_the_contract() -> None:
    body = answer(query("hybrid", "text", "graph"), hit(0.9, 8.0, text=0.75))
    assert body == {
        "took_ms": 2.0,
        "engine_ms": 1.0,
        "plan": {
            "kind": "exact",
            "reason": "because",
            "candidates": 5,
            "fusion": {
                "method": "hybrid",
                "calibration": "raw",
                "missing": "ignore",
                "weights": {"text": 1.0, "graph": 1.0, "lexical": 0.3},
                "saturation": 8.0,
            },
        },
        "total": {"value": 7, "relation": "eq", "of": "filtered"},
        "hits": [
            {
                "id": "i",
                "score": 0.9,
                "modality": "text",
                "contributions": {
                    "text": {"space": "text", "cosine": 0.75, "calibrated": 0.75, "weight": 1.0},
                    "graph": None,
                    "lexical": {"score": 8.0, "saturated": 0.5, "weight": 0.3},
                },
                "source": {"title": "t"},
                "highlight": {},
            }
        ],
        "facets": {},
        "next": None,
    }


@pytest.mark.parametrize(
    ("method", "total", "expected"),
    [
        ("hybrid", Total(7), {"value": 7, "relation": "eq", "of": "filtered"}),
        ("max", Total(7, exact=False), {"value": 7, "relation": "gte", "of": "filtered"}),
        ("lexical", Total(0), {"value": 0, "relation": "eq", "of": "matching"}),
        ("rrf", None, None),
    ],
)
def test_a_total_says_of_what_it_is(method: str, total: Total | None, expected: dict[str, Any] | None) -> None:
    assert answer(query(method, "text"), total=total)["total"] == expected


def test_what_is_not_whole_is_said_and_only_then() -> None:
    plan = query("max", "text")
    assert "partial" not in answer(plan)
    assert "degraded" not in answer(plan)
    assert answer(plan, partial="a shard failed")["partial"] == {"reason": "a shard failed"}
    planned = Planned(plan, "ann", "because", ("image",), "fitted")
    page = Page((), None, (), 1.0, 0)
    body = respond.response(page, planned, SearchRequest(()), 1.0)
    assert body["degraded"] == ["image"]
    assert (body["plan"]["kind"], body["plan"]["fusion"]["calibration"]) == ("ann", "fitted")


def test_the_next_page_is_a_cursor_of_this_request() -> None:
    walk = Walk("view", (0.1, "i"))
    request = SearchRequest((), walk=Walk(), digest="0123456789abcdef")
    token = answer(query("max", "text"), request=request, next=walk)["next"]
    assert cursor.decode(token, request.digest) == walk


def test_facets_come_back_as_they_were_asked() -> None:
    years = ({"to": "2020-01-01"}, {"from": "2020-01-01", "to": "2021-01-01T00:00:00+02:00"})
    ranges = ((None, 1_577_836_800_000.0), (1_577_836_800_000.0, 1_609_452_000_000.0))
    plan = replace(query("max", "text"), facets=(Facet("made", ranges), Facet("colour")))
    counted = tuple(Bucket(n, None, start, end) for n, (start, end) in enumerate(ranges))
    body = answer(
        plan,
        request=SearchRequest((), ranges={"made": years}),
        facets=(counted, (Bucket(3, "red"), Bucket(1, 2.5))),
    )
    assert list(body["facets"].items()) == [
        ("made", [{"to": "2020-01-01", "count": 0}, {**years[1], "count": 1}]),
        ("colour", [{"value": "red", "count": 3}, {"value": 2.5, "count": 1}]),
    ]


def test_rank_fusion_names_its_numbers_and_ranks() -> None:
    body = answer(query("rrf", "text", "graph"), hit(0.0, 4.0, {"text": 2, "lexical": 1}, text=0.5, graph=0.1))
    fusion = body["plan"]["fusion"]
    assert (fusion["k"], fusion["window"]) == (60, 500)
    assert "saturation" not in fusion
    contributions = body["hits"][0]["contributions"]
    assert {name: share["rank"] for name, share in contributions.items()} == {"text": 2, "graph": None, "lexical": 1}


STEEP = Calibration(10.0, 0.0, 0.1, "f")
FLAT = Calibration(1.0, 5.0, 0.99, "f")


def test_the_best_space_of_a_modality_is_the_one_with_the_largest_value() -> None:
    plan = query("max", "image", "image_words", maps={"image": STEEP, "image_words": FLAT})
    share = shown(plan, hit(image=0.3, image_words=0.1))["contributions"]["image"]
    assert share["space"] == "image_words"  # the smaller cosine says more here
    assert share["calibrated"] == FLAT(0.1)


def test_who_decided() -> None:
    penalizing = query("hybrid", "text", "graph", missing="penalize", maps={"text": STEEP, "graph": FLAT})
    assert shown(penalizing, hit(text=0.1, graph=0.1))["modality"] == "graph"
    assert shown(penalizing, hit(text=0.1))["modality"] == "background"
    assert shown(penalizing, hit(text=0.9))["modality"] == "text"
    assert shown(penalizing, hit(lexical=3.0))["modality"] == "lexical"
    assert shown(query("hybrid", "text"), hit(lexical=3.0))["modality"] == "lexical"
    assert shown(query("hybrid", "text"), hit(text=-0.5, lexical=30.0))["modality"] == "text"
    assert shown(query("lexical"), hit(lexical=3.0))["modality"] == "lexical"
    fused = query("rrf", "text", weights={"lexical": 1.0})
    assert shown(fused, hit(0.0, 1.0, {"text": 2, "lexical": 1}, text=0.9))["modality"] == "lexical"
    assert shown(fused, hit(0.0, 1.0, {"text": 1}, text=0.9))["modality"] == "text"


def test_suggestions() -> None:
    body = respond.suggestions_json([Suggestion("Oak chair", 2)], 1.234)
    assert body == {"suggestions": [{"text": "Oak chair", "count": 2}], "took_ms": 1.23}

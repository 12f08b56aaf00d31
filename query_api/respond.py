"""Page -> the response's JSON, with what every modality gave to every hit."""

from __future__ import annotations

from typing import Any

from es_mappings.schema import Schema
from es_mappings.types import Hit, Page, Plan, QueryVector
from query_api.planner import Planned

JSON = dict[str, Any]


def response(page: Page, planned: Planned, took_ms: float) -> JSON:
    """The body of an answer to /v1/search."""
    plan = planned.plan
    body: JSON = {
        "took_ms": round(took_ms, 2),
        "engine_ms": round(page.engine_ms, 2),
        "plan": {"kind": planned.kind, "reason": planned.reason, "candidates": page.total},
        "total": {"value": page.total, "relation": "eq"},
        "hits": [hit_json(hit, plan) for hit in page.hits],
        "facets": {
            name: [{"value": value, "count": count} for value, count in found.items()]
            for name, found in page.facets.items()
        },
    }
    if planned.degraded:
        body["degraded"] = list(planned.degraded)
    return body


def hit_json(hit: Hit, plan: Plan) -> JSON:
    """One hit. `modality` is the one whose weighted cosine is the maximum, or "lexical" when only words matched."""
    contributions = _contributions(hit, plan)
    present = {m: c for m, c in contributions.items() if c is not None and m != "lexical"}
    winner = max(present, key=lambda m: present[m]["weight"] * present[m]["calibrated"], default=None)
    return {
        "id": hit.id,
        "score": hit.score,
        "modality": winner or "lexical",
        "contributions": contributions,
        "source": dict(hit.source),
        "highlight": dict(hit.highlight),
    }


def _contributions(hit: Hit, plan: Plan) -> JSON:
    """Per queried modality its best space's share, null where the item lacks it; the score follows from them."""
    contributions: JSON = {vector.space.modality: None for vector in plan.vectors}
    for vector in plan.vectors:
        share = _share(hit, vector)
        best = contributions[vector.space.modality]
        if share is not None and (best is None or share["cosine"] > best["cosine"]):
            contributions[vector.space.modality] = share
    if plan.words is not None:
        contributions["lexical"] = _lexical(hit, plan)
    return contributions


def _share(hit: Hit, vector: QueryVector) -> JSON | None:
    cosine = hit.cosines.get(vector.space.name)
    if cosine is None:
        return None
    return {"space": vector.space.name, "cosine": cosine, "calibrated": cosine, "weight": vector.weight}


def _lexical(hit: Hit, plan: Plan) -> JSON | None:
    if hit.lexical is None:
        return None
    if plan.fusion.method == "lexical":
        return {"score": hit.lexical, "saturated": hit.lexical, "weight": 1.0}
    saturated = hit.lexical / (hit.lexical + plan.fusion.saturation)
    return {"score": hit.lexical, "saturated": saturated, "weight": plan.fusion.lexical_weight}


def item_json(identifier: str, source: Any, vectors: Any, schema: Schema) -> JSON:
    """One item: its fields, and which modalities it has."""
    present = dict.fromkeys(space.modality for space in schema.spaces if space.name in vectors)
    return {"id": identifier, "source": dict(source), "modalities": list(present)}

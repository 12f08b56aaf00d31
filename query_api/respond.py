"""Page -> the response's JSON, with what every modality gave to every hit.

Each score follows from the response alone, f being `plan.fusion` and c a hit's `contributions`:

    max      the largest of  c[m].weight * c[m].calibrated  over the modalities m that the hit has, and under `penalize`
             also of  f.weights[m] * f.background[m]  over those that it lacks
    hybrid   that (0 when there is none), + c.lexical.weight * c.lexical.saturated if its words match
    rrf      the sum of  c[l].weight / (f.k + c[l].rank)  over the modalities and lexical that have a rank
    lexical  c.lexical.score
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from es_mappings.schema import Schema
from es_mappings.types import (
    RRF_K,
    RRF_WINDOW,
    Bucket,
    Entity,
    EntityMatch,
    Facet,
    GraphPath,
    Hit,
    Page,
    Plan,
    QueryVector,
    Suggestion,
)
from query_api import cursor
from query_api.planner import Planned
from query_api.request import SearchRequest
from query_api.rrf import LEXICAL

JSON = dict[str, Any]

BACKGROUND = "background"


def response(
    page: Page,
    planned: Planned,
    request: SearchRequest,
    took_ms: float,
    paths: Sequence[Sequence[GraphPath]] | None = None,
) -> JSON:
    """The body of an answer to /v1/search. paths: of each hit, if they were asked."""
    plan = planned.plan
    body: JSON = {
        "took_ms": round(took_ms, 2),
        "engine_ms": round(page.engine_ms, 2),
        "plan": {
            "kind": planned.kind,
            "reason": planned.reason,
            "candidates": page.scored,
            "fusion": fusion_json(plan, planned.calibration),
        },
        "total": total_json(page, plan),
        "hits": [hit_json(hit, plan) for hit in page.hits],
        "facets": {
            facet.field: _buckets(facet, found, request) for facet, found in zip(plan.facets, page.facets, strict=True)
        },
        "next": cursor.encode(page.next, request.digest) if page.next is not None else None,
    }
    if paths is not None:
        for hit, found in zip(body["hits"], paths, strict=True):
            hit["paths"] = [path_json(path) for path in found]
    if planned.degraded:
        body["degraded"] = list(planned.degraded)
    if page.partial is not None:
        body["partial"] = {"reason": page.partial}
    return body


def total_json(page: Page, plan: Plan) -> JSON | None:
    """How many items the filter leaves, or match the words too when nothing but words is looked for."""
    if page.total is None:
        return None
    of = "matching" if plan.fusion.method == "lexical" else "filtered"
    return {"value": page.total.value, "relation": "eq" if page.total.exact else "gte", "of": of}


def fusion_json(plan: Plan, calibration: str) -> JSON:
    """How scores came about: every number that the hits do not carry themselves."""
    fusion = plan.fusion
    body: JSON = {
        "method": fusion.method,
        "calibration": calibration,
        "missing": fusion.missing,
        "weights": {v.space.modality: v.weight for v in plan.vectors},
    }
    if fusion.method in {"hybrid", "rrf"}:
        body["weights"][LEXICAL] = fusion.lexical_weight
    if fusion.method == "hybrid":
        body["saturation"] = fusion.saturation
    if fusion.method == "rrf":
        body |= {"k": RRF_K, "window": RRF_WINDOW}
    if fusion.missing == "penalize":
        body["background"] = _backgrounds(plan)
    return body


def _backgrounds(plan: Plan) -> dict[str, float]:
    """By modality, what an item counts for that lacks it, before its weight."""
    found: dict[str, float] = {}
    for vector in plan.vectors:
        if vector.background is not None:
            found[vector.space.modality] = max(vector.background, found.get(vector.space.modality, 0.0))
    return found


# --- hits


def hit_json(hit: Hit, plan: Plan) -> JSON:
    """One hit. `modality` is what decided its score: see `_decisive`."""
    contributions = _contributions(hit, plan)
    return {
        "id": hit.id,
        "score": hit.score,
        "modality": _decisive(contributions, plan),
        "contributions": contributions,
        "source": dict(hit.source),
        "highlight": dict(hit.highlight),
    }


def _contributions(hit: Hit, plan: Plan) -> JSON:
    """Per queried modality its best space's share, null where the item lacks it; then that of the words, if any."""
    contributions: JSON = {vector.space.modality: None for vector in plan.vectors}
    for vector in plan.vectors:
        share = _share(hit, vector)
        best = contributions[vector.space.modality]
        if share is not None and (best is None or share["calibrated"] > best["calibrated"]):
            contributions[vector.space.modality] = share
    if plan.words is not None:
        contributions[LEXICAL] = _lexical(hit, plan)
    if plan.fusion.method == "rrf":
        for name, share in contributions.items():
            if share is not None:
                share["rank"] = hit.ranks.get(name)
    return contributions


def _share(hit: Hit, vector: QueryVector) -> JSON | None:
    cosine = hit.cosines.get(vector.space.name)
    if cosine is None:
        return None
    return {
        "space": vector.space.name,
        "cosine": cosine,
        "calibrated": vector.value(cosine),
        "weight": vector.weight,
    }


def _lexical(hit: Hit, plan: Plan) -> JSON | None:
    if hit.lexical is None:
        return None
    if plan.fusion.method == "lexical":
        return {"score": hit.lexical, "saturated": hit.lexical, "weight": 1.0}
    saturated = hit.lexical / (hit.lexical + plan.fusion.saturation)
    return {"score": hit.lexical, "saturated": saturated, "weight": plan.fusion.lexical_weight}


def _decisive(contributions: JSON, plan: Plan) -> str:
    """Under rrf the list with the largest share. Else the modality with the largest value, "background" when what
    stands in for a missing one is larger still, and "lexical" when the item has no queried modality.
    """
    present = {name: share for name, share in contributions.items() if share is not None}
    if plan.fusion.method == "rrf":
        ranked = {name: s["weight"] / (RRF_K + s["rank"]) for name, s in present.items() if s["rank"] is not None}
        return max(ranked, key=lambda name: ranked[name], default=LEXICAL)
    values = {name: s["weight"] * s["calibrated"] for name, s in present.items() if name != LEXICAL}
    if not values:
        return LEXICAL
    winner = max(values, key=lambda name: values[name])
    weights = {v.space.modality: v.weight for v in plan.vectors}
    lacking = (weights[m] * b for m, b in _backgrounds(plan).items() if contributions[m] is None)
    return BACKGROUND if max(lacking, default=values[winner]) > values[winner] else winner


# --- the knowledge graph


def entity_json(entity: Entity) -> JSON:
    return {"id": entity.id, "name": entity.name, "names": dict(entity.names)}


def path_json(path: GraphPath) -> JSON:
    """The entity that the query names, and the steps from there to the item."""
    steps = [{"relation": s.relation, "direction": s.direction, "to": entity_json(s.to)} for s in path.steps]
    return {"from": entity_json(path.start), "steps": steps}


def entities_json(found: Sequence[tuple[str, EntityMatch]], took_ms: float) -> JSON:
    """Candidates with the modality whose graph has them."""
    return {"entities": [_match_json(modality, match) for modality, match in found], "took_ms": round(took_ms, 2)}


def _match_json(modality: str, match: EntityMatch) -> JSON:
    return {
        **entity_json(match.entity),
        "alias": match.alias,
        "language": match.language,
        "match": match.match,
        "score": match.score,
        "items": match.items,
        "degree": match.degree,
        "relations": [{"relation": t.relation, "direction": t.direction, "count": t.count} for t in match.ties],
        "modality": modality,
    }


# --- facets


def _buckets(facet: Facet, found: tuple[Bucket, ...], request: SearchRequest) -> list[JSON]:
    """Ranges come back as the client wrote them, a date in the client's own text."""
    if not facet.ranges:
        return [{"value": bucket.value, "count": bucket.count} for bucket in found]
    written = request.ranges[facet.field]
    return [{**bounds, "count": bucket.count} for bounds, bucket in zip(written, found, strict=True)]


# --- other answers


def item_json(identifier: str, source: Any, vectors: Any, schema: Schema) -> JSON:
    """One item: its fields, and which modalities it has."""
    present = dict.fromkeys(space.modality for space in schema.spaces if space.name in vectors)
    return {"id": identifier, "source": dict(source), "modalities": list(present)}


def suggestions_json(found: list[Suggestion], took_ms: float) -> JSON:
    return {"suggestions": [{"text": s.text, "count": s.count} for s in found], "took_ms": round(took_ms, 2)}

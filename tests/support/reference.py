"""What every engine has to compute, written a second time in plain numpy over a list of documents.

Words are the exception: BM25 numbers are each engine's own, so `bm25` brings them by id, and only for the documents
whose words match.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from es_mappings.types import SCORE, Bucket, EncodedItem, Hit, Page, Plan, QueryVector, Sort, Total
from reference_facets import count_values, without_own
from reference_filters import passes, values

K, WINDOW = 60, 500  # of rank fusion

TOLERANCE = 1e-4
"""How far an engine's number may be off: it computes in float32, and a map of slope 40 multiplies errors by 10."""
NEAR = 5e-5
"""Scores that differ by less may change places in an engine, which rounds them. Equal ones must not."""


@dataclass(frozen=True)
class Scored:
    """A document that can be a hit."""

    document: EncodedItem
    score: float
    cosines: Mapping[str, float]
    lexical: float | None
    ranks: Mapping[str, int] = field(default_factory=dict)

    @property
    def id(self) -> str:
        return self.document.item.id


# --- scores


def rank(plan: Plan, documents: Sequence[EncodedItem], bm25: Mapping[str, float]) -> list[Scored]:
    """Every document that can be a hit, in the order of the answer."""
    left = [d for d in documents if passes(d, plan.filter) and d.item.id not in plan.exclude]
    lists = rank_lists(plan, left, bm25) if plan.fusion.method == "rrf" else {}
    return in_order([s for d in left if (s := _scored(plan, d, bm25.get(d.item.id), lists)) is not None], plan.sort)


def _scored(
    plan: Plan, document: EncodedItem, lexical: float | None, lists: Mapping[str, Sequence[str]]
) -> Scored | None:
    found = cosines(document, plan.vectors)
    fusion = plan.fusion
    ranks = {name: ids.index(document.item.id) + 1 for name, ids in lists.items() if document.item.id in ids}
    match fusion.method:
        case "max" if found:
            score = max(_modalities(plan, found).values())
        case "hybrid" if found or lexical is not None:
            share = 0.0 if lexical is None else fusion.lexical_weight * lexical / (lexical + fusion.saturation)
            score = max(_modalities(plan, found).values(), default=0.0) + share
        case "lexical" if lexical is not None:
            score = lexical
        case "rrf" if ranks:
            weights = {v.space.modality: v.weight for v in plan.vectors} | {"lexical": fusion.lexical_weight}
            score = math.fsum(weights[name] / (K + place) for name, place in ranks.items())
        case _:
            return None
    return Scored(document, score, found, lexical, ranks)


def cosines(document: EncodedItem, vectors: Sequence[QueryVector]) -> dict[str, float]:
    own = document.vectors
    return {
        v.space.name: float(np.dot(v.vector.astype(np.float64), own[v.space.name].astype(np.float64)))
        for v in vectors
        if v.space.name in own
    }


def calibrated(vector: QueryVector, cosine: float) -> float:
    if vector.calibration is None:
        return cosine
    # 1 / (1 + exp(-x)), without its overflow
    return 0.5 + 0.5 * math.tanh((vector.calibration.slope * cosine + vector.calibration.offset) / 2)


def _modalities(plan: Plan, found: Mapping[str, float]) -> dict[str, float]:
    """What each modality counts for: its best space, or its background where it is missing and that is punished."""
    scores = {}
    for modality in {v.space.modality for v in plan.vectors}:
        asked = [v for v in plan.vectors if v.space.modality == modality]
        present = [v for v in asked if v.space.name in found]
        if present:
            scores[modality] = max(v.weight * calibrated(v, found[v.space.name]) for v in present)
        elif plan.fusion.missing == "penalize":
            scores[modality] = max(v.weight * v.background for v in asked if v.background is not None)
    return scores


def rank_lists(plan: Plan, left: Sequence[EncodedItem], bm25: Mapping[str, float]) -> dict[str, list[str]]:
    """The ids of each list that rank fusion fuses, best first, by modality or "lexical"."""
    return {name: [i for i, _ in ranked[:WINDOW]] for name, ranked in list_scores(plan, left, bm25).items()}


def list_scores(
    plan: Plan, left: Sequence[EncodedItem], bm25: Mapping[str, float]
) -> dict[str, list[tuple[str, float]]]:
    lists: dict[str, dict[str, float]] = {}
    for vector, document in itertools.product(plan.vectors, left):
        for cosine in cosines(document, [vector]).values():
            own = lists.setdefault(vector.space.modality, {})
            value = calibrated(vector, cosine)
            own[document.item.id] = max(own.get(document.item.id, value), value)
    if plan.words is not None:
        lists["lexical"] = {d.item.id: bm25[d.item.id] for d in left if d.item.id in bm25}
    return {name: sorted(own.items(), key=lambda pair: (-pair[1], pair[0])) for name, own in lists.items()}


# --- order


def in_order(found: Sequence[Scored], sorts: Sequence[Sort]) -> list[Scored]:
    """By the sorts, the last one first, as Python's sorts are stable; items without a value last in any direction."""
    ordered = sorted(found, key=lambda s: s.id)
    for sort in reversed(sorts or [Sort(SCORE, descending=True)]):
        present = [s for s in ordered if sort_value(s, sort) is not None]
        missing = [s for s in ordered if sort_value(s, sort) is None]
        present.sort(key=lambda s: sort_value(s, sort), reverse=sort.descending)
        ordered = [*present, *missing]
    return ordered


def sort_value(scored: Scored, sort: Sort) -> Any:
    if sort.field == SCORE:
        return scored.score
    own = values(scored.document, sort.field)
    return (max if sort.descending else min)(own, default=None)


def uncertain(a: Scored, b: Scored, plan: Plan) -> bool:
    """Whether an engine that rounds may put the second before the first."""
    for sort in plan.sort or [Sort(SCORE, descending=True)]:
        if sort.field != SCORE:
            if sort_value(a, sort) != sort_value(b, sort):
                return False
        elif plan.fusion.method == "rrf":
            return False
        elif a.score != b.score or (a.cosines, a.lexical) != (b.cosines, b.lexical):
            return abs(a.score - b.score) < NEAR
    return False


# --- totals and facets


def counted(plan: Plan, documents: Sequence[EncodedItem], bm25: Mapping[str, float]) -> list[EncodedItem]:
    """What totals and facets are about: what the filter leaves, whether or not it can be a hit."""
    return [
        d
        for d in documents
        if passes(d, plan.filter)
        and d.item.id not in plan.exclude
        and (plan.fusion.method != "lexical" or d.item.id in bm25)
    ]


def total(plan: Plan, documents: Sequence[EncodedItem], bm25: Mapping[str, float]) -> Total | None:
    number = len(counted(plan, documents, bm25))
    if plan.count is None:
        return Total(number)
    return Total(min(number, plan.count), number <= plan.count) if plan.count else None


def facets(plan: Plan, documents: Sequence[EncodedItem], bm25: Mapping[str, float]) -> tuple[tuple[Bucket, ...], ...]:
    return tuple(
        count_values(facet, counted(replace(plan, filter=without_own(plan.filter, facet.field)), documents, bm25))
        for facet in plan.facets
    )


# --- the whole answer


def assert_page(page: Page, plan: Plan, documents: Sequence[EncodedItem], bm25: Mapping[str, float]) -> None:
    """The page is what numpy computes: members, order, numbers, total and facets. The plan is exact."""
    assert page.partial is None
    assert page.total == total(plan, documents, bm25)
    assert page.facets == facets(plan, documents, bm25)
    ranked = rank(plan, documents, bm25)
    if plan.fusion.method != "rrf" and plan.size > 0:
        assert page.scored == len(ranked)
    assert_hits(page.hits, plan, ranked)


def assert_hits(hits: Sequence[Hit], plan: Plan, ranked: Sequence[Scored]) -> None:
    wanted = ranked[plan.offset : plan.offset + plan.size]
    assert len(hits) == len(wanted)
    assert len({hit.id for hit in hits}) == len(hits)
    by_id = {s.id: s for s in ranked}
    for hit, there in zip(hits, wanted, strict=True):
        assert hit.id in by_id
        assert_hit(hit, plan, by_id[hit.id])
        _assert_place(plan, by_id[hit.id], there)
    # The neighbours just outside the page count too: one of them may be as good as the first or the last on it.
    around = ranked[max(plan.offset - 1, 0) : plan.offset + plan.size + 1]
    if not any(uncertain(a, b, plan) for a, b in itertools.pairwise(around)):
        assert [hit.id for hit in hits] == [s.id for s in wanted]


def assert_hit(hit: Hit, plan: Plan, expected: Scored) -> None:
    """One hit tells what is known of its document."""
    assert abs(hit.score - expected.score) < TOLERANCE
    assert set(hit.cosines) == set(expected.cosines)
    assert all(abs(hit.cosines[name] - cosine) < TOLERANCE for name, cosine in expected.cosines.items())
    assert (hit.lexical is None) == (expected.lexical is None)
    assert abs((hit.lexical or 0.0) - (expected.lexical or 0.0)) < TOLERANCE
    assert hit.ranks == expected.ranks
    if plan.fields is None:
        assert hit.source == expected.document.item.source


def _assert_place(plan: Plan, here: Scored, there: Scored) -> None:
    """What stands here sorts like what should: the same values, or a score that rounding cannot tell from it."""
    for sort in plan.sort or [Sort(SCORE, descending=True)]:
        if sort.field == SCORE:
            assert abs(here.score - there.score) < TOLERANCE
            return
        assert sort_value(here, sort) == sort_value(there, sort)

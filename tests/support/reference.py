"""What every engine has to compute, written a second time in plain numpy over a list of documents."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from es_mappings.types import AllOf, AnyOf, EncodedItem, Filter, Not, OneOf, Page, Plan, Range

TOLERANCE = 1e-4


@dataclass(frozen=True)
class Expected:
    cosines: Mapping[str, float]
    best: float | None


def expect(document: EncodedItem, plan: Plan) -> Expected:
    """The cosines and the maximum of one document, in double precision."""
    cosines = {
        v.space.name: float(np.dot(v.vector.astype(np.float64), document.vectors[v.space.name].astype(np.float64)))
        for v in plan.vectors
        if v.space.name in document.vectors
    }
    weighted = [v.weight * cosines[v.space.name] for v in plan.vectors if v.space.name in cosines]
    return Expected(cosines, max(weighted, default=None))


def passes(source: Mapping[str, Any], clause: Filter | None) -> bool:
    match clause:
        case None:
            return True
        case OneOf(field, values):
            return any(value in values for value in _values(source, field))
        case Range(field, gt, gte, lt, lte):
            return any(
                (gt is None or v > gt)
                and (gte is None or v >= gte)
                and (lt is None or v < lt)
                and (lte is None or v <= lte)
                for v in _values(source, field)
            )
        case AllOf(clauses):
            return all(passes(source, c) for c in clauses)
        case AnyOf(clauses):
            return any(passes(source, c) for c in clauses)
        case Not(inner):
            return not passes(source, inner)


def _values(source: Mapping[str, Any], field: str) -> list[Any]:
    value = source.get(field)
    return [] if value is None else value if isinstance(value, list) else [value]


def assert_page(page: Page, plan: Plan, documents: Sequence[EncodedItem]) -> None:
    """The page is what numpy computes: members, cosines, scores and order."""
    by_id = {d.item.id: d for d in documents}
    ranked = _rank(
        plan, [d for d in documents if passes(d.item.source, plan.filter) and d.item.id not in plan.exclude], page
    )
    assert page.total == len(ranked)
    expected = ranked[plan.offset : plan.offset + plan.size]
    assert len(page.hits) == len(expected)
    for hit, (_, score) in zip(page.hits, expected, strict=True):
        # Two documents closer than float32 can tell apart may change places; their scores may not.
        assert abs(hit.score - score) < TOLERANCE
        found = expect(by_id[hit.id], plan)
        assert set(hit.cosines) == set(found.cosines)
        assert all(abs(hit.cosines[name] - cosine) < TOLERANCE for name, cosine in found.cosines.items())
        assert abs(hit.score - _score(plan, found, hit.lexical)) < TOLERANCE
    # The neighbours just outside the page count too: one of them may be as good as the first or the last on it.
    around = ranked[max(plan.offset - 1, 0) : plan.offset + plan.size + 1]
    if all(a - b > 1e-5 for (_, a), (_, b) in itertools.pairwise(around)):
        assert [hit.id for hit in page.hits] == [identifier for identifier, _ in expected]
    assert len({h.id for h in page.hits}) == len(page.hits)


def _score(plan: Plan, found: Expected, lexical: float | None) -> float:
    if plan.fusion.method == "max":
        assert found.best is not None
        return found.best
    share = lexical / (lexical + plan.fusion.saturation) if lexical else 0.0
    return (found.best if found.best is not None else 0.0) + plan.fusion.lexical_weight * share


def _rank(plan: Plan, documents: Sequence[EncodedItem], page: Page) -> list[tuple[str, float]]:
    """(id, score), best first. BM25 is the engine's own number, so a hybrid takes it from the engine's answer."""
    lexical = {h.id: h.lexical for h in page.hits}
    scored = []
    for document in documents:
        found = expect(document, plan)
        if plan.fusion.method == "hybrid" or found.best is not None:
            if found.best is None and not lexical.get(document.item.id):
                continue
            scored.append((document.item.id, _score(plan, found, lexical.get(document.item.id))))
    return sorted(scored, key=lambda pair: (-pair[1], pair[0]))

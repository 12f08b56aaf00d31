"""Exact or approximate: which documents a search scores, and why.

Scoring every document that the filter leaves is always right. Approximate search scores the nearest documents of each
space only, and loses nothing but what the index's own graph loses, under these conditions:

Let s(d) = max over modalities m of w_m * f_m(cos_m(d)), every f_m non-decreasing and every w_m >= 0, and let T be the k
best documents by s. A document of T owes its score to one modality m. If k documents were nearer in m, each of them
would score at least as much by m alone, hence at least as much in all. So, up to ties, T lies within the union of the
modalities' own k nearest documents. Adding b(d) >= 0 for the words keeps this for every document with b(d) = 0, as
documents before it under s stay before it; those with b(d) > 0 are candidates because their words match. Hence a
hybrid's k best lie within that union and the documents with a matching word.

Words that are everywhere would make nearly every document a candidate, so where many match only the n best matches are.
A document that is left out, beyond the k nearest of each modality and beyond these n, has at most what the best of the
k-th neighbours has for its modality, and what the n-th match has for its words. A page whose last hit has as much is
that of exact search. k is therefore larger under a hybrid, and `maxcos bench query` measures what is lost all the same.

It does not hold for a background value that stands in for a missing modality (no neighbour earns it), for an order by
a field, nor for a rank fusion beyond the lists that it fuses.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil

from es_mappings.types import RRF_WINDOW, SCORE, Ann, Filter, Plan
from query_api.searchers import IndexState

MAX_CANDIDATES = 10_000
"""What engines take at most for the candidates of one clause."""

LEAST_NEIGHBOURS = 50
LEAST_HYBRID_NEIGHBOURS = 200
"""With 50 the ten best of a hybrid lacked 5 % among 200,000 documents in clusters of 200, with 200 nothing."""
MATCHES = 2000
"""As many matching documents cost about 2 ms to score."""


@dataclass(frozen=True, slots=True)
class Choice:
    """ann: None for exact search. reason: for the person who asks `plan` why."""

    ann: Ann | None
    reason: str


def choose(plan: Plan, asked: str, state: IndexState, count: Callable[[Filter | None], int]) -> Choice:
    """Choose for a plan.

    asked: "auto", "exact" or "ann". state: of the index. count: asks the engine how many documents a filter leaves;
    called only where the answer decides.
    """
    if obstacle := _obstacle(plan, state.approximate):
        return Choice(None, obstacle)
    if asked == "exact":
        return Choice(None, "exact search was asked for")
    ann = depth(plan, state.shards)
    if 2 * ann.k > MAX_CANDIDATES:
        return Choice(None, f"a page that deep would need more than {MAX_CANDIDATES} candidates")
    if asked == "ann":
        return Choice(ann, "approximate search was asked for")
    limit = state.exact_work // sum(v.space.dims for v in plan.vectors)
    left = state.documents
    if left > limit and plan.filter is not None:
        left = count(plan.filter)
    if left <= limit:
        return Choice(None, f"{left} documents to score: all of them cost no more than a walk through the graphs")
    return Choice(ann, f"{left} documents to score are more than {limit}: only the nearest of each space are scored")


def _obstacle(plan: Plan, approximate: bool) -> str | None:
    """Why approximate search is no choice at all; None when it is one."""
    if plan.fusion.method == "lexical" or not plan.vectors:
        return "no vectors are compared: every document whose words match is scored"
    if plan.walk is not None:
        return "a walk through all hits is exact"
    if not approximate:
        return "this engine scores every document that the filter leaves"
    if plan.fusion.missing == "penalize":
        return "a background value for missing modalities is no neighbour of the query: every document is scored"
    if any(sort.field != SCORE or not sort.descending for sort in plan.sort):
        return "an order by a field looks at every document"
    return None


def depth(plan: Plan, shards: int = 1) -> Ann:
    """How many neighbours a page needs from each shard.

    Twice as many as its last hit's rank, since the graphs hold rounded vectors and the script ranks by the full ones;
    under a rank fusion as many as are fused. A filter may leave few of a graph's neighbourhood, so more are visited.
    Shards share that work, but each must be able to fill the page by itself.
    """
    last = plan.offset + plan.size
    near = RRF_WINDOW if plan.fusion.method == "rrf" else max(2 * last, LEAST_NEIGHBOURS)
    mixed = plan.fusion.method == "hybrid" and plan.words is not None
    k = max(near, LEAST_HYBRID_NEIGHBOURS) if mixed else near
    visited = max(k, (8 if plan.filter is not None else 2) * near)
    k = max(ceil(k / shards), last)
    visited = max(ceil(visited / shards), k, 2 * last)
    return Ann(k, min(visited, MAX_CANDIDATES), min(max(MATCHES, 10 * last), MAX_CANDIDATES))

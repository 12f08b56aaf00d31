"""Reciprocal rank fusion on the client's side: engines keep theirs for paid licences, and it is a dozen lines.

    score(d) = sum over lists l that hold d of  weight_l / (RRF_K + rank_l(d))

Cormack, Clarke and Büttcher, "Reciprocal Rank Fusion outperforms Condorcet and individual Rank Learning Methods",
SIGIR 2009. There is one list per modality and one of BM25, each cut off after RRF_WINDOW items.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import fsum

from es_mappings.types import RRF_K, RRF_WINDOW, Fusion, Plan

LEXICAL = "lexical"


@dataclass(frozen=True, slots=True)
class Ranked:
    """An item's fused score, and its rank (from 1) in each list that holds it."""

    id: str
    score: float
    ranks: Mapping[str, int]


def list_plans(plan: Plan) -> dict[str, Plan]:
    """The plans whose hits are the lists to fuse, by modality or "lexical"; they ask for ids only."""
    bare = replace(plan, size=RRF_WINDOW, offset=0, facets=(), fields=(), highlight=False, count=0, walk=None)
    lists = {}
    for modality in dict.fromkeys(v.space.modality for v in plan.vectors):
        own = tuple(replace(v, weight=1.0) for v in plan.vectors if v.space.modality == modality)
        lists[modality] = replace(bare, vectors=own, words=None, fusion=Fusion("max"))
    if plan.words is not None:
        lists[LEXICAL] = replace(bare, vectors=(), fusion=Fusion("lexical"), ann=None)
    return lists


def fuse(lists: Mapping[str, Sequence[str]], plan: Plan) -> list[Ranked]:
    """All items of the lists (ids, best first), best first; ties by id.

    Sums are rounded once, so that equal ranks in other lists tie whatever the order of the lists.
    """
    weights = {v.space.modality: v.weight for v in plan.vectors} | {LEXICAL: plan.fusion.lexical_weight}
    ranks: dict[str, dict[str, int]] = {}
    for name, ids in lists.items():
        for rank, identifier in enumerate(ids, 1):
            ranks.setdefault(identifier, {})[name] = rank
    fused = [Ranked(i, fsum(weights[n] / (RRF_K + r) for n, r in found.items()), found) for i, found in ranks.items()]
    return sorted(fused, key=lambda ranked: (-ranked.score, ranked.id))

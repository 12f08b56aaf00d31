"""A hit's score, computed again from the response alone, as docs/query.md describes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def recomputed(hit: Mapping[str, Any], fusion: Mapping[str, Any]) -> float:
    """hit: one of `hits`. fusion: the answer's `plan.fusion`."""
    shares: dict[str, Any] = {name: share for name, share in hit["contributions"].items() if share is not None}
    if fusion["method"] == "rrf":
        ranked = [share for share in shares.values() if share["rank"] is not None]
        return sum(share["weight"] / (fusion["k"] + share["rank"]) for share in ranked)
    words = shares.pop("lexical", None)
    if fusion["method"] == "lexical":
        return float(words["score"])
    values = [share["weight"] * share["calibrated"] for share in shares.values()]
    values += [fusion["weights"][m] * b for m, b in fusion.get("background", {}).items() if m not in shares]
    return max(values, default=0.0) + (words["weight"] * words["saturated"] if words else 0.0)

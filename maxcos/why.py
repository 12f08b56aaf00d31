"""The answer of `maxcos why` for people: per modality the pieces without which the cosine would lose most."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

STRONGEST = 6
"""Pieces shown of a query or an item."""


def table(answer: dict[str, Any]) -> str:
    hit = answer["hit"]
    if hit is None:
        return f"[{answer['id']}] is no hit of this query"
    lines = [f"{hit['score']:.4f}  {hit['modality']}  [{answer['id']}]"]
    for modality, told in answer["modalities"].items():
        lines.append(f"{modality}: none" if told is None else f"{modality}: cosine {told['cosine']:.3f}")
        lines += [f"  {line}" for line in _parts(modality, answer["query"], told or {})]
    return "\n".join(lines)


def _parts(modality: str, query: list[dict[str, Any]], told: dict[str, Any]) -> Iterator[str]:
    if told and query:
        asked = [piece for term in query for piece in term["pieces"]]
        if asked:
            yield f"query    {_strongest((p['text'], p['drops'].get(modality, 0.0)) for p in asked)}"
        yield from (
            f"asked    {_map(term['picture'][modality])}" for term in query if modality in term.get("picture", {})
        )
    if fields := told.get("fields"):
        yield f"item     {_strongest((p['text'], p['drop'] or 0.0) for f in fields for p in f['pieces'])}"
    if picture := told.get("picture"):
        yield f"picture  {_map(picture)}"
    if "error" in told:
        yield told["error"]


def _map(picture: dict[str, Any]) -> str:
    box = "none" if picture["box"] is None else ", ".join(f"{edge:.0%}" for edge in picture["box"])
    return f"{max(map(max, picture['drops'])):+.3f} in the box (left, top, right, bottom) {box}"


def _strongest(pieces: Iterable[tuple[str, float]]) -> str:
    ranked = sorted(pieces, key=lambda piece: -piece[1])[:STRONGEST]
    return "  ".join(f"{text.strip()} {drop:+.3f}" for text, drop in ranked)

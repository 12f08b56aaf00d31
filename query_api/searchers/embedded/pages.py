"""A plan over a snapshot -> a page: filter, score, order, and the hits on the page."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import orjson
from numpy.typing import NDArray

from es_mappings.errors import InvalidRequest
from es_mappings.schema import Schema
from es_mappings.types import RRF_WINDOW, Hit, Page, Plan, Walk
from query_api.rrf import fuse, list_plans
from query_api.searchers.embedded.columns import Mask
from query_api.searchers.embedded.filters import Restriction
from query_api.searchers.embedded.order import beyond, first, sort_keys
from query_api.searchers.embedded.scores import Numbers, score
from query_api.searchers.embedded.snapshots import Snapshot
from query_api.searchers.embedded.sources import pick
from query_api.searchers.embedded.words import bm25, highlights

Cosines = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True, slots=True, eq=False)
class _Asked:
    """A plan with what all its lists share. left: (n,) the items to look at. bm25: (n,), see `words.bm25`."""

    snapshot: Snapshot
    plan: Plan
    schema: Schema
    left: Mask
    bm25: Numbers | None


@dataclass(frozen=True, slots=True)
class _Found:
    """The hits of a page, how many items were scored, and the walk's next place if there is one."""

    hits: tuple[Hit, ...] = ()
    scored: int = 0
    after: tuple[float, ...] | None = None


def search(snapshot: Snapshot, plan: Plan, schema: Schema) -> Page:
    """The page of a plan. Raises InvalidRequest at `after` for a place that no page can have named."""
    started = time.perf_counter()
    words = bm25(snapshot, plan.words, schema)
    restriction = Restriction(snapshot, plan, words)
    found = _Found()
    if plan.size:
        look = _fused if plan.fusion.method == "rrf" else _found
        found = look(_Asked(snapshot, plan, schema, restriction.left, words))
    return Page(
        hits=found.hits,
        total=restriction.total(),
        facets=restriction.facets(),
        engine_ms=(time.perf_counter() - started) * 1000,
        scored=found.scored,
        next=Walk(plan.walk.snapshot, found.after) if plan.walk is not None and found.after is not None else None,
    )


def expired() -> InvalidRequest:
    return InvalidRequest.at("after", 'has expired: begin again with "*"')


def _found(asked: _Asked) -> _Found:
    plan, memory = asked.plan, asked.snapshot.memory
    scores = score(memory, plan, asked.left, asked.bm25)
    keys = sort_keys(asked.snapshot, plan, scores.values)
    candidates = np.flatnonzero(scores.scored)
    scored = len(candidates)
    if place := _place(plan, len(keys)):
        candidates = beyond(keys, candidates, place)
    end = plan.offset + plan.size
    positions = first(keys, candidates, end)[plan.offset :].tolist()
    hits = tuple(_hit(asked, at, float(scores.values[at]), scores.cosines) for at in positions)
    more = len(candidates) > end
    return _Found(hits, scored, tuple(float(key[positions[-1]]) for key in keys) if more else None)


def _fused(asked: _Asked) -> _Found:
    plan, memory = asked.plan, asked.snapshot.memory
    lists: dict[str, list[str]] = {}
    positions: dict[str, int] = {}
    cosines: dict[str, NDArray[np.float32]] = {}
    scored = 0
    for name, alone in list_plans(plan).items():
        scores = score(memory, alone, asked.left, asked.bm25)
        candidates = np.flatnonzero(scores.scored)
        best = first(sort_keys(asked.snapshot, alone, scores.values), candidates, alone.size).tolist()
        lists[name] = [memory.ids[at] for at in best]
        positions.update(zip(lists[name], best, strict=True))
        cosines.update(scores.cosines)
        scored += len(candidates)
    fused = fuse(lists, plan)[:RRF_WINDOW]
    place = _place(plan, 1)
    offset = int(place[0]) if place else plan.offset
    page = fused[offset : offset + plan.size]
    hits = tuple(
        replace(_hit(asked, positions[ranked.id], ranked.score, cosines), ranks=ranked.ranks) for ranked in page
    )
    end = offset + plan.size
    return _Found(hits, scored, (end,) if end < len(fused) else None)


def _place(plan: Plan, length: int) -> Sequence[float] | None:
    """Where the walk goes on; None at its beginning. It comes from outside, and may be forged."""
    after = plan.walk.after if plan.walk is not None else None
    if after is not None and (len(after) != length or not all(isinstance(v, int | float) for v in after)):
        raise expired()
    return after


def _hit(asked: _Asked, at: int, score: float, cosines: Cosines) -> Hit:
    plan, memory = asked.plan, asked.snapshot.memory
    row = int(memory.rows[at])
    lexical = None if asked.bm25 is None or np.isnan(asked.bm25[at]) else float(asked.bm25[at])
    marked = plan.highlight and plan.words is not None and lexical is not None
    return Hit(
        id=memory.ids[at],
        score=score,
        cosines={space: float(column[at]) for space, column in cosines.items() if not np.isnan(column[at])},
        lexical=lexical,
        source=_source(asked, row),
        highlight=highlights(asked.snapshot, row, plan.words or "", asked.schema) if marked else {},
    )


def _source(asked: _Asked, row: int) -> Mapping[str, object]:
    fields = asked.plan.fields
    if fields is not None and not fields:
        return {}
    (text,) = asked.snapshot.connection.execute("SELECT source FROM items WHERE row = ?", (row,)).fetchone()
    source: Mapping[str, object] = orjson.loads(text)
    return source if fields is None else pick(source, fields)

"""The embedded store's searcher: SQLite for words, filters and highlights, numpy for the exact maximum cosine."""

from __future__ import annotations

import json
import math
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from es_mappings import embedded, provenance
from es_mappings.errors import EngineUnavailable, ItemNotFound
from es_mappings.schema import Schema, lookup
from es_mappings.settings import EngineSettings
from es_mappings.types import AllOf, AnyOf, Filter, Hit, Matrix, Not, OneOf, Page, Plan, Range, StoredItem
from query_api import highlight
from query_api.compile import FACET_SIZE

Mask = NDArray[np.bool_]
Scores = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Memory:
    """The numeric side of one generation of the store.

    rows: (n,) row numbers, ascending; ids: (n,) their items' ids. vectors: per space the matrix (k, dims) and the (k,)
    positions of its rows among the n. order: (n,) rank of each id, which breaks ties of score.
    """

    generation: int
    rows: NDArray[np.int64]
    ids: NDArray[np.str_]
    order: NDArray[np.int64]
    vectors: Mapping[str, tuple[NDArray[np.int64], Matrix]]

    def positions(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.searchsorted(self.rows, rows)

    def mask(self, rows: list[int]) -> Mask:
        mask = np.zeros(len(self.rows), dtype=bool)
        mask[self.positions(np.asarray(rows, dtype=np.int64))] = True
        return mask


class EmbeddedSearcher:
    """Implements `query_api.searchers.Searcher` for `embedded:PATH`. Threads share one connection, one at a time."""

    def __init__(self, engine: EngineSettings, schema: Schema) -> None:
        self._schema = schema
        self._index = engine.index
        self._file = embedded.store_file(engine.url, engine.index)
        self._lock = threading.RLock()
        self._store: sqlite3.Connection | None = None
        self._memory: _Memory | None = None

    def search(self, plan: Plan) -> Page:
        started = time.perf_counter()
        with self._snapshot() as (store, memory):
            lexical = self._lexical(store, memory, plan)
            cosines = {v.space.name: _cosines(memory, v.space.name, v.vector) for v in plan.vectors}
            scores, scored = _fuse(plan, cosines, lexical, len(memory.rows))
            scored &= self._restriction(store, memory, plan)
            best = _top(scores, scored, memory.order, plan.offset + plan.size)[plan.offset :]
            facets = {name: self._facet(store, memory, name, scored) for name in plan.facets}
            hits = self._hits(store, memory, plan, best, scores, cosines, lexical)
        elapsed = (time.perf_counter() - started) * 1000
        return Page(hits, int(scored.sum()), facets, elapsed)

    def item(self, identifier: str) -> StoredItem:
        with self._snapshot() as (store, memory):
            found = store.execute("SELECT row, source FROM items WHERE id = ?", (identifier,)).fetchone()
            if found is None:
                raise ItemNotFound(f"no item has the id {identifier!r}")
            position = int(memory.positions(np.asarray([found[0]]))[0])
            vectors = {
                name: matrix[at]
                for name, (positions, matrix) in memory.vectors.items()
                if (at := int(np.searchsorted(positions, position))) < len(positions) and positions[at] == position
            }
            return StoredItem(identifier, json.loads(found[1]), vectors)

    def explain(self, plan: Plan) -> dict[str, Any]:
        return {
            "method": "NUMPY",
            "path": str(self._file),
            "body": {
                "fusion": plan.fusion.method,
                "spaces": {v.space.name: {"weight": v.weight, "vector": v.vector.tolist()} for v in plan.vectors},
                "match": embedded.match_expression(plan.words) if plan.words else None,
                "where": repr(plan.filter) if plan.filter else None,
            },
        }

    def check(self) -> None:
        with self._snapshot():
            pass

    def count(self) -> int:
        with self._snapshot() as (_, memory):
            return len(memory.rows)

    def close(self) -> None:
        with self._lock:
            if self._store is not None:
                self._store.close()
                self._store = None

    # --- one consistent view of the store

    @contextmanager
    def _snapshot(self) -> Iterator[tuple[sqlite3.Connection, _Memory]]:
        """The connection inside a read transaction, and the matrices of the same moment."""
        with self._lock:
            if self._store is None:
                self._store = embedded.open_store(self._file)
            try:
                self._store.execute("BEGIN")
                try:
                    yield self._store, self._fresh_memory(self._store)
                finally:
                    self._store.execute("COMMIT")
            except sqlite3.Error as error:
                raise EngineUnavailable(f"the embedded store {self._file} cannot be read: {error}") from error

    def _fresh_memory(self, store: sqlite3.Connection) -> _Memory:
        meta = dict(store.execute("SELECT key, value FROM meta"))
        generation = int(meta.get("generation", 0))
        if self._memory is None or self._memory.generation != generation:
            provenance.check(self._schema, json.loads(meta["_meta"]), self._index)
            self._memory = self._load(store, generation)
        return self._memory

    def _load(self, store: sqlite3.Connection, generation: int) -> _Memory:
        items = store.execute("SELECT row, id FROM items ORDER BY row").fetchall()
        rows = np.asarray([row for row, _ in items], dtype=np.int64)
        ids = np.asarray([identifier for _, identifier in items], dtype=np.str_)
        order = np.empty(len(ids), dtype=np.int64)
        order[np.argsort(ids, kind="stable")] = np.arange(len(ids))
        vectors = {}
        for space in self._schema.spaces:
            found = store.execute("SELECT row, vector FROM vectors WHERE space = ? ORDER BY row", (space.name,))
            pairs = found.fetchall()
            matrix = np.frombuffer(b"".join(blob for _, blob in pairs), dtype=np.float32).reshape(-1, space.dims)
            vectors[space.name] = (np.searchsorted(rows, [row for row, _ in pairs]), matrix)
        return _Memory(generation, rows, ids, order, vectors)

    # --- what a plan asks

    def _lexical(self, store: sqlite3.Connection, memory: _Memory, plan: Plan) -> Scores:
        """BM25 of every item, 0 where no word matches: shape (n,)."""
        scores = np.zeros(len(memory.rows))
        expression = embedded.match_expression(plan.words) if plan.words and self._schema.text else None
        if expression:
            boosts = ", ".join(str(field.boost) for field in self._schema.text)
            found = store.execute(
                f"SELECT rowid, -bm25(lexical, {boosts}) FROM lexical WHERE lexical MATCH ?", (expression,)
            ).fetchall()
            if found:
                at = memory.positions(np.asarray([row for row, _ in found], dtype=np.int64))
                # FTS5's idf is negligible, not zero, for a word that every item holds: a match stays a match.
                scores[at] = np.maximum([score for _, score in found], 1e-6)
        return scores

    def _restriction(self, store: sqlite3.Connection, memory: _Memory, plan: Plan) -> Mask:
        mask = np.ones(len(memory.rows), dtype=bool)
        if plan.filter is not None:
            where, values = _where(plan.filter, self._schema)
            rows = [row for (row,) in store.execute(f"SELECT row FROM items WHERE {where}", values)]
            mask &= memory.mask(rows)
        if plan.exclude:
            mask &= ~np.isin(memory.ids, plan.exclude)
        return mask

    def _facet(self, store: sqlite3.Connection, memory: _Memory, field: str, scored: Mask) -> dict[str, int]:
        counts: dict[str, int] = {}
        for value, row in store.execute("SELECT value, row FROM filters WHERE field = ?", (field,)):
            if scored[np.searchsorted(memory.rows, row)]:
                counts[value] = counts.get(value, 0) + 1
        best = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:FACET_SIZE]
        kind = self._schema.filter_field(field)
        return {_label(value, kind.type if kind else "keyword"): count for value, count in best}

    def _hits(
        self,
        store: sqlite3.Connection,
        memory: _Memory,
        plan: Plan,
        best: NDArray[np.int64],
        scores: Scores,
        cosines: Mapping[str, Scores],
        lexical: Scores,
    ) -> tuple[Hit, ...]:
        hits = []
        for at in best.tolist():
            row = int(memory.rows[at])
            (text,) = store.execute("SELECT source FROM items WHERE row = ?", (row,)).fetchone()
            source = json.loads(text)
            hits.append(
                Hit(
                    id=str(memory.ids[at]),
                    score=float(scores[at]),
                    cosines={name: float(column[at]) for name, column in cosines.items() if not math.isnan(column[at])},
                    lexical=float(lexical[at]) or None,
                    source=source if plan.fields is None else _pick(source, plan.fields),
                    highlight=self._highlight(store, row, plan) if plan.highlight and lexical[at] else {},
                )
            )
        return tuple(hits)

    def _highlight(self, store: sqlite3.Connection, row: int, plan: Plan) -> dict[str, list[str]]:
        expression = embedded.match_expression(plan.words) if plan.words else None
        if not expression:
            return {}
        columns = ", ".join(
            f"highlight(lexical, {i}, '{highlight.OPEN}', '{highlight.CLOSE}')" for i in range(len(self._schema.text))
        )
        found = store.execute(
            f"SELECT {columns} FROM lexical WHERE lexical MATCH ? AND rowid = ?", (expression, row)
        ).fetchone()
        return {
            field.name: [_clean(value) for value in text.split("\n") if highlight.OPEN in value]
            for field, text in zip(self._schema.text, found, strict=True)
            if text and highlight.OPEN in text
        }


def _cosines(memory: _Memory, space: str, query: NDArray[np.float32]) -> Scores:
    """Cosine of every item with the query, NaN where the item has no vector: shape (n,)."""
    positions, matrix = memory.vectors[space]
    column = np.full(len(memory.rows), np.nan)
    column[positions] = matrix @ query
    return column


def _fuse(plan: Plan, cosines: Mapping[str, Scores], lexical: Scores, n: int) -> tuple[Scores, Mask]:
    """Scores (n,) and the mask (n,) of the items that the plan scores; `es_mappings.types.Fusion` has the formula."""
    if plan.fusion.method == "lexical":
        return lexical, lexical > 0
    best = np.full(n, -np.inf)
    for vector in plan.vectors:
        column = cosines[vector.space.name]
        np.fmax(best, vector.weight * column, out=best)
    seen = np.isfinite(best)
    if plan.fusion.method == "max":
        return best, seen
    matched = lexical > 0
    scores = np.where(seen, best, 0.0) + plan.fusion.lexical_weight * lexical / (lexical + plan.fusion.saturation)
    return scores, seen | matched


def _top(scores: Scores, scored: Mask, order: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Positions of the best `count` scored items, best first, ties by id."""
    candidates = np.flatnonzero(scored)
    if 0 < count < len(candidates):
        floor = np.partition(scores[candidates], len(candidates) - count)[len(candidates) - count]
        candidates = candidates[scores[candidates] >= floor]
    return candidates[np.lexsort((order[candidates], -scores[candidates]))][:count]


def _where(clause: Filter, schema: Schema) -> tuple[str, list[Any]]:
    """A filter as an SQL condition on `items.row` and its bound values."""
    match clause:
        case OneOf(field, values):
            marks = ", ".join("?" * len(values))
            return f"row IN (SELECT row FROM filters WHERE field = ? AND value IN ({marks}))", [field, *values]
        case Range(field):
            signs = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
            bounds = [(sign, bound) for name, sign in signs.items() if (bound := getattr(clause, name)) is not None]
            conditions = "".join(f" AND value {sign} ?" for sign, _ in bounds)
            values = tuple(bound for _, bound in bounds)
            return f"row IN (SELECT row FROM filters WHERE field = ?{conditions})", [field, *values]
        case AllOf(clauses):
            return _joined(" AND ", clauses, schema)
        case AnyOf(clauses):
            return _joined(" OR ", clauses, schema)
        case Not(inner):
            where, bound = _where(inner, schema)
            return f"NOT ({where})", bound


def _joined(word: str, clauses: tuple[Filter, ...], schema: Schema) -> tuple[str, list[Any]]:
    parts = [_where(clause, schema) for clause in clauses]
    return "(" + word.join(where for where, _ in parts) + ")", [value for _, values in parts for value in values]


def _label(value: Any, kind: str) -> str:
    return ("false", "true")[int(value)] if kind == "boolean" else str(value)


def _pick(source: Mapping[str, Any], fields: tuple[str, ...]) -> dict[str, Any]:
    """The named fields, `a.b` inside an object `a` as in the source."""
    picked: dict[str, Any] = {}
    for name in fields:
        value = lookup(source, name)
        if value is None:
            continue
        *parents, last = [name] if name in source else name.split(".")
        target = picked
        for parent in parents:
            target = target.setdefault(parent, {})
        target[last] = value
    return picked


def _clean(marked: str) -> str:
    return highlight.to_html(marked.replace(embedded.BREAK, ""))

"""The searcher of `embedded:PATH`."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import orjson

from es_mappings import embedded
from es_mappings.errors import ItemNotFound
from es_mappings.schema import Schema
from es_mappings.settings import EngineSettings
from es_mappings.types import Filter, Page, Plan, StoredItem, Suggestion, Walk
from query_api.rrf import list_plans
from query_api.searchers import IndexState
from query_api.searchers.embedded.filters import passing
from query_api.searchers.embedded.pages import search
from query_api.searchers.embedded.snapshots import Snapshot, Snapshots
from query_api.searchers.embedded.walks import Walks
from query_api.searchers.embedded.words import suggestions


class EmbeddedSearcher:
    """Implements `query_api.searchers.Searcher` for `embedded:PATH`. Threads may share it."""

    def __init__(self, engine: EngineSettings, schema: Schema) -> None:
        self._schema = schema
        self._file = embedded.store_file(engine.url, engine.index)
        self._snapshots = Snapshots(self._file, schema, engine.index)
        self._walks = Walks(self._snapshots.end)

    def state(self) -> IndexState:
        with self._open() as snapshot:
            engine = f"embedded store, SQLite {sqlite3.sqlite_version}"
            manifest = snapshot.manifest
            valid = manifest.valid_calibration(self._schema)
            return IndexState(engine, snapshot.documents, approximate=False, manifest=manifest, calibration=valid)

    def search(self, plan: Plan) -> Page:
        if plan.walk is None:
            with self._open() as snapshot:
                return search(snapshot, plan, self._schema)
        if plan.walk.snapshot is None:
            return self._begin_walk(plan)
        self._walks.end_stale()
        name = plan.walk.snapshot
        with self._walks.use(name) as snapshot, self._snapshots.failures():
            page = search(snapshot, plan, self._schema)
        if page.next is None:
            self._walks.end(name)
        return page

    def _begin_walk(self, plan: Plan) -> Page:
        self._walks.end_stale()
        name = secrets.token_urlsafe(12)
        snapshot = self._snapshots.begin()
        kept = False
        try:
            with self._snapshots.failures():
                page = search(snapshot, replace(plan, walk=Walk(name)), self._schema)
            if page.next is not None:
                self._walks.begin(name, snapshot)
                kept = True
            return page
        finally:
            if not kept:
                self._snapshots.end(snapshot)

    def count(self, clause: Filter | None = None) -> int:
        with self._open() as snapshot:
            return snapshot.documents if clause is None else int(np.count_nonzero(passing(snapshot, clause)))

    def item(self, identifier: str) -> StoredItem:
        with self._open() as snapshot:
            row = self._row(snapshot, identifier)
            if row is None:
                raise ItemNotFound(f"no item has the id {identifier!r}")
            return self._item(snapshot, row)

    def sample(self, size: int, seed: int) -> list[StoredItem]:
        with self._open() as snapshot:
            # By id, so that a copy of the index gives the same sample.
            rows = [row for (row,) in snapshot.connection.execute("SELECT row FROM items ORDER BY id")]
            drawn = np.random.default_rng(seed).permutation(len(rows))[:size]
            return [self._item(snapshot, rows[i]) for i in drawn.tolist()]

    def scan(self, batch: int) -> Iterator[list[StoredItem]]:
        asked = "SELECT row, id FROM items WHERE id > ? ORDER BY id LIMIT ?"
        with self._open() as snapshot:
            after = ""  # every id has a character
            while found := snapshot.connection.execute(asked, (after, batch)).fetchall():
                yield [self._item(snapshot, row) for row, _ in found]
                after = found[-1][1]

    def suggest(self, text: str, size: int) -> list[Suggestion]:
        with self._open() as snapshot:
            return suggestions(snapshot, text, size)

    def explain(self, plan: Plan) -> dict[str, Any]:
        body = self._explained(plan)
        if plan.fusion.method == "rrf":
            body["lists"] = {name: self._explained(alone) for name, alone in list_plans(plan).items()}
        return {"method": "NUMPY", "path": self._file.name, "body": body}

    def check(self) -> None:
        with self._open():  # which looks at the file and its `_meta` each time
            pass

    def close(self) -> None:
        self._walks.end_all()
        self._snapshots.close()

    @contextmanager
    def _open(self) -> Iterator[Snapshot]:
        self._walks.end_stale()
        with self._snapshots.open() as snapshot:
            yield snapshot

    @staticmethod
    def _row(snapshot: Snapshot, identifier: str) -> int | None:
        try:
            found = snapshot.connection.execute("SELECT row FROM items WHERE id = ?", (identifier,)).fetchone()
        except UnicodeEncodeError:  # half a character, which JSON may hold: no id is like that
            return None
        return found[0] if found else None

    def _item(self, snapshot: Snapshot, row: int) -> StoredItem:
        identifier, source = snapshot.connection.execute(
            "SELECT id, source FROM items WHERE row = ?", (row,)
        ).fetchone()
        vectors = snapshot.connection.execute("SELECT space, vector FROM vectors WHERE row = ?", (row,))
        return StoredItem(
            identifier,
            orjson.loads(source),
            {space: np.frombuffer(data, dtype="<f4").astype(np.float32) for space, data in vectors},
        )

    def _explained(self, plan: Plan) -> dict[str, Any]:
        return {
            "fusion": plan.fusion.method,
            "spaces": {v.space.name: {"weight": v.weight, "vector": v.vector.tolist()} for v in plan.vectors},
            "match": embedded.match_expression(plan.words) if plan.words else None,
            "filter": repr(plan.filter) if plan.filter else None,
            "sort": [repr(sort) for sort in plan.sort],
        }

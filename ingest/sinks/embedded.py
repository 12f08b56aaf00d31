"""The embedded store's sink: each batch is one SQLite transaction, so a killed ingestion leaves a readable store."""

from __future__ import annotations

import math
import sqlite3
import time
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import orjson

from es_mappings import embedded
from es_mappings.companions import companions, stored
from es_mappings.errors import EngineUnavailable
from es_mappings.provenance import Manifest, Receipt, describe, read_manifest
from es_mappings.schema import Schema, as_values, lookup, objects
from es_mappings.settings import EngineSettings
from es_mappings.types import Calibration, Centre, EncodedItem, Stored, Tombstone
from ingest.records import Rejected


class EmbeddedSink:
    """Implements `ingest.sinks.Sink` for `embedded:PATH`."""

    def __init__(self, engine: EngineSettings, schema: Schema) -> None:
        self._schema = schema
        self._index = engine.index
        self._file = embedded.store_file(engine.url, engine.index)
        self._connection: sqlite3.Connection | None = None

    def manifest(self, renewing: Collection[str] = ()) -> Manifest | None:
        if not self._file.is_file():
            return None
        with self._failures():
            return self._read(self._store(), renewing)

    def renew(self, manifest: Manifest) -> None:
        with self._transaction() as store:
            store.executemany("DELETE FROM vectors WHERE space = ?", [(space,) for space in manifest.stale])
            touched = store.execute("SELECT chunk FROM chunks").fetchall()
            _raise_generation(store, {chunk: 0 for (chunk,) in touched})
            self._describe(store, manifest)

    def prepare(self, centres: Mapping[str, Centre]) -> None:
        with self._transaction() as store:
            manifest = self._read(store)
            if manifest is None:
                for statement in embedded.ddl(self._schema):
                    store.execute(statement)
                # Generations begin at the time of creation, so that no reader takes a new store for an old one.
                store.execute("INSERT INTO meta VALUES ('generation', ?)", (time.time_ns(),))
                manifest = Manifest(centres=centres)
            store.execute(embedded.COMPANIONS)
            self._describe(store, replace(manifest, receipt=None))

    def stored(self, ids: Sequence[str]) -> dict[str, Stored]:
        marks = ", ".join("?" * len(ids))
        query = f"SELECT id, body FROM items LEFT JOIN companions USING (row) WHERE id IN ({marks})"
        with self._failures():
            found = self._store().execute(query, list(ids)).fetchall()
        return {identifier: stored(orjson.loads(body or "{}")) for identifier, body in found}

    def write(self, batch: Sequence[EncodedItem | Tombstone]) -> list[Rejected]:
        rejected = []
        # By chunk, how many items more it holds.
        touched: Counter[int] = Counter()
        with self._transaction() as store:
            for one in batch:
                if isinstance(one, Tombstone):
                    touched.update(self._delete(store, one.id))
                    continue
                try:
                    touched.update(self._replace(store, one))
                except ValueError as error:
                    rejected.append(Rejected(one.item.place, str(error), dict(one.item.source)))
            _raise_generation(store, touched)
        return rejected

    def finish(self, receipt: Receipt) -> None:
        with self._transaction() as store:
            self._describe(store, replace(self._kept(store), receipt=receipt))

    def calibrate(self, fitted: Mapping[str, Calibration], centres: Mapping[str, Centre] | None = None) -> None:
        with self._transaction() as store:
            self._describe(store, self._kept(store).calibrated(fitted, centres))

    def stop(self) -> None:
        """Nothing here waits for long."""

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _store(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = embedded.open_store(self._file, create=True)
        return self._connection

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        store = self._store()
        with self._failures():
            store.execute("BEGIN IMMEDIATE")
            with store:
                yield store

    @contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise EngineUnavailable(f"the embedded store {self._file} cannot be written: {error}") from error

    # --- what the index tells about itself

    def _read(self, store: sqlite3.Connection, renewing: Collection[str] = ()) -> Manifest | None:
        meta = embedded.read_meta(store)
        return None if meta is None else read_manifest(self._schema, orjson.loads(meta), self._index, renewing)

    def _kept(self, store: sqlite3.Connection) -> Manifest:
        manifest = self._read(store)
        if manifest is None:
            raise embedded.missing(self._file)
        return manifest

    def _describe(self, store: sqlite3.Connection, manifest: Manifest) -> None:
        meta = orjson.dumps(describe(self._schema, manifest)).decode()
        store.execute("INSERT OR REPLACE INTO meta VALUES ('_meta', ?)", (meta,))

    # --- items

    def _vectors(self, encoded: EncodedItem) -> list[tuple[str, bytes]]:
        """Raises ValueError for what a cluster would refuse too: another length, or no direction."""
        found = []
        for space in self._schema.spaces:
            vector = encoded.vectors.get(space.name)
            if vector is None:
                continue
            if vector.shape != (space.dims,):
                raise ValueError(
                    f"{space.name}: the vector has the shape {vector.shape}, the index has {space.dims} dimensions"
                )
            if not 0 < float(vector @ vector) < math.inf:
                raise ValueError(f"{space.name}: the vector has no direction (zero, infinite or not a number)")
            found.append((space.name, np.ascontiguousarray(vector, dtype="<f4").tobytes()))
        return found

    def _filters(self, source: Mapping[str, Any]) -> list[tuple[str, int, str | float | bool]]:
        """Field, object and value. Raises ValueError for a value of another type than its field's."""
        return [
            (field.name, number, value)
            for field in self._schema.filters
            for number, value in self._schema.filter_values(source, field)
        ]

    def _replace(self, store: sqlite3.Connection, encoded: EncodedItem) -> dict[int, int]:
        """By the chunk that was touched how many items more it holds. Raises ValueError for what cannot be written."""
        vectors, filters = self._vectors(encoded), self._filters(encoded.item.source)
        row, old = _row(store, encoded.item.id), {}
        if row is None and encoded.kept:
            raise ValueError("deleted while other modalities of it were encoded")
        if row is not None:
            old = _companions(store, row) if encoded.kept else {}
            self._clear(store, row, encoded.kept)
        source = orjson.dumps(dict(encoded.item.source)).decode()
        # Without a row SQLite gives one.
        put = store.execute("INSERT OR REPLACE INTO items VALUES (?, ?, ?)", (row, encoded.item.id, source))
        assert put.lastrowid is not None  # an INSERT always has one
        body = orjson.dumps({**old, **companions(self._schema, encoded)}).decode()
        store.execute("INSERT OR REPLACE INTO companions VALUES (?, ?)", (put.lastrowid, body))
        self._put(store, put.lastrowid, encoded.item.source, vectors, filters)
        return {put.lastrowid // embedded.CHUNK: int(row is None)}

    def _delete(self, store: sqlite3.Connection, identifier: str) -> dict[int, int]:
        row = _row(store, identifier)
        if row is None:
            return {}
        self._clear(store, row, frozenset())
        for table in ("companions", "items"):
            store.execute(f"DELETE FROM {table} WHERE row = ?", (row,))
        return {row // embedded.CHUNK: -1}

    def _put(
        self,
        store: sqlite3.Connection,
        row: int,
        source: Mapping[str, Any],
        vectors: Sequence[tuple[str, bytes]],
        filters: Sequence[tuple[str, int, str | float | bool]],
    ) -> None:
        texts = [_text(lookup(source, field.name)) for field in self._schema.text]
        marks = ", ".join("?" * (len(texts) + 1))
        store.execute(f"INSERT INTO lexical (rowid{_columns(len(texts))}) VALUES ({marks})", (row, *texts))
        store.executemany(
            "INSERT INTO filters VALUES (?, ?, ?, ?)", [(field, row, number, value) for field, number, value in filters]
        )
        numbers = [(path, row, len(objects(source, path))) for path in self._schema.nested]
        store.executemany("INSERT INTO objects VALUES (?, ?, ?)", [entry for entry in numbers if entry[-1]])
        store.executemany("INSERT INTO vectors VALUES (?, ?, ?)", [(row, space, data) for space, data in vectors])
        titles = [
            (row * embedded.TITLES + i, embedded.segment(title), title) for i, title in enumerate(self._titles(source))
        ]
        store.executemany("INSERT INTO titles (rowid, words, title) VALUES (?, ?, ?)", titles)

    def _titles(self, source: Mapping[str, Any]) -> list[str]:
        found = (str(value) for name in self._schema.suggest for value in as_values(lookup(source, name)))
        return [title for title in dict.fromkeys(found) if title][: embedded.TITLES]

    def _clear(self, store: sqlite3.Connection, row: int, kept: frozenset[str]) -> None:
        """Take out all that the item's fields left behind, and its vectors but those of the modalities `kept`."""
        store.execute("DELETE FROM lexical WHERE rowid = ?", (row,))
        titles = (row * embedded.TITLES, (row + 1) * embedded.TITLES - 1)
        store.execute("DELETE FROM titles WHERE rowid BETWEEN ? AND ?", titles)
        gone = [(row, space.name) for space in self._schema.spaces if space.modality not in kept]
        store.executemany("DELETE FROM vectors WHERE row = ? AND space = ?", gone)
        fields = [(field.name, row) for field in self._schema.filters]
        store.executemany("DELETE FROM filters WHERE field = ? AND row = ?", fields)
        store.executemany("DELETE FROM objects WHERE path = ? AND row = ?", [(p, row) for p in self._schema.nested])


def _row(store: sqlite3.Connection, identifier: str) -> int | None:
    found = store.execute("SELECT row FROM items WHERE id = ?", (identifier,)).fetchone()
    return found[0] if found else None


def _companions(store: sqlite3.Connection, row: int) -> dict[str, Any]:
    found = store.execute("SELECT body FROM companions WHERE row = ?", (row,)).fetchone()
    return orjson.loads(found[0]) if found else {}


def _columns(count: int) -> str:
    return "".join(f", c{i}" for i in range(count))


def _text(value: Any) -> str:
    # A line break keeps the values of a list apart for the reader of a highlight.
    return embedded.segment("\n".join(map(str, as_values(value))))


def _raise_generation(store: sqlite3.Connection, touched: Mapping[int, int]) -> None:
    """Tell readers which of the chunks that they hold in memory are old."""
    store.execute("UPDATE meta SET value = value + 1 WHERE key = 'generation'")
    (generation,) = store.execute("SELECT value FROM meta WHERE key = 'generation'").fetchone()
    store.executemany(
        "INSERT INTO chunks VALUES (?, ?, ?) ON CONFLICT (chunk) DO UPDATE "
        "SET generation = excluded.generation, items = items + excluded.items",
        [(chunk, generation, new) for chunk, new in touched.items()],
    )

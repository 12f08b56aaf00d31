"""The embedded store's sink: each batch is one SQLite transaction, so a killed ingestion leaves a readable store."""

from __future__ import annotations

import math
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import orjson

from es_mappings import embedded
from es_mappings.errors import EngineUnavailable
from es_mappings.provenance import Manifest, Receipt, describe, read_manifest
from es_mappings.schema import Schema, as_values, lookup, objects
from es_mappings.settings import EngineSettings
from es_mappings.types import Calibration, Centre, EncodedItem, Item
from ingest.records import Rejected


class EmbeddedSink:
    """Implements `ingest.sinks.Sink` for `embedded:PATH`."""

    def __init__(self, engine: EngineSettings, schema: Schema) -> None:
        self._schema = schema
        self._index = engine.index
        self._file = embedded.store_file(engine.url, engine.index)
        self._connection: sqlite3.Connection | None = None

    def manifest(self) -> Manifest | None:
        if not self._file.is_file():
            return None
        with self._failures():
            return self._read(self._store())

    def prepare(self, centres: Mapping[str, Centre]) -> None:
        with self._transaction() as store:
            manifest = self._read(store)
            if manifest is None:
                for statement in embedded.ddl(self._schema):
                    store.execute(statement)
                # Generations begin at the time of creation, so that no reader takes a new store for an old one.
                store.execute("INSERT INTO meta VALUES ('generation', ?)", (time.time_ns(),))
                manifest = Manifest(centres=centres)
            self._describe(store, replace(manifest, receipt=None))

    def write(self, batch: Sequence[EncodedItem]) -> list[Rejected]:
        rejected = []
        # By chunk, how many of the written items are new.
        touched: Counter[int] = Counter()
        with self._transaction() as store:
            for encoded in batch:
                try:
                    vectors, filters = self._vectors(encoded), self._filters(encoded.item.source)
                except ValueError as error:
                    rejected.append(Rejected(encoded.item.place, str(error), dict(encoded.item.source)))
                    continue
                row, new = self._cleared_row(store, encoded.item)
                self._put(store, row, encoded.item.source, vectors, filters)
                touched[row // embedded.CHUNK] += int(new)
            _raise_generation(store, touched)
        return rejected

    def finish(self, receipt: Receipt) -> None:
        with self._transaction() as store:
            self._describe(store, replace(self._kept(store), receipt=receipt))

    def calibrate(self, fitted: Mapping[str, Calibration]) -> None:
        with self._transaction() as store:
            self._describe(store, replace(self._kept(store), calibration=fitted))

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

    def _read(self, store: sqlite3.Connection) -> Manifest | None:
        meta = embedded.read_meta(store)
        return None if meta is None else read_manifest(self._schema, orjson.loads(meta), self._index)

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

    def _cleared_row(self, store: sqlite3.Connection, item: Item) -> tuple[int, bool]:
        """The item's row, without anything that an earlier version of it left, and whether the item is new."""
        found = store.execute("SELECT row FROM items WHERE id = ?", (item.id,)).fetchone()
        source = orjson.dumps(dict(item.source)).decode()
        if found is None:
            inserted = store.execute("INSERT INTO items (id, source) VALUES (?, ?)", (item.id, source))
            assert inserted.lastrowid is not None  # an INSERT always has one
            return inserted.lastrowid, True
        row: int = found[0]
        store.execute("UPDATE items SET source = ? WHERE row = ?", (source, row))
        store.execute("DELETE FROM lexical WHERE rowid = ?", (row,))
        titles = (row * embedded.TITLES, (row + 1) * embedded.TITLES - 1)
        store.execute("DELETE FROM titles WHERE rowid BETWEEN ? AND ?", titles)
        store.execute("DELETE FROM vectors WHERE row = ?", (row,))
        fields = [(field.name, row) for field in self._schema.filters]
        store.executemany("DELETE FROM filters WHERE field = ? AND row = ?", fields)
        store.executemany("DELETE FROM objects WHERE path = ? AND row = ?", [(p, row) for p in self._schema.nested])
        return row, False


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

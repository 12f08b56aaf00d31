"""The embedded store's sink: each batch is one SQLite transaction, so a killed ingestion leaves a readable store."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import orjson

from es_mappings import embedded, provenance
from es_mappings.errors import EngineUnavailable
from es_mappings.provenance import Receipt
from es_mappings.schema import Schema, as_values, lookup
from es_mappings.settings import EngineSettings
from es_mappings.types import EncodedItem
from ingest.records import Rejected


class EmbeddedSink:
    """Implements `ingest.sinks.Sink` for `embedded:PATH`."""

    def __init__(self, engine: EngineSettings, schema: Schema) -> None:
        self._schema = schema
        self._index = engine.index
        self._file = embedded.store_file(engine.url, engine.index)
        self._connection: sqlite3.Connection | None = None

    def receipt(self) -> Receipt | None:
        meta = self._meta() if self._file.is_file() else None
        return provenance.read_receipt(self._schema, meta, self._index)

    def prepare(self) -> None:
        meta = self._meta()
        if meta is not None:
            provenance.check(self._schema, meta, self._index)
        with self._transaction() as store:
            if meta is None:
                for statement in embedded.ddl(self._schema):
                    store.execute(statement)
            self._describe(store, None)

    def write(self, batch: Sequence[EncodedItem]) -> list[Rejected]:
        rejected = []
        with self._transaction() as store:
            for encoded in batch:
                if problem := self._vector_problem(encoded):
                    rejected.append(Rejected(encoded.item.place, problem, dict(encoded.item.source)))
                else:
                    self._put(store, encoded)
            _next_generation(store)
        return rejected

    def finish(self, receipt: Receipt) -> None:
        with self._transaction() as store:
            self._describe(store, receipt)

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
        try:
            store.execute("BEGIN IMMEDIATE")
            with store:
                yield store
        except sqlite3.Error as error:
            raise EngineUnavailable(f"the embedded store {self._file} cannot be written: {error}") from error

    def _meta(self) -> dict[str, Any] | None:
        tables = self._store().execute("SELECT name FROM sqlite_master WHERE name = 'meta'").fetchone()
        row = self._store().execute("SELECT value FROM meta WHERE key = '_meta'").fetchone() if tables else None
        return json.loads(row[0]) if row else None

    def _describe(self, store: sqlite3.Connection, receipt: Receipt | None) -> None:
        meta = json.dumps(provenance.describe(self._schema, receipt), ensure_ascii=False)
        store.execute("INSERT OR REPLACE INTO meta VALUES ('_meta', ?)", (meta,))

    def _vector_problem(self, encoded: EncodedItem) -> str | None:
        """What a cluster would refuse too: a vector of another length, or one without a direction."""
        for space in self._schema.spaces:
            vector = encoded.vectors.get(space.name)
            if vector is not None and vector.shape != (space.dims,):
                return f"{space.name}: the vector has the shape {vector.shape}, the index has {space.dims} dimensions"
            if vector is not None and not 0 < float(vector @ vector) < math.inf:
                return f"{space.name}: the vector has no direction (zero, infinite or not a number)"
        return None

    def _put(self, store: sqlite3.Connection, encoded: EncodedItem) -> None:
        row = self._replaced_row(store, encoded)
        source = encoded.item.source
        texts = [_text(lookup(source, field.name)) for field in self._schema.text]
        marks = ", ".join("?" * (len(texts) + 1))
        store.execute(f"INSERT INTO lexical (rowid{_columns(len(texts))}) VALUES ({marks})", (row, *texts))
        store.executemany(
            "INSERT INTO filters VALUES (?, ?, ?)",
            [
                (field.name, value, row)
                for field in self._schema.filters
                for value in dict.fromkeys(map(field.normalise, as_values(lookup(source, field.name))))
            ],
        )
        store.executemany(
            "INSERT INTO vectors VALUES (?, ?, ?)",
            [(space, row, vector.tobytes()) for space, vector in encoded.vectors.items()],
        )

    def _replaced_row(self, store: sqlite3.Connection, encoded: EncodedItem) -> int:
        """The item's row, with everything that an earlier version of it left removed."""
        found = store.execute("SELECT row FROM items WHERE id = ?", (encoded.item.id,)).fetchone()
        source = orjson.dumps(dict(encoded.item.source)).decode()
        if found is None:
            inserted = store.execute("INSERT INTO items (id, source) VALUES (?, ?)", (encoded.item.id, source))
            assert inserted.lastrowid is not None  # an INSERT always has one
            return inserted.lastrowid
        row: int = found[0]
        store.execute("UPDATE items SET source = ? WHERE row = ?", (source, row))
        store.execute("DELETE FROM lexical WHERE rowid = ?", (row,))
        store.execute("DELETE FROM filters WHERE row = ?", (row,))
        store.executemany(
            "DELETE FROM vectors WHERE space = ? AND row = ?", [(space.name, row) for space in self._schema.spaces]
        )
        return row


def _columns(count: int) -> str:
    return "".join(f", c{i}" for i in range(count))


def _text(value: Any) -> str:
    # A line break keeps the values of a list apart for the reader of a highlight.
    return embedded.segment("\n".join(map(str, as_values(value))))


def _next_generation(store: sqlite3.Connection) -> None:
    """Tell readers that what they hold in memory is old."""
    store.execute(
        "INSERT INTO meta VALUES ('generation', '1') ON CONFLICT (key) DO UPDATE SET value = CAST(value AS INT) + 1"
    )

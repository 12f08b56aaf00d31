"""Moments of the store: a pool of connections, each inside a read transaction while somebody looks through it."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

import orjson

from es_mappings import embedded
from es_mappings.errors import EngineUnreachable
from es_mappings.provenance import Manifest, read_manifest
from es_mappings.schema import Schema
from query_api.searchers.embedded.columns import Column, Positions
from query_api.searchers.embedded.memory import Memory, load, read_generation

IDLE = 8
"""How many connections wait for the next search; SQLite opens another one within a millisecond."""


class Snapshot:
    """One moment of the store: everything read through it, from the file or from memory, belongs together.

    It serves one thread at a time.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        file: tuple[int, int],
        manifest: Manifest,
        load: Callable[[sqlite3.Connection], Memory],
    ) -> None:
        self.connection = connection
        self.file = file
        self.manifest = manifest
        self._load = load

    @cached_property
    def memory(self) -> Memory:
        return self._load(self.connection)

    @property
    def documents(self) -> int:
        return int(self.connection.execute("SELECT coalesce(sum(items), 0) FROM chunks").fetchone()[0])

    def column(self, field: str) -> Column:
        return self.memory.column(self.connection, field)

    def objects(self, path: str) -> Positions:
        return self.memory.objects(self.connection, path)


class Snapshots:
    """Begins and ends snapshots of one store. Threads may share it."""

    def __init__(self, file: Path, schema: Schema, index: str) -> None:
        self._path = file
        self._schema = schema
        self._index = index
        self._lock = threading.Lock()
        self._loading = threading.Lock()
        self._file: tuple[int, int] | None = None
        self._idle: list[sqlite3.Connection] = []
        self._memory: Memory | None = None
        self._manifest: tuple[str, Manifest] | None = None

    @contextmanager
    def open(self) -> Iterator[Snapshot]:
        """A snapshot for as long as the block lasts.

        Raises IndexMissing, ProvenanceMismatch when the index was made for another schema, and EngineUnreachable.
        """
        snapshot = self.begin()
        try:
            with self.failures():
                yield snapshot
        finally:
            self.end(snapshot)

    def begin(self) -> Snapshot:
        """A snapshot that somebody has to end. Raises what `open` raises."""
        file = self._identity()
        with self._lock:
            if file != self._file:
                self._forget()
                self._file = file
            connection = self._idle.pop() if self._idle else None
        if connection is None:
            connection = embedded.open_store(self._path)
        try:
            with self.failures():
                connection.execute("BEGIN")
                meta = embedded.read_meta(connection)
            if meta is None:
                raise embedded.missing(self._path)
            return Snapshot(connection, file, self._known_manifest(meta), self._current_memory)
        except BaseException:
            connection.close()
            raise

    def end(self, snapshot: Snapshot) -> None:
        connection = snapshot.connection
        try:
            connection.execute("COMMIT")
        except sqlite3.Error:
            connection.close()
            return
        with self._lock:
            if snapshot.file == self._file and len(self._idle) < IDLE:
                self._idle.append(connection)
                return
        connection.close()

    def close(self) -> None:
        """Close what nobody uses, and remember nothing; what is in use is closed at its end."""
        with self._lock:
            self._forget()

    @contextmanager
    def failures(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise EngineUnreachable(f"the embedded store {self._path} cannot be read: {error}") from error

    def _forget(self) -> None:
        while self._idle:
            self._idle.pop().close()
        self._file = self._memory = self._manifest = None

    def _identity(self) -> tuple[int, int]:
        """What tells the file from another one of the same name; an open connection would go on reading the old one."""
        try:
            found = self._path.stat()
        except FileNotFoundError as error:
            raise embedded.missing(self._path) from error
        except OSError as error:
            raise EngineUnreachable(f"the embedded store {self._path} cannot be read: {error}") from error
        return found.st_dev, found.st_ino

    def _known_manifest(self, meta: str) -> Manifest:
        known = self._manifest
        if known is None or known[0] != meta:
            self._manifest = known = meta, read_manifest(self._schema, orjson.loads(meta), self._index)
        return known[1]

    def _current_memory(self, connection: sqlite3.Connection) -> Memory:
        """The generation that the connection sees; usually it is in memory."""
        generation = read_generation(connection)
        known = self._memory
        if known is not None and known.generation == generation:
            return known
        with self._loading:
            return self._loaded(connection, generation)

    def _loaded(self, connection: sqlite3.Connection, generation: int) -> Memory:
        known = self._memory
        if known is not None and known.generation == generation:
            return known
        chunks = {(chunk.number, chunk.generation): chunk for chunk in known.chunks} if known is not None else {}
        newer = known is None or known.generation < generation
        if newer:
            # The chunks that were written to are let go of before they are read again.
            written = connection.execute("SELECT chunk, generation FROM chunks").fetchall()
            chunks = {key: chunks[key] for key in written if key in chunks}
            self._memory = known = None
        loaded = load(connection, self._schema, lambda number, made: chunks.get((number, made)))
        if newer:
            self._memory = loaded
        return loaded

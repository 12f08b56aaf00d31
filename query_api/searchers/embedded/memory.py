"""What of a store is in memory: ids, vectors, and filter fields once somebody asks for them.

Rows come in chunks, and a chunk is read again only when the store says that it has been written to. Two generations
share all other chunks; so a writer costs its readers little, and a walk over an old generation costs hardly any memory.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from encoders.parts.cores import usable_cores
from es_mappings.embedded import CHUNK
from es_mappings.schema import Schema
from es_mappings.types import Matrix, Vector
from query_api.searchers.embedded.columns import Column, Mask, Positions, Values

CHUNKS_PER_WORKER = 4
"""Fewer chunks are computed sooner than another thread begins to."""

SPARSE = 4
"""Where fewer than one row in so many is wanted, gathering them costs less than reading all."""


@dataclass(frozen=True, slots=True, eq=False)
class Vectors:
    """The vectors of one space in one chunk: matrix (k, dims), and `at` (k,) which items have them; None: all have."""

    matrix: Matrix
    at: Positions | None

    def cosines(self, query: Vector, wanted: Mask, out: NDArray[np.float32]) -> None:
        """Write at least the wanted items' cosines to `out`, which holds NaN; both are of the items of the chunk.

        einsum gives equal rows equal numbers to the last bit wherever they stand, which BLAS does not, and it is no
        slower: memory is what limits both.
        """
        if self.at is not None:
            wanted = wanted[self.at]
        if SPARSE * np.count_nonzero(wanted) < len(self.matrix):
            rows = np.flatnonzero(wanted)
            out[rows if self.at is None else self.at[rows]] = np.einsum("ij,j->i", self.matrix[rows], query)
        elif self.at is None:
            np.einsum("ij,j->i", self.matrix, query, out=out)
        else:
            out[self.at] = np.einsum("ij,j->i", self.matrix, query)


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """CHUNK consecutive rows, or the last ones: rows (n,), ids (n,), vectors by space.

    fields, objects: what has been asked for so far: by field its values, by nested path (o,) whose each object is.
    """

    number: int
    generation: int
    rows: NDArray[np.int64]
    ids: list[str]
    vectors: Mapping[str, Vectors]
    fields: dict[str, Values] = field(default_factory=dict)
    objects: dict[str, tuple[Positions, NDArray[np.int64]]] = field(default_factory=dict)

    @property
    def bounds(self) -> tuple[int, int]:
        """The first and the last row that belong here."""
        return self.number * CHUNK, (self.number + 1) * CHUNK - 1


class Memory:
    """One generation of a store: of its n items, in the order of their rows, ids (n,) and rows (n,).

    A position is an item's place in that order. Threads may share it.
    """

    def __init__(self, generation: int, schema: Schema, chunks: tuple[Chunk, ...]) -> None:
        self.generation = generation
        self.chunks = chunks
        self.ids = [identifier for chunk in chunks for identifier in chunk.ids]
        self.rows = np.concatenate([np.empty(0, dtype=np.int64), *(chunk.rows for chunk in chunks)])
        self._schema = schema
        self._fields = {field.name: field for field in schema.filters}
        self._starts = _starts(len(chunk.rows) for chunk in chunks)
        self._columns: dict[str, Column] = {}
        self._objects: dict[str, Positions] = {}

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def ranks(self) -> NDArray[np.float64]:
        """(n,) the place of each id among all, by code point: what breaks ties."""
        ranks = np.empty(len(self.ids))
        ranks[sorted(range(len(self.ids)), key=self.ids.__getitem__)] = np.arange(len(self.ids))
        return ranks

    def positions(self, rows: Iterable[int]) -> Positions:
        """Where the items of these rows are."""
        return np.searchsorted(self.rows, np.fromiter(rows, dtype=np.int64))

    def cosines(self, queries: Mapping[str, Vector], wanted: Mask) -> dict[str, NDArray[np.float32]]:
        """By space (n,) the cosine of every wanted item with its query, NaN where the item has no vector there.

        wanted: (n,). Of other items it is there or not.
        """
        found = {space: np.full(len(self), np.nan, dtype=np.float32) for space in queries}

        def compute(part: Sequence[tuple[Chunk, slice]]) -> None:
            for chunk, here in part:
                for space, query in queries.items():
                    chunk.vectors[space].cosines(query, wanted[here], found[space][here])

        placed = list(self._placed())
        workers = min(usable_cores(), len(placed) // CHUNKS_PER_WORKER)
        if workers < 2:
            compute(placed)
            return found
        # numpy lets go of the interpreter's lock meanwhile. A pool that lasted would not survive a fork.
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(compute, [placed[worker::workers] for worker in range(workers)]))
        return found

    def present(self, space: str) -> Mask:
        """(n,) which items have a vector in the space."""
        found = np.zeros(len(self), dtype=bool)
        for chunk, here in self._placed():
            at = chunk.vectors[space].at
            found[here][slice(None) if at is None else at] = True
        return found

    # Two threads may both read what neither has found in memory; either result is right.

    def column(self, store: sqlite3.Connection, name: str) -> Column:
        """The column of a filter field. store: sees this generation, for what is not in memory yet."""
        if name not in self._columns:
            path = self._schema.nested_path(name)
            parts = [_values(store, chunk, name, path) for chunk in self.chunks]
            starts = self._starts if path is None else self._object_starts(store, path)
            self._columns[name] = Column(self._fields[name], Values.joined(parts, starts))
        return self._columns[name]

    def objects(self, store: sqlite3.Connection, path: str) -> Positions:
        """(o,) which item each object under a nested path belongs to."""
        if path not in self._objects:
            found = [_objects(store, chunk, path)[0] + here.start for chunk, here in self._placed()]
            self._objects[path] = np.concatenate([np.empty(0, dtype=np.int64), *found])
        return self._objects[path]

    def _object_starts(self, store: sqlite3.Connection, path: str) -> list[int]:
        return _starts(len(_objects(store, chunk, path)[0]) for chunk in self.chunks)

    def _placed(self) -> Iterator[tuple[Chunk, slice]]:
        for chunk, start in zip(self.chunks, self._starts, strict=True):
            yield chunk, slice(start, start + len(chunk.rows))


def _starts(lengths: Iterable[int]) -> list[int]:
    """Where each of some arrays begins when they are set one after the other."""
    ends = list(accumulate(lengths, initial=0))
    return ends[:-1]


def _values(store: sqlite3.Connection, chunk: Chunk, name: str, path: str | None) -> Values:
    if name not in chunk.fields:
        found = store.execute(
            "SELECT value, row, object FROM filters WHERE field = ? AND row BETWEEN ? AND ? ORDER BY row, object",
            (name, *chunk.bounds),
        ).fetchall()
        at = np.searchsorted(chunk.rows, np.fromiter((row for _, row, _ in found), dtype=np.int64, count=len(found)))
        if path is not None:
            at = _objects(store, chunk, path)[1][at] + np.fromiter((o for *_, o in found), np.int64, count=len(found))
        chunk.fields[name] = Values.of([value for value, _, _ in found], at)
    return chunk.fields[name]


def _objects(store: sqlite3.Connection, chunk: Chunk, path: str) -> tuple[Positions, NDArray[np.int64]]:
    """The objects of the chunk's items: (o,) whose each is, and (n,) the number of each item's first one."""
    if path not in chunk.objects:
        found = store.execute(
            "SELECT row, number FROM objects WHERE path = ? AND row BETWEEN ? AND ?", (path, *chunk.bounds)
        ).fetchall()
        counts = np.zeros(len(chunk.rows), dtype=np.int64)
        counts[np.searchsorted(chunk.rows, [row for row, _ in found])] = [number for _, number in found]
        chunk.objects[path] = np.repeat(np.arange(len(counts)), counts), np.cumsum(counts) - counts
    return chunk.objects[path]


# --- reading


def read_generation(store: sqlite3.Connection) -> int:
    return int(store.execute("SELECT value FROM meta WHERE key = 'generation'").fetchone()[0])


def load(store: sqlite3.Connection, schema: Schema, kept: Callable[[int, int], Chunk | None]) -> Memory:
    """Read the generation that the connection sees.

    kept: by its number and generation a chunk that is in memory already.
    """
    written = store.execute("SELECT chunk, generation FROM chunks ORDER BY chunk").fetchall()
    chunks = tuple(kept(number, made) or _chunk(store, schema, number, made) for number, made in written)
    return Memory(read_generation(store), schema, chunks)


def _chunk(store: sqlite3.Connection, schema: Schema, number: int, generation: int) -> Chunk:
    bounds = (number * CHUNK, (number + 1) * CHUNK - 1)
    items = store.execute("SELECT row, id FROM items WHERE row BETWEEN ? AND ? ORDER BY row", bounds).fetchall()
    rows = np.asarray([row for row, _ in items], dtype=np.int64)
    found: dict[str, tuple[list[int], list[bytes]]] = {space.name: ([], []) for space in schema.spaces}
    for row, space, vector in store.execute(
        "SELECT row, space, vector FROM vectors WHERE row BETWEEN ? AND ? ORDER BY row", bounds
    ):
        found[space][0].append(row)
        found[space][1].append(vector)
    vectors = {
        space.name: _vectors(rows, *found.pop(space.name), space.dims)  # popped, as it is large
        for space in schema.spaces
    }
    return Chunk(number, generation, rows, [identifier for _, identifier in items], vectors)


def _vectors(rows: NDArray[np.int64], holders: list[int], found: list[bytes], dims: int) -> Vectors:
    matrix = np.frombuffer(b"".join(found), dtype="<f4").astype(np.float32, copy=False).reshape(-1, dims)
    return Vectors(matrix, None if len(holders) == len(rows) else np.searchsorted(rows, holders))

"""Read a knowledge graph from files: triples, and the names of their entities.

Triples are lines `head<TAB>relation<TAB>tail`, or N-Triples in a file that ends with `.nt`; names are lines
`entity<TAB>language<TAB>name` with any number of lines per entity (its names and aliases). All are UTF-8, and may be
compressed (`.gz`). Blank lines and lines that start with `#` say nothing. Either may also be Parquet (`.parquet`) of
three columns in that order.
"""

from __future__ import annotations

import gzip
import re
import zlib
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from es_mappings.errors import BadInput

Triples = NDArray[np.int64]
"""Shape (m, 3): numbers of head entity, relation, tail entity."""

Problem = tuple[str, str]
"""A line that was left out: its place as `file:line`, and why."""


@dataclass(frozen=True, slots=True)
class Name:
    """One name or alias; `entity` is an index into the entities, `language` a code such as `en` ("" if unknown)."""

    entity: int
    language: str
    text: str


@dataclass(frozen=True, slots=True, eq=False)
class KnowledgeGraph:
    """Distinct triples over numbered entities and relations; numbers follow the first appearance in the file.

    triples: shape (m, 3), none of them twice.
    problems: the lines that were left out; the rest of the file counts all the same.
    """

    entities: tuple[str, ...]
    relations: tuple[str, ...]
    triples: Triples
    names: tuple[Name, ...] = ()
    problems: tuple[Problem, ...] = ()


def read_graph(triples: Path, names: Path | None = None) -> KnowledgeGraph:
    """Read a triples file and, where given, a names file; names of entities without a triple are left out.

    Raises BadInput when a file cannot be read or there is no triple at all. Single bad lines end up in `problems`.
    """
    problems: list[Problem] = []
    entities: dict[str, int] = {}
    relations: dict[str, int] = {}
    found = array("q")  # 24 bytes for a triple, where a tuple of numbers takes 200
    for head, relation, tail in _rows(triples, problems):
        found.extend((_number(entities, head), _number(relations, relation), _number(entities, tail)))
    if not found:
        first = f"; the first bad line is {problems[0][0]}: {problems[0][1]}" if problems else ""
        raise BadInput(f"{triples}: no triple (head<TAB>relation<TAB>tail) in this file{first}")
    return KnowledgeGraph(
        entities=tuple(entities),
        relations=tuple(relations),
        triples=_distinct(found, len(entities), len(relations)),
        names=_names(names, entities, problems) if names else (),
        problems=tuple(problems),
    )


def numbered(path: Path, entity_ids: Sequence[str], relation_ids: Sequence[str], problems: list[Problem]) -> Triples:
    """More triples, such as a test's, by a trained graph's numbers; what has none is added to `problems`.

    Raises BadInput when the file cannot be read.
    """
    entities = {entity: number for number, entity in enumerate(entity_ids)}
    relations = {relation: number for number, relation in enumerate(relation_ids)}
    found = array("q")
    strange = 0
    for head, relation, tail in _rows(path, problems):
        if head in entities and relation in relations and tail in entities:
            found.extend((entities[head], relations[relation], entities[tail]))
        else:
            strange += 1
    if strange:
        problems.append((f"{path}", f"{strange} triples name an entity or relation that training has not seen"))
    return _distinct(found, len(entities), len(relations))


def _distinct(numbers: array[int], entities: int, relations: int) -> Triples:
    """The triples, each where it stands first. One int64 for each holds ten million entities with ten thousand
    relations.
    """
    triples = np.array(numbers, dtype=np.int64).reshape(-1, 3)
    keys = (triples[:, 0] * relations + triples[:, 1]) * entities + triples[:, 2]
    _, first = np.unique(keys, return_index=True)
    return np.ascontiguousarray(triples[np.sort(first)])


def _names(path: Path, entities: dict[str, int], problems: list[Problem]) -> tuple[Name, ...]:
    rows = (
        Name(entities[entity], language, text) for entity, language, text in _rows(path, problems) if entity in entities
    )
    return tuple(dict.fromkeys(rows))


def _number(numbers: dict[str, int], key: str) -> int:
    return numbers.setdefault(key, len(numbers))


def _rows(path: Path, problems: list[Problem]) -> Iterator[tuple[str, str, str]]:
    """The three columns of every good line or row; bad ones are added to `problems`."""
    if path.suffix == ".parquet":
        yield from _parquet_rows(path, problems)
        return
    read = _statement if Path(path.name.removesuffix(".gz")).suffix == ".nt" else _columns
    try:
        # Lines are decoded one by one, so that one broken byte costs one line and not the file.
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                row = _row(line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line, read)
                if isinstance(row, str):
                    problems.append((f"{path}:{number}", row))
                elif row:
                    yield row
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise BadInput(f"{path}: the compressed file is broken: {error}") from error
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror or error})") from error


def _parquet_rows(path: Path, problems: list[Problem]) -> Iterator[tuple[str, str, str]]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise BadInput(f"{path}: reading Parquet needs the package pyarrow: install the extra 'parquet'") from error
    try:
        with parquet.ParquetFile(path) as file:
            if len(file.schema_arrow.names) != 3:
                raise BadInput(f"{path}: {len(file.schema_arrow.names)} columns instead of 3")
            number = 0
            for batch in file.iter_batches():
                for cells in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                    number += 1
                    first, second, third = ("" if cell is None else str(cell).strip() for cell in cells)
                    if first and second and third:
                        yield first, second, third
                    else:
                        problems.append((f"{path}:row {number}", "an empty column"))
    except (pyarrow.ArrowException, OSError) as error:
        raise BadInput(f"{path}: cannot be read as Parquet: {error}") from error


def _row(line: bytes, read: Callable[[str], tuple[str, str, str] | str]) -> tuple[str, str, str] | str | None:
    """The columns of a line, None for a line that says nothing, or as a string what is wrong with it."""
    try:
        text = line.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        return "not UTF-8"
    if not text.strip() or text.lstrip().startswith("#"):
        return None
    if "\0" in text:
        return "a NUL character"
    return read(text)


def _columns(text: str) -> tuple[str, str, str] | str:
    columns = [column.strip() for column in text.split("\t")]
    if len(columns) != 3:
        return f"{len(columns)} columns separated by tabs instead of 3"
    if not all(columns):
        return "an empty column"
    return columns[0], columns[1], columns[2]


_NODE = r"<[^<>\s]*>|_:[^\s<>\"]+"
_STATEMENT = re.compile(
    rf"\s*({_NODE})\s*(<[^<>\s]*>)\s*({_NODE}|\"(?:[^\"\\]|\\.)*\"(?:@[A-Za-z0-9-]+|\^\^<[^<>\s]*>)?)\s*\.\s*(?:\#.*)?"
)
_ESCAPE = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|(.))")
_CONTROLS = {"t": "\t", "b": "\b", "n": "\n", "r": "\r", "f": "\f"}


def _statement(text: str) -> tuple[str, str, str] | str:
    """Of an N-Triples statement the IRIs without their brackets, blank nodes as they are, and a literal's text."""
    found = _STATEMENT.fullmatch(text)
    if not found:
        return "not a statement of N-Triples"
    try:
        head, relation, tail = (_ESCAPE.sub(_character, _bare(part)) for part in found.groups())
    except (ValueError, OverflowError):
        return "an escape that is no character"
    return (head, relation, tail) if head and relation and tail.strip() else "an empty column"


def _bare(part: str) -> str:
    if part.startswith("<"):
        return part[1:-1]
    return part[1 : part.rindex('"')] if part.startswith('"') else part


def _character(escape: re.Match[str]) -> str:
    code = escape[1] or escape[2]
    if code is None:
        return _CONTROLS.get(escape[3], escape[3])
    if 0xD800 <= int(code, 16) < 0xE000:
        raise ValueError(code)
    return chr(int(code, 16))

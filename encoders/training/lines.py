"""The lines of a knowledge graph's files: which formats there are, and what is wrong with a line that is none.

Triples are lines `head<TAB>relation<TAB>tail`, or N-Triples in a file that ends with `.nt`; names are lines
`entity<TAB>language<TAB>name` with any number of lines per entity (its names and aliases). Interactions are lines
`user<TAB>item<TAB>weight<TAB>time`, of which the last one or two may be left out. All are UTF-8, and may be compressed
(`.gz`). Blank lines and lines that start with `#` say nothing. Triples and names may also be Parquet (`.parquet`) of
three columns in that order.
"""

from __future__ import annotations

import gzip
import math
import re
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from es_mappings.errors import BadInput

_R = TypeVar("_R")

Problem = tuple[str, str]
"""A line that was left out: its place as `file:line`, and why."""

Row = tuple[str, str, str]
"""Head, relation and tail of a triple; or entity, language and text of a name."""

Done = tuple[str, str, float, float]
"""User, item, weight, and time (-inf where it is unknown) of an interaction."""


def triples_in(path: Path, problems: list[Problem]) -> Iterator[Row]:
    """The triples of a file; bad lines are added to `problems`. Raises BadInput for a file that has no triple."""
    yield from _some(rows_in(path, problems), path, "triple (head<TAB>relation<TAB>tail)", problems)


def interactions_in(path: Path, problems: list[Problem]) -> Iterator[Done]:
    """The interactions of a file; bad lines are added to `problems`. Raises BadInput for a file that has none."""
    found = _lines(path, problems, _interaction)
    yield from _some(found, path, "interaction (user<TAB>item<TAB>weight<TAB>time)", problems)


def _some(found: Iterator[_R], path: Path, what: str, problems: list[Problem]) -> Iterator[_R]:
    any_yet = False
    for one in found:
        any_yet = True
        yield one
    if not any_yet:
        first = f"; the first bad line is {problems[0][0]}: {problems[0][1]}" if problems else ""
        raise BadInput(f"{path}: no {what} in this file{first}")


def rows_in(path: Path, problems: list[Problem]) -> Iterator[Row]:
    """The three columns of every good line or row; bad ones are added to `problems`."""
    if path.suffix == ".parquet":
        yield from _parquet_rows(path, problems)
        return
    yield from _lines(path, problems, _statement if Path(path.name.removesuffix(".gz")).suffix == ".nt" else _columns)


def _lines(path: Path, problems: list[Problem], read: Callable[[str], _R | str]) -> Iterator[_R]:
    """What is read of every good line; bad lines are added to `problems`."""
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


def _parquet_rows(path: Path, problems: list[Problem]) -> Iterator[Row]:
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


def _row(line: bytes, read: Callable[[str], _R | str]) -> _R | str | None:
    """What is read of a line, None for a line that says nothing, or as a string what is wrong with it."""
    try:
        text = line.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        return "not UTF-8"
    if not text.strip() or text.lstrip().startswith("#"):
        return None
    if "\0" in text:
        return "a NUL character"
    return read(text)


def _columns(text: str) -> Row | str:
    columns = [column.strip() for column in text.split("\t")]
    if len(columns) != 3:
        return f"{len(columns)} columns separated by tabs instead of 3"
    if not all(columns):
        return "an empty column"
    return columns[0], columns[1], columns[2]


def _interaction(text: str) -> Done | str:
    """The weight is 1 where there is none."""
    columns = [column.strip() for column in text.split("\t")]
    if not 2 <= len(columns) <= 4:
        return f"{len(columns)} columns separated by tabs instead of 2 to 4"
    user, item, weight, time = [*columns, "", ""][:4]
    if not (user and item):
        return "an empty column"
    try:
        counts, when = float(weight or 1), float(time) if time else -math.inf
    except ValueError:
        return f"weight and time are numbers, not {weight!r:.60} and {time!r:.60}"
    if not 0 < counts < math.inf:
        return f"a weight is more than 0, not {weight:.60}"
    return "a time is a finite number" if time and not math.isfinite(when) else (user, item, counts, when)


_NODE = r"<[^<>\s]*>|_:[^\s<>\"]+"
_STATEMENT = re.compile(
    rf"\s*({_NODE})\s*(<[^<>\s]*>)\s*({_NODE}|\"(?:[^\"\\]|\\.)*\"(?:@[A-Za-z0-9-]+|\^\^<[^<>\s]*>)?)\s*\.\s*(?:\#.*)?"
)
_ESCAPE = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|(.))")
_CONTROLS = {"t": "\t", "b": "\b", "n": "\n", "r": "\r", "f": "\f"}


def _statement(text: str) -> Row | str:
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

"""CSV and TSV with a header, plain or compressed, in UTF-8."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from es_mappings.errors import BadInput
from es_mappings.schema import Schema
from ingest.records import Record, Rejected
from ingest.sources.lines import lines
from ingest.sources.values import typed

LONGEST = 16 * 1024 * 1024
"""Characters of one cell; a quote that nobody closed must not read the whole file into memory."""


def records(path: Path, schema: Schema, *, needed: str) -> Iterator[Record | Rejected]:
    """One record per row under the header's names; empty cells are absent fields, empty rows are passed over.

    A row's place is the line that it begins on. needed: the column without which nothing can be made of the file.
    Raises BadInput for a header that has no such column, or a name twice, or none.
    """
    csv.field_size_limit(LONGEST)
    delimiter = "\t" if Path(path.name.removesuffix(".gz")).suffix.lower() == ".tsv" else ","
    # A broken byte costs its row and not the file, so it has to survive until the row is whole.
    texts = (line.decode("utf-8", "surrogateescape") for line in lines(path))
    reader = csv.reader(texts, delimiter=delimiter, strict=True)
    header: list[str] | None = None
    while True:
        place = f"{path.name}:{reader.line_num + 1}"
        try:
            row = next(reader, None)
        except csv.Error as error:
            if header is None:
                raise BadInput(f"{place}: the header cannot be read: {error}") from error
            yield Rejected(place, f"not a row: {error}", None)
            continue
        if row is None:
            break
        if not any(row):
            continue
        if header is None:
            header = _header(row, place, needed)
        else:
            yield _record(row, header, place, schema)
    if header is None:
        raise BadInput(f"{path}: empty; the first line must name the columns")


def _header(row: list[str], place: str, needed: str) -> list[str]:
    names = [name.strip() for name in row]
    if _broken(names):
        raise BadInput(f"{place}: the header is not UTF-8")
    if needed not in names:
        raise BadInput(f"{place}: no column {needed!r}, only {', '.join(map(repr, names))}")
    if not all(names):
        raise BadInput(f"{place}: column {names.index('') + 1} has no name")
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise BadInput(f"{place}: the column {twice[0]!r} stands there twice")
    return names


def _record(row: list[str], header: list[str], place: str, schema: Schema) -> Record | Rejected:
    if _broken(row):
        shown = [cell.encode("utf-8", "surrogateescape").decode("utf-8", "replace") for cell in row]
        return Rejected(place, "not UTF-8", shown)
    if len(row) != len(header):
        return Rejected(place, f"{len(row)} columns, but the header has {len(header)}", row)
    values = {name: typed(cell, name, schema) for name, cell in zip(header, row, strict=True)}
    return Record(place, {name: value for name, value in values.items() if value is not None})


def _broken(cells: list[str]) -> bool:
    return any("\udc80" <= character <= "\udcff" for cell in cells if not cell.isascii() for character in cell)

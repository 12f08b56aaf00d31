"""Parquet, by pyarrow (the extra `parquet`)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from es_mappings.errors import BadInput
from es_mappings.schema import Schema
from ingest.records import Record, Rejected
from ingest.sources.values import typed

ROWS = 256
"""Rows that are Python objects at a time."""


def records(path: Path, schema: Schema) -> Iterator[Record | Rejected]:
    """One record per row; nulls and NaN are absent fields, a whole number as `id` becomes text.

    Raises BadInput without pyarrow, for a file that is not Parquet, and for columns that no index can hold.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise BadInput(f"{path}: reading Parquet needs the package pyarrow: install the extra 'parquet'") from error
    try:
        with parquet.ParquetFile(path) as file:
            _check(path, file.schema_arrow)
            rows = (row for batch in file.iter_batches(ROWS) for row in batch.to_pylist())
            for number, row in enumerate(rows, start=1):
                place = f"{path.name}:row {number}"
                try:
                    yield Record(place, _fields(row, schema))
                except ValueError as error:
                    yield Rejected(place, str(error), repr(row)[:1000])
    except (pyarrow.ArrowException, OSError) as error:
        raise BadInput(f"{path}: cannot be read as Parquet: {error}") from error


def _check(path: Path, columns: Any) -> None:
    if "id" not in columns.names:
        raise BadInput(f"{path}: no column 'id', only {', '.join(map(repr, columns.names))}")
    if twice := [name for name, count in Counter(columns.names).items() if count > 1]:
        raise BadInput(f"{path}: the column {twice[0]!r} stands there twice")


def _fields(row: dict[str, Any], schema: Schema) -> dict[str, Any]:
    fields = {name: plain for name, value in row.items() if (plain := _plain(value, name)) is not None}
    if isinstance(fields.get("id"), int):
        fields["id"] = str(fields["id"])
    filtered = {f.name for f in schema.filters if f.type in {"number", "boolean"}}
    return {n: typed(v, n, schema) if n in filtered and isinstance(v, str) else v for n, v in fields.items()}


def _plain(value: Any, column: str) -> Any:
    """The value as JSON has it; None for what is absent. Raises ValueError for bytes."""
    match value:
        case float() if math.isnan(value):
            return None
        case None | str() | bool() | int() | float():
            return value
        case datetime() | date():
            return value.isoformat()
        case Decimal():
            return float(value)
        case dict():
            return {name: _plain(inner, f"{column}.{name}") for name, inner in value.items()}
        case list() | tuple():
            return [_plain(inner, column) for inner in value]
        case bytes():
            raise ValueError(f"{column}: bytes are no field of an item; give a picture by its path")
    return str(value)

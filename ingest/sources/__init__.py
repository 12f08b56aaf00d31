"""Where items come from: one module per kind of file, one function that chooses among them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from es_mappings.errors import BadInput
from es_mappings.schema import Schema
from ingest.records import Entry, Record, Rejected, item_of

SUFFIXES = (".jsonl", ".ndjson", ".csv", ".tsv", ".parquet", ".jsonl.gz", ".ndjson.gz", ".csv.gz", ".tsv.gz")


def read(path: Path, schema: Schema) -> Iterator[Entry]:
    """The items of a file or a folder of pictures, one after the other; each knows its place.

    Values of files without types of their own (CSV) become what the schema's filters want. Memory holds one record,
    of Parquet one batch, of a folder the names of its files.
    Raises BadInput for a source that cannot be read as a whole; a single bad record is Rejected.
    """
    for found in _records(path, schema):
        yield item_of(found) if isinstance(found, Record) else found


def _records(path: Path, schema: Schema) -> Iterator[Record | Rejected]:
    from ingest.sources import folder, jsonl, table

    if path.is_dir():
        return folder.records(path, schema)
    kind = Path(path.name.removesuffix(".gz")).suffix.lower()
    if kind in {".jsonl", ".ndjson"}:
        return jsonl.records(path)
    if kind in {".csv", ".tsv"}:
        return table.records(path, schema, needed="id")
    if path.suffix.lower() == ".parquet":
        from ingest.sources import parquet

        return parquet.records(path, schema)
    raise BadInput(f"{path}: neither a folder nor one of {', '.join(SUFFIXES)}")


def base_of(path: Path) -> Path:
    """The folder that the relative paths of a source start from."""
    return path if path.is_dir() else path.parent


def digest(path: Path) -> str:
    """What a receipt calls a source: of a file its bytes, of a folder its files' names, sizes and times."""
    if not path.is_dir():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:16]
    found = hashlib.sha256()
    for below in sorted(path.rglob("*")):
        status = below.stat()
        found.update(f"{below.relative_to(path)}\0{status.st_size}\0{status.st_mtime_ns}\n".encode("utf-8", "replace"))
    return found.hexdigest()[:16]

"""A folder of pictures, and what is written beside them.

Either one table for all, `metadata.jsonl` or `metadata.csv` with a column `file_name` (as Hugging Face's imagefolder
has it), or beside `photo.jpg` a `photo.json` with that picture's fields, or nothing at all.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from es_mappings.errors import BadInput
from es_mappings.schema import Schema
from ingest.records import Record, Rejected
from ingest.sources import jsonl, table

PICTURES = frozenset({".jpg", ".jpeg", ".png", ".gif", ".webp", ".bmp", ".tif", ".tiff"})
TABLES = ("metadata.jsonl", "metadata.csv")
NAME = "file_name"
FIELD = "image"


def records(folder: Path, schema: Schema) -> Iterator[Record | Rejected]:
    """One record per picture: its path below the folder as `image`, its name without the ending as `id` unless its
    metadata give others. Whatever has no partner (a row or a sidecar without its picture, a picture without its row)
    is Rejected.

    Raises BadInput for a folder without pictures and for two tables.
    """
    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    pictures = [name for name in files if Path(name).suffix.lower() in PICTURES]
    if not pictures:
        raise BadInput(f"{folder}: no picture in this folder ({', '.join(sorted(PICTURES))})")
    tables = [name for name in TABLES if name in files]
    if len(tables) > 1:
        raise BadInput(f"{folder}: {' and '.join(tables)}: keep one of them")
    if tables:
        return _listed(folder, tables[0], pictures, schema)
    return _beside(folder, pictures, {name for name in files if name.endswith(".json")})


def _listed(folder: Path, name: str, pictures: list[str], schema: Schema) -> Iterator[Record | Rejected]:
    file = folder / name
    rows = jsonl.records(file) if name.endswith(".jsonl") else table.records(file, schema, needed=NAME)
    missing = set(pictures)
    known = frozenset(pictures)
    for row in rows:
        if isinstance(row, Rejected):
            yield row
            continue
        picture = row.fields.get(NAME)
        if not isinstance(picture, str) or picture not in known:
            yield Rejected(row.place, f"{NAME}: {picture!r:.100} is no picture in the folder", row.fields)
            continue
        missing.discard(picture)
        yield _record(row.place, picture, row.fields)
    for picture in sorted(missing):
        yield Rejected(picture, f"{name} has no row for this picture", {FIELD: picture})


def _beside(folder: Path, pictures: list[str], sidecars: set[str]) -> Iterator[Record | Rejected]:
    seen: dict[str, str] = {}
    for picture in pictures:
        stem = _stem(picture)
        if stem in seen:
            yield Rejected(picture, f"{seen[stem]} has the same name and hence the same id", {FIELD: picture})
            continue
        seen[stem] = picture
        sidecar = f"{stem}.json"
        if sidecar not in sidecars:
            yield _record(picture, picture, {})
            continue
        found = jsonl.parse((folder / sidecar).read_bytes(), sidecar)
        yield _record(picture, picture, found.fields) if isinstance(found, Record) else found
    for sidecar in sorted(sidecars):
        if _stem(sidecar) not in seen:
            yield Rejected(sidecar, "no picture of this name stands beside it", None)


def _record(place: str, picture: str, fields: dict[str, object]) -> Record:
    return Record(place, {"id": _stem(picture), FIELD: picture, **fields})


def _stem(name: str) -> str:
    return Path(name).with_suffix("").as_posix()

"""JSON Lines, plain or compressed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import orjson

from ingest.records import Record, Rejected
from ingest.sources.lines import lines


def records(path: Path) -> Iterator[Record | Rejected]:
    """One record per line; blank lines are passed over."""
    for number, line in enumerate(lines(path), start=1):
        if line.strip():
            yield parse(line, f"{path.name}:{number}")


def parse(text: bytes, place: str) -> Record | Rejected:
    """The object that a text is."""
    try:
        record = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        return Rejected(place, f"not JSON: {error}", text.decode("utf-8", "replace"))
    if not isinstance(record, dict):
        return Rejected(place, "not a JSON object", record)
    return Record(place, record)

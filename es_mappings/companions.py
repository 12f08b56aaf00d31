"""What stands beside a document's vectors and can be read without them, in Kibana as in the next run of an ingestion.

modalities: which the document has. encoded: when its vectors were made last. hash: by modality a digest of what they
were made of, and under "lexical" one of the document's own fields.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from es_mappings.schema import Schema
from es_mappings.types import EncodedItem, Stored

JSON = dict[str, Any]

KEYWORD = {"type": "keyword", "ignore_above": 8191}
"""A keyword longer than Lucene's limit of 32,766 bytes would reject its whole document."""
LEXICAL = "lexical"


def companion_fields(schema: Schema) -> JSON:
    """Their part of the mapping, inside the object of the vectors."""
    return {
        "modalities": KEYWORD,
        "encoded": {"type": "date"},
        "hash": {"properties": dict.fromkeys([*schema.modalities, LEXICAL], KEYWORD)},
    }


def companions(schema: Schema, encoded: EncodedItem) -> JSON:
    """Their values for an item; without new vectors the moment stays what it was."""
    spaces = {space.name: space.modality for space in schema.spaces}
    present = encoded.kept | {spaces[name] for name in encoded.vectors}
    values: JSON = {"modalities": [m for m in schema.modalities if m in present], "hash": dict(encoded.hashes)}
    return values if encoded.kept and not encoded.vectors else {**values, "encoded": now()}


def stored(found: Mapping[str, Any]) -> Stored:
    """What the companions of a document say; of one without them nothing."""
    hashes = found.get("hash") or {}
    return Stored(frozenset(found.get("modalities") or ()), {m: own for m, own in hashes.items() if own is not None})


def now() -> str:
    """The moment, as engines and people read it."""
    return datetime.now(UTC).isoformat(timespec="seconds")

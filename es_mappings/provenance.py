"""What made an index, kept in its `_meta`, and the refusal to mix it with anything else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from es_mappings.errors import ProvenanceMismatch
from es_mappings.schema import VERSION, Schema

META_KEY = "maxcos"


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the last ingestion that ran to its end recorded: how many items, from which source (a digest)."""

    items: int
    source: str


def describe(schema: Schema, receipt: Receipt | None = None) -> dict[str, Any]:
    """The `_meta` document of an index: schema version, analysis, and the provenance of every vector field."""
    return {
        META_KEY: {
            "schema": VERSION,
            "languages": list(schema.languages),
            "text": [f.name for f in schema.text],
            "filters": {f.name: f.type for f in schema.filters},
            "spaces": {s.name: {"modality": s.modality, **asdict(schema.provenance[s.name])} for s in schema.spaces},
            "receipt": asdict(receipt) if receipt else None,
        }
    }


def read_receipt(schema: Schema, meta: Mapping[str, Any] | None, index: str) -> Receipt | None:
    """The receipt in an index's `_meta`; None without an index, or when no ingestion ran to its end.

    Raises ProvenanceMismatch when the index does not fit the settings.
    """
    if meta is None:
        return None
    check(schema, meta, index)
    found = meta.get(META_KEY, {}).get("receipt")
    return Receipt(**found) if found else None


def check(schema: Schema, meta: Mapping[str, Any], index: str) -> None:
    """Raise ProvenanceMismatch, naming every difference and the ways out, unless the index fits the settings."""
    if META_KEY not in meta:
        raise ProvenanceMismatch(
            f"index {index!r} exists but was not made by maxcos (its mapping has no _meta.{META_KEY}): "
            "choose another engine.index"
        )
    expected, found = describe(schema)[META_KEY], meta[META_KEY]
    differences = [
        f"{path}: the index has {there!r}, the settings give {here!r}"
        for path, here, there in _differences(expected, found)
        if path != "receipt"
    ]
    if differences:
        raise ProvenanceMismatch(
            f"index {index!r} was built differently: {'; '.join(differences)}. Put the settings back, or ingest "
            "into a new engine.index: vectors of two encoders must never be compared"
        )


def _differences(here: Any, there: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    if isinstance(here, Mapping) and isinstance(there, Mapping):
        for key in sorted({*here, *there}):
            yield from _differences(here.get(key), there.get(key), f"{path}.{key}" if path else key)
    elif here != there:
        yield path, here, there

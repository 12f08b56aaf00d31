"""What made an index, kept in its `_meta`, and the refusal to mix it with anything else."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from es_mappings.errors import ProvenanceMismatch
from es_mappings.schema import VERSION, Layout, Schema
from es_mappings.types import Calibration, Centre, Provenance, Vector

META_KEY = "maxcos"
MANIFEST = frozenset({"receipt", "centres", "calibration", "layout"})
"""The parts of `_meta` that an index alone knows; the rest follows from the settings and has to agree with them."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the last ingestion that ran to its end recorded: how many items, from which source (a digest)."""

    items: int
    source: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an index tells about itself beyond its schema.

    receipt: None when no ingestion ran to its end. centres: by space, empty where vectors were not centred; fixed when
    the index is made. calibration: by space, as `maxcos calibrate` fitted it last. layout: of an index that somebody
    else made and that vectors were attached to. stale: spaces that another encoder has filled, or none at all yet, and
    that are about to be filled anew; not kept in the index.
    """

    receipt: Receipt | None = None
    centres: Mapping[str, Centre] = field(default_factory=dict)
    calibration: Mapping[str, Calibration] = field(default_factory=dict)
    layout: Layout | None = None
    stale: tuple[str, ...] = ()

    def calibrated(self, fitted: Mapping[str, Calibration], centres: Mapping[str, Centre] | None) -> Manifest:
        """The same with these maps, and these centres if any are given."""
        return replace(self, calibration=fitted, centres=self.centres if centres is None else centres)

    def valid_calibration(self, schema: Schema) -> dict[str, Calibration]:
        """The maps that were fitted on the vectors that the schema's encoders make; others are void."""
        return {
            name: fitted
            for name, fitted in self.calibration.items()
            if name in schema.provenance and fitted.fingerprint == vectors_fingerprint(schema, self.centres, name)
        }


def vectors_fingerprint(schema: Schema, centres: Mapping[str, Centre], space: str) -> str:
    """A digest of all that decides the vectors of one space, of items and of queries: its encoder and its means."""
    digest = _items_digest(schema, centres, space)
    digest.update(schema.provenance[space].queries.encode())
    if space in centres:
        for kind, mean in sorted(centres[space].queries.items()):
            digest.update(kind.encode() + mean.astype("<f4").tobytes())
    return digest.hexdigest()[:16]


def items_fingerprint(schema: Schema, centres: Mapping[str, Centre], space: str) -> str:
    """The same of the items' vectors alone, which stay as they are when queries are understood in another way."""
    return _items_digest(schema, centres, space).hexdigest()[:16]


def _items_digest(schema: Schema, centres: Mapping[str, Centre], space: str) -> hashlib._Hash:
    digest = hashlib.sha256(schema.provenance[space].fingerprint.encode())
    if space in centres:
        digest.update(centres[space].items.astype("<f4").tobytes())
    return digest


def describe(schema: Schema, manifest: Manifest | None = None) -> dict[str, Any]:
    """The `_meta` document of an index: schema version, analysis, provenance of every vector field, manifest."""
    manifest = manifest or Manifest()
    return {
        META_KEY: {
            "schema": VERSION,
            "languages": list(schema.languages),
            "text": [f.name for f in schema.text],
            "filters": {f.name: f.type for f in schema.filters},
            "nested": list(schema.nested),
            "suggest": list(schema.suggest),
            "spaces": {s.name: {"modality": s.modality, **_made_by(schema.provenance[s.name])} for s in schema.spaces},
            "receipt": asdict(manifest.receipt) if manifest.receipt else None,
            "centres": {name: _packed(centre) for name, centre in manifest.centres.items()},
            "calibration": {name: asdict(fitted) for name, fitted in manifest.calibration.items()},
            **({"layout": asdict(manifest.layout)} if manifest.layout is not None else {}),
        }
    }


def _made_by(provenance: Provenance) -> dict[str, Any]:
    """What an index is made by. What only queries go through may change from one search to the next."""
    return {name: value for name, value in asdict(provenance).items() if name != "queries"}


def read_manifest(schema: Schema, meta: Mapping[str, Any], index: str, renewing: Collection[str] = ()) -> Manifest:
    """The manifest in an index's `_meta`. Raises ProvenanceMismatch when the index does not fit the settings.

    renewing: modalities whose encoder may be another one: their vectors are about to be made anew.
    """
    stale = _check(schema, meta, index, renewing)
    found = meta[META_KEY]
    return Manifest(
        receipt=Receipt(**found["receipt"]) if found["receipt"] else None,
        centres={name: _unpacked(packed) for name, packed in found["centres"].items()},
        calibration={name: Calibration(**fitted) for name, fitted in found["calibration"].items()},
        layout=_layout(found["layout"]) if "layout" in found else None,
        stale=stale,
    )


def _layout(found: Mapping[str, Any]) -> Layout:
    return Layout({name: tuple(paths) for name, paths in found["text"].items()}, found["filters"])


def _packed(centre: Centre) -> dict[str, Any]:
    return {"items": _base64(centre.items), "queries": {kind: _base64(mean) for kind, mean in centre.queries.items()}}


def _unpacked(packed: Mapping[str, Any]) -> Centre:
    return Centre(_floats(packed["items"]), {kind: _floats(text) for kind, text in packed["queries"].items()})


def _base64(vector: Vector) -> str:
    """Little-endian float32: a sixth of the size of the numbers as JSON, and they come back bit for bit."""
    return base64.b64encode(vector.astype("<f4").tobytes()).decode()


def _floats(text: str) -> Vector:
    return np.frombuffer(base64.b64decode(text), dtype="<f4").astype(np.float32)


def _check(schema: Schema, meta: Mapping[str, Any], index: str, renewing: Collection[str]) -> tuple[str, ...]:
    """The spaces of the modalities `renewing` whose vectors the index has from elsewhere, or not at all.

    Raises ProvenanceMismatch, naming every other difference and the ways out.
    """
    if META_KEY not in meta:
        raise ProvenanceMismatch(
            f"index {index!r} exists but was not made by maxcos (its mapping has no _meta.{META_KEY}): "
            "choose another engine.index, or give it vectors by maxcos attach"
        )
    expected, found = describe(schema)[META_KEY], meta[META_KEY]
    if found.get("schema") != VERSION:
        raise ProvenanceMismatch(
            f"index {index!r} was written by another version of maxcos (its schema is {found.get('schema')}, this one "
            f"writes {VERSION}): run maxcos rebuild"
        )
    renewed = {space.name for space in schema.spaces if space.modality in renewing}
    differences, stale = [], []
    for path, here, there in _differences(expected, found):
        part, _, rest = path.partition(".")
        space, _, what = rest.partition(".")
        if part == "spaces" and space in renewed and what not in {"dims", "modality"}:
            stale.append(space)
        elif part not in MANIFEST:
            differences.append(f"{path}: the index has {there!r}, the settings give {here!r}")
    if differences:
        raise ProvenanceMismatch(
            f"index {index!r} was built differently: {'; '.join(differences)}. Put the settings back, make the vectors "
            "of one modality anew with --only (in as many dimensions), or run maxcos rebuild: vectors of two encoders "
            "must never be compared"
        )
    return tuple(dict.fromkeys(stale))


def _differences(here: Any, there: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    if isinstance(here, Mapping) and isinstance(there, Mapping):
        for key in sorted({*here, *there}):
            yield from _differences(here.get(key), there.get(key), f"{path}.{key}" if path else key)
    elif here != there:
        yield path, here, there

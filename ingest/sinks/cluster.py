"""The clusters' sink: bulk requests with an answer for every item."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from es_mappings.bulk import bulk_reason
from es_mappings.cluster import connect, probe
from es_mappings.companions import companion_fields, companions, stored
from es_mappings.errors import IndexMissing, SettingsError
from es_mappings.mappings import index_body
from es_mappings.provenance import Manifest, Receipt, describe, read_manifest
from es_mappings.schema import VECTOR_OBJECT, Schema
from es_mappings.settings import EngineSettings
from es_mappings.types import Calibration, Centre, EncodedItem, Stored, Tombstone
from ingest.records import Rejected
from ingest.rewriting import rewrite, without

NOT_FOUND = 404
MODALITIES = f"{VECTOR_OBJECT}.modalities"
REFRESHED = 50_000
"""So many ids at most are remembered as written but not to be found yet."""
KEEPING = f"""
Map beside = ctx._source['{VECTOR_OBJECT}'];
for (String name : params.replaced) {{ beside.remove(name); }}
beside.putAll(params.beside);
ctx._source.clear();
ctx._source.putAll(params.item);
ctx._source['{VECTOR_OBJECT}'] = beside;
"""
"""The item anew with some of its old vectors: they need not travel to us and back."""


class ClusterSink:
    """Implements `ingest.sinks.Sink` for Elasticsearch and OpenSearch."""

    def __init__(self, engine: EngineSettings, schema: Schema) -> None:
        self._engine = engine
        self._index = engine.index
        self._path = f"/{engine.index}"
        self._schema = schema
        self._client = connect(engine)
        self._unrefreshed: set[str] = set()

    def manifest(self, renewing: Collection[str] = ()) -> Manifest | None:
        meta = self._meta()
        return None if meta is None else read_manifest(self._schema, meta, self._index, renewing)

    def renew(self, manifest: Manifest) -> None:
        rewrite(self._client, self._index, *without(manifest.stale))
        dialect, _ = probe(self._client)
        fields = {space.name: dialect.vector_field(space) for space in self._schema.spaces}
        self._describe(manifest, {name: fields[name] for name in manifest.stale})

    def prepare(self, centres: Mapping[str, Centre]) -> None:
        manifest = self.manifest()
        if manifest is not None and manifest.layout is not None:
            raise SettingsError(
                f"index {self._index!r} is somebody else's, and vectors were attached to it: write documents as ever, "
                "and run maxcos attach"
            )
        if manifest is not None:
            # An index of an older maxcos has no companions yet.
            self._describe(replace(manifest, receipt=None), companion_fields(self._schema))
            self._refresh()  # what a run that was killed has written last
            return
        dialect, _ = probe(self._client)
        body = index_body(self._schema, dialect, self._engine, Manifest(centres=centres))
        self._client.request("PUT", self._path, body=body)

    def stored(self, ids: Sequence[str]) -> dict[str, Stored]:
        # From doc values: no source with its vectors is read. Nor can OpenSearch's k-NN (3.5) read many sources at
        # once by id, after segments with deleted documents have been merged.
        if not self._unrefreshed.isdisjoint(ids):
            self._refresh()
        hashes = f"{VECTOR_OBJECT}.hash."
        body = {
            "query": {"ids": {"values": list(ids)}},
            "size": len(ids),
            "_source": False,
            "docvalue_fields": [MODALITIES, f"{hashes}*"],
        }
        params = {"allow_partial_search_results": "false"}
        found = self._client.request_patiently("POST", f"{self._path}/_search", params=params, body=body)
        return {hit["_id"]: _stored(hit.get("fields", {}), hashes) for hit in found["hits"]["hits"]}

    def write(self, batch: Sequence[EncodedItem | Tombstone]) -> list[Rejected]:
        # By id: what was sent again, because the engine was busy, is answered, and done, out of turn.
        actions = {one.id if isinstance(one, Tombstone) else one.item.id: one for one in batch}
        rejected = []
        for ok, told in self._client.bulk(map(self._action, actions.values())):
            (answer,) = told.values()
            one = actions[answer["_id"]]
            if not ok and not (isinstance(one, Tombstone) and answer["status"] == NOT_FOUND):
                place, record = (one.place, {"id": one.id}) if isinstance(one, Tombstone) else _origin(one)
                rejected.append(Rejected(place, bulk_reason(answer), record))
        self._unrefreshed |= actions.keys()
        if len(self._unrefreshed) > REFRESHED:
            self._refresh()
        return rejected

    def finish(self, receipt: Receipt) -> None:
        self._refresh()
        self._describe(replace(self._kept(), receipt=receipt))

    def calibrate(self, fitted: Mapping[str, Calibration], centres: Mapping[str, Centre] | None = None) -> None:
        self._describe(self._kept().calibrated(fitted, centres))

    def stop(self) -> None:
        self._client.stop()

    def close(self) -> None:
        self._client.close()

    def _refresh(self) -> None:
        """Let searches see what has been written."""
        written = frozenset(self._unrefreshed)  # another thread may add what this refresh will not show
        self._client.request_patiently("POST", f"{self._path}/_refresh")
        self._unrefreshed -= written

    def _meta(self) -> dict[str, Any] | None:
        """The mapping's _meta; None when there is no such index."""
        if not self._client.exists(self._path):
            return None
        (found,) = self._client.request("GET", f"{self._path}/_mapping").values()
        meta: dict[str, Any] = found["mappings"].get("_meta", {})
        return meta

    def _kept(self) -> Manifest:
        manifest = self.manifest()
        if manifest is None:
            raise IndexMissing(f"index {self._index!r} does not exist: run maxcos ingest first")
        return manifest

    def _describe(self, manifest: Manifest, beside: Mapping[str, Any] | None = None) -> None:
        """Put the manifest into the mapping, and perhaps fields beside the vectors."""
        meta = (self._meta() or {}) | describe(self._schema, manifest)
        fields = {VECTOR_OBJECT: {"dynamic": "strict", "properties": beside}} if beside else {}
        self._client.request_patiently("PUT", f"{self._path}/_mapping", body={"_meta": meta, "properties": fields})

    def _action(self, one: EncodedItem | Tombstone) -> dict[str, Any]:
        if isinstance(one, Tombstone):
            return {"_op_type": "delete", "_index": self._index, "_id": one.id}
        where = {"_index": self._index, "_id": one.item.id}
        beside = {**one.vectors, **companions(self._schema, one)}
        if not one.kept:
            return {"_op_type": "index", **where, "_source": {**one.item.source, VECTOR_OBJECT: beside}}
        replaced = [space.name for space in self._schema.spaces if space.modality not in one.kept]
        params = {"item": one.item.source, "beside": beside, "replaced": replaced}
        return {"_op_type": "update", **where, "script": {"lang": "painless", "source": KEEPING, "params": params}}


def _origin(encoded: EncodedItem) -> tuple[str, dict[str, Any]]:
    return encoded.item.place, dict(encoded.item.source)


def _stored(fields: Mapping[str, Sequence[Any]], hashes: str) -> Stored:
    own = {path.removeprefix(hashes): values[0] for path, values in fields.items() if path.startswith(hashes)}
    return stored({"modalities": fields.get(MODALITIES), "hash": own})

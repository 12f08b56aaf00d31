"""The clusters' sink: bulk requests with an answer for every item."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from es_mappings.bulk import bulk_reason
from es_mappings.cluster import connect, probe
from es_mappings.errors import IndexMissing, SettingsError
from es_mappings.mappings import index_body
from es_mappings.provenance import Manifest, Receipt, describe, read_manifest
from es_mappings.schema import VECTOR_OBJECT, Schema
from es_mappings.settings import EngineSettings
from es_mappings.types import Calibration, Centre, EncodedItem
from ingest.records import Rejected


class ClusterSink:
    """Implements `ingest.sinks.Sink` for Elasticsearch and OpenSearch."""

    def __init__(self, engine: EngineSettings, schema: Schema) -> None:
        self._engine = engine
        self._index = engine.index
        self._path = f"/{engine.index}"
        self._schema = schema
        self._client = connect(engine)

    def manifest(self) -> Manifest | None:
        meta = self._meta()
        return None if meta is None else read_manifest(self._schema, meta, self._index)

    def prepare(self, centres: Mapping[str, Centre]) -> None:
        manifest = self.manifest()
        if manifest is not None and manifest.layout is not None:
            raise SettingsError(
                f"index {self._index!r} is somebody else's, and vectors were attached to it: write documents as ever, "
                "and run maxcos attach"
            )
        if manifest is not None:
            self._describe(replace(manifest, receipt=None))
            return
        dialect, _ = probe(self._client)
        body = index_body(self._schema, dialect, self._engine, Manifest(centres=centres))
        self._client.request("PUT", self._path, body=body)

    def write(self, batch: Sequence[EncodedItem]) -> list[Rejected]:
        # By id: what was sent again, because the engine was busy, is answered, and done, out of turn.
        items = {encoded.item.id: encoded for encoded in batch}
        rejected = []
        for ok, answer in self._client.bulk(map(self._action, items.values())):
            if not ok:
                item = items[answer["index"]["_id"]].item
                rejected.append(Rejected(item.place, bulk_reason(answer["index"]), dict(item.source)))
        return rejected

    def finish(self, receipt: Receipt) -> None:
        self._client.request_patiently("POST", f"{self._path}/_refresh")
        self._describe(replace(self._kept(), receipt=receipt))

    def calibrate(self, fitted: Mapping[str, Calibration]) -> None:
        self._describe(replace(self._kept(), calibration=fitted))

    def stop(self) -> None:
        self._client.stop()

    def close(self) -> None:
        self._client.close()

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

    def _describe(self, manifest: Manifest) -> None:
        meta = (self._meta() or {}) | describe(self._schema, manifest)
        self._client.request_patiently("PUT", f"{self._path}/_mapping", body={"_meta": meta})

    def _action(self, encoded: EncodedItem) -> dict[str, Any]:
        return {
            "_op_type": "index",
            "_index": self._index,
            "_id": encoded.item.id,
            "_source": {**encoded.item.source, VECTOR_OBJECT: dict(encoded.vectors)},
        }

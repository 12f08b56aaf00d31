"""The index to attach to: what it is called, what it is like, and the reasons why it cannot be."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from es_mappings.attached import attach_body, detach_body
from es_mappings.cluster import Cluster, probe, reasons
from es_mappings.dialects import Dialect
from es_mappings.errors import EngineError, IndexMissing, ProvenanceMismatch, SettingsError
from es_mappings.provenance import META_KEY, Manifest, read_manifest
from es_mappings.schema import VECTOR_OBJECT, Schema

JSON = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Target:
    """One concrete index. meta, properties: of its mapping, as they were when it was looked at."""

    name: str
    dialect: Dialect
    meta: Mapping[str, Any]
    properties: Mapping[str, Any]

    def manifest(self, schema: Schema) -> Manifest | None:
        """What an earlier run left; None when nothing is attached yet.

        Raises ProvenanceMismatch when other encoders made its vectors, and for an index that maxcos made itself.
        """
        if META_KEY not in self.meta:
            return None
        _refuse_own(self)
        return read_manifest(schema, self.meta, self.name)


def _refuse_own(target: Target) -> None:
    if META_KEY in target.meta and "layout" not in target.meta[META_KEY]:
        raise ProvenanceMismatch(f"index {target.name!r} was made by maxcos ingest: nothing is attached to it")


def look_at(cluster: Cluster, index: str) -> Target:
    """The index behind a name. Raises IndexMissing, and SettingsError for what cannot be attached to."""
    name = _concrete(cluster, index)
    dialect, _ = probe(cluster)
    (found,) = cluster.request("GET", f"/{name}").values()
    for setting, value in dialect.index_settings.items():
        if found["settings"]["index"].get(setting) != str(value).lower():
            raise SettingsError(
                f"index {name!r} lacks the setting index.{setting}, which is fixed when an index is made. A clone can "
                f'have it and copies no data: PUT {{"index.blocks.write": true}} to /{name}/_settings, then POST '
                f'{{"settings": {{"index.{setting}": {str(value).lower()}, "index.blocks.write": null}}}} to '
                f"/{name}/_clone/NAME, and attach to that one"
            )
    return Target(name, dialect, found["mappings"].get("_meta", {}), found["mappings"].get("properties", {}))


def _concrete(cluster: Cluster, index: str) -> str:
    if not cluster.exists(f"/{index}"):
        raise IndexMissing(f"index {index!r} does not exist")
    found = cluster.request("GET", f"/_resolve/index/{index}")
    if found.get("data_streams"):
        raise SettingsError(f"{index!r} is a data stream: documents in it are only ever added, never updated")
    for alias in found["aliases"]:
        if len(alias["indices"]) != 1:
            names = ", ".join(alias["indices"])
            raise SettingsError(f"{index!r} is an alias of several indices ({names}): attach to each by its name")
        return str(alias["indices"][0])
    return index


def describe_target(cluster: Cluster, target: Target, schema: Schema, manifest: Manifest) -> None:
    """Write fields and `_meta` into the mapping; what is there already stays as it is."""
    body = attach_body(schema, target.dialect, manifest, target.meta)
    cluster.request("PUT", f"/{target.name}/_mapping", body=body)


def detach(cluster: Cluster, target: Target) -> int:
    """Take the vectors and their companions out of every document; how many had them.

    The mapping keeps its fields, as mappings do. Raises ProvenanceMismatch for an index of our own, and EngineError.
    """
    _refuse_own(target)
    request = {
        "query": {"exists": {"field": f"{VECTOR_OBJECT}.id"}},
        "script": {"lang": "painless", "source": f"ctx._source.remove('{VECTOR_OBJECT}')"},
    }
    cluster.request("PUT", f"/{target.name}/_mapping", body=detach_body(target.meta))
    path = f"/{target.name}/_update_by_query"
    params = {"conflicts": "proceed", "refresh": "true", "wait_for_completion": "false"}
    updated = 0
    while True:
        cluster.request("POST", f"/{target.name}/_refresh")
        done = _finished(cluster, cluster.request("POST", path, params=params, body=request)["task"])
        updated += int(done["updated"])
        # What somebody changed meanwhile is left over.
        if not done["version_conflicts"]:
            return updated


def _finished(cluster: Cluster, task: str) -> JSON:
    """The response of a task, once it has ended. Raises EngineError for one that failed."""
    while not (found := cluster.request("GET", f"/_tasks/{task}"))["completed"]:
        time.sleep(0.2)
    response: JSON = found.get("response", {})
    if "error" in found or response.get("failures"):
        raise EngineError(f"detaching failed: {reasons(found.get('error'), *response.get('failures', []))}")
    return response

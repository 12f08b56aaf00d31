"""The index to attach to: what it is called, what it is like, and the reasons why it cannot be."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from es_mappings.attached import attach_body, detach_body
from es_mappings.cluster import Cluster, probe
from es_mappings.dialects import Dialect
from es_mappings.errors import IndexMissing, ProvenanceMismatch, SettingsError
from es_mappings.provenance import META_KEY, Manifest, read_manifest
from es_mappings.schema import VECTOR_OBJECT, Schema
from ingest.rewriting import rewrite

JSON = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Target:
    """One concrete index. meta, properties: of its mapping, as they were when it was looked at."""

    name: str
    dialect: Dialect
    meta: Mapping[str, Any]
    properties: Mapping[str, Any]

    def manifest(self, schema: Schema, renewing: Collection[str] = ()) -> Manifest | None:
        """What an earlier run left; None when nothing is attached yet.

        Raises ProvenanceMismatch when other encoders made its vectors, but for those of the modalities `renewing`, and
        for an index that maxcos made itself.
        """
        if META_KEY not in self.meta:
            return None
        _refuse_own(self)
        return read_manifest(schema, self.meta, self.name, renewing)


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
    mapping = found["mappings"]
    if lossy := _lossy(mapping.get("_source", {})):
        raise SettingsError(
            f"index {name!r} does not keep its documents as they were written (_source: {lossy}): an update of one "
            "would lose what is not kept"
        )
    return Target(name, dialect, mapping.get("_meta", {}), mapping.get("properties", {}))


def _lossy(source: Mapping[str, Any]) -> JSON:
    """Those settings of a mapping's _source that leave parts of a document out, or write it in other words."""
    harmless = {"enabled": (True,), "includes": ([],), "excludes": ([],), "mode": ("stored",)}
    return {name: value for name, value in source.items() if value not in harmless.get(name, (value,))}


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
    cluster.request("PUT", f"/{target.name}/_mapping", body=detach_body(target.meta))
    found = rewrite(
        cluster,
        target.name,
        {"exists": {"field": f"{VECTOR_OBJECT}.id"}},
        {"source": f"ctx._source.remove('{VECTOR_OBJECT}')"},
    )
    cluster.request("POST", f"/{target.name}/_refresh")
    return found

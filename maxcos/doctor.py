"""`maxcos doctor`: does this engine do what a search needs, does the index fit the settings, and what to do if not."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

import numpy as np

from encoders.contract import Encoder, load_encoder
from es_mappings import embedded
from es_mappings.cluster import Cluster, addresses_of, connect, is_embedded, probe
from es_mappings.dialects import Dialect
from es_mappings.errors import EngineRefused, IndexMissing, MaxcosError, ProvenanceMismatch
from es_mappings.mappings import properties
from es_mappings.provenance import Manifest
from es_mappings.schema import Schema, build_schema
from es_mappings.settings import EngineSettings, Settings
from es_mappings.types import Ann, Fusion, Plan, QueryVector
from query_api.edge.access import is_loopback
from query_api.searchers import open_searcher

JSON = dict[str, Any]
Status = Literal["ok", "warning", "failed"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found; `remedy` says what to do unless all is well."""

    check: str
    status: Status
    detail: str
    remedy: str = ""


def examine(settings: Settings) -> Iterator[Finding]:
    """All findings, in the order in which one depends on the other; later checks are left out where an earlier one
    that they need has failed. Raises nothing that a check is about.
    """
    encoders: dict[str, Encoder] = {}
    for modality in settings.modalities:
        yield _encoder(modality, settings, encoders)
    schema = build_schema(settings.lexical, encoders.values())
    whole = len(encoders) == len(settings.modalities)
    if is_embedded(settings.engine):
        yield from _embedded(settings, schema, whole)
    else:
        yield from _cluster(settings, schema, whole)


def _encoder(modality: str, settings: Settings, encoders: dict[str, Encoder]) -> Finding:
    try:
        encoder = load_encoder(modality, settings.modalities[modality], encoders)
    except MaxcosError as error:
        return Finding(f"modality {modality}", "failed", str(error), "mend this modality in the settings, or remove it")
    encoders[modality] = encoder
    spaces = ", ".join(f"{space.name} ({space.dims} dimensions)" for space in encoder.spaces)
    return Finding(f"modality {modality}", "ok", f"{settings.modalities[modality].encoder}: {spaces}")


# --- the embedded store


def _embedded(settings: Settings, schema: Schema, whole: bool) -> Iterator[Finding]:
    file = embedded.store_file(settings.engine.url, settings.engine.index)
    yield Finding("engine", "ok", f"the embedded store, SQLite {sqlite3.sqlite_version}")
    if whole:
        yield from _index(settings, schema, str(file))


# --- clusters


def _cluster(settings: Settings, schema: Schema, whole: bool) -> Iterator[Finding]:
    cluster = connect(settings.engine)
    try:
        yield from _credentials(settings.engine)
        try:
            dialect, name = probe(cluster)
        except MaxcosError as error:
            yield Finding("engine", "failed", str(error), "check engine.url, the network and the credentials")
            return
        yield Finding("engine", "ok", f"{name}, spoken to as {dialect.name}")
        yield from _capabilities(cluster, dialect, schema)
        if not whole:
            return
        findings = list(_index(settings, schema, settings.engine.index))
        yield from findings
        if any(finding.check == "index" and finding.status == "ok" for finding in findings):
            yield from _mapping(cluster, dialect, settings, schema)
    finally:
        cluster.close()


def _credentials(engine: EngineSettings) -> Iterator[Finding]:
    """A warning where a key or a password crosses a network that others may read."""
    if engine.api_key is None and engine.password is None:
        return
    open_ways = [url for url in map(urlsplit, addresses_of(engine)) if url.scheme == "http"]
    if any(not is_loopback(url.hostname or "") for url in open_ways):
        yield Finding("credentials", "warning", "they are sent without TLS", "give engine.url as https://")
    else:
        yield Finding("credentials", "ok", "no network that others may read carries them")


def _capabilities(cluster: Cluster, dialect: Dialect, schema: Schema) -> Iterator[Finding]:
    if dialect.licence is not None:
        yield _asked("licence", lambda: _licence(cluster, dialect.licence or ""))
    if dialect.plugin is not None:
        yield _asked("plugin", lambda: _plugin(cluster, dialect.plugin or ""))
    yield _asked("scripts", lambda: _scripts(cluster))
    wide = [space for space in schema.spaces if space.dims > dialect.max_dims]
    if wide:
        detail = ", ".join(f"{space.name} has {space.dims}" for space in wide)
        yield Finding(
            "dimensions", "failed", f"{detail}, the engine takes {dialect.max_dims}", "choose a smaller encoder"
        )
    else:
        yield Finding("dimensions", "ok", f"no space has more than the {dialect.max_dims} that the engine takes")


def _asked(check: str, ask: Callable[[], Finding]) -> Finding:
    """A key without the privilege to look is no fault of the engine."""
    try:
        return ask()
    except EngineRefused as error:
        return Finding(check, "warning", f"could not be looked at: {error}", "ask with a key that has `monitor`")


def _licence(cluster: Cluster, path: str) -> Finding:
    licence = cluster.request("GET", path)["license"]
    if licence["status"] != "active":
        return Finding("licence", "failed", f"{licence['type']}, {licence['status']}", "renew it, or go back to basic")
    return Finding("licence", "ok", f"{licence['type']}, active (maxcos needs no more than basic)")


def _plugin(cluster: Cluster, plugin: str) -> Finding:
    nodes = cluster.request("GET", "/_nodes/plugins", params={"filter_path": "nodes.*.name,nodes.*.plugins.name"})
    lacking = [
        node["name"] for node in nodes["nodes"].values() if plugin not in {p["name"] for p in node.get("plugins", [])}
    ]
    if lacking:
        return Finding("plugin", "failed", f"{plugin} is missing on {', '.join(lacking)}", "install it on every node")
    return Finding("plugin", "ok", f"{plugin} on every node")


def _scripts(cluster: Cluster) -> Finding:
    found = cluster.request("GET", "/_cluster/settings", params={"include_defaults": "true", "flat_settings": "true"})
    setting = found["defaults"] | found["persistent"] | found["transient"]
    if str(setting.get("search.allow_expensive_queries", "true")) == "false":
        return Finding(
            "scripts", "failed", "search.allow_expensive_queries is false: script_score is refused", "set it to true"
        )
    for name, needed in (("script.allowed_types", "inline"), ("script.allowed_contexts", "score")):
        allowed = setting.get(name) or []
        allowed = [allowed] if isinstance(allowed, str) else allowed
        if allowed and not {needed, "both", "any"} & set(allowed):
            return Finding("scripts", "failed", f"{name} is {allowed}", f"add {needed!r} to it in elasticsearch.yml")
    return Finding("scripts", "ok", "inline scripts may score")


def _mapping(cluster: Cluster, dialect: Dialect, settings: Settings, schema: Schema) -> Iterator[Finding]:
    index = settings.engine.index
    yield _asked("shards", lambda: _shards(cluster, index))
    for name, found in cluster.request("GET", f"/{index}/_mapping").items():
        drift = list(_drift(properties(schema, dialect), found["mappings"].get("properties", {})))
        if drift:
            yield Finding("mapping", "failed", f"{name}: {'; '.join(drift)}", "run maxcos rebuild with these settings")
        else:
            yield Finding("mapping", "ok", f"{name}: every field is as the settings ask")
    yield _search(settings, schema)


def _shards(cluster: Cluster, index: str) -> Finding:
    health = cluster.request("GET", f"/_cluster/health/{index}")
    status: Status = "failed" if health["status"] == "red" else "ok"
    detail = f"{health['status']}: {health['active_shards']} shards active, {health['unassigned_shards']} unassigned"
    return Finding("shards", status, detail, "bring the missing nodes back" if status == "failed" else "")


def _drift(wanted: Mapping[str, Any], found: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """What the settings ask of a mapping and do not get; what it has beyond them does no harm."""
    for key, value in wanted.items():
        place = f"{path}.{key}" if path else key
        there = found.get(key)
        if isinstance(value, Mapping) and (there is None or isinstance(there, Mapping)):
            yield from _drift(value, there or {}, place)
        elif key == "type" and value == "object" and there is None:
            continue  # engines leave the type of objects out
        elif str(there).lower() != str(value).lower():
            yield f"{place} is {there!r} instead of {value!r}"


def _search(settings: Settings, schema: Schema) -> Finding:
    """Ask the engine for real: the script, the graphs and the words, exactly and approximately."""
    vectors = tuple(QueryVector(s, np.eye(1, s.dims, dtype=np.float32)[0]) for s in schema.spaces)
    plan = Plan(vectors, "doctor" if schema.text else None, Fusion("hybrid"), size=1)
    searcher = open_searcher(settings.engine, schema)
    try:
        pages = [searcher.search(plan)]
        if vectors:
            pages.append(searcher.search(Plan(vectors, plan.words, plan.fusion, size=1, ann=Ann(10, 100))))
    except MaxcosError as error:
        return Finding("search", "failed", str(error), "the engine's own words say what it refuses")
    finally:
        searcher.close()
    if partial := next((page.partial for page in pages if page.partial), None):
        return Finding("search", "failed", partial, "look at the shards and at the node's log")
    return Finding("search", "ok", "exact and approximate scripted searches are answered")


# --- both


def _index(settings: Settings, schema: Schema, place: str) -> Iterator[Finding]:
    searcher = open_searcher(settings.engine, schema)
    try:
        state = searcher.state()
    except IndexMissing:
        yield Finding("index", "warning", f"{place} does not exist yet", "run maxcos ingest")
        return
    except ProvenanceMismatch as error:
        yield Finding(
            "index", "failed", str(error), "put the settings back, run maxcos rebuild, or choose another engine.index"
        )
        return
    except MaxcosError as error:
        yield Finding("index", "failed", str(error), "look at the engine's log")
        return
    finally:
        searcher.close()
    yield Finding("index", "ok", f"{place}: {state.documents} items, made as the settings say")
    yield _receipt(state.manifest, state.documents)
    yield _calibration(state.manifest, schema)


def _receipt(manifest: Manifest, documents: int) -> Finding:
    if manifest.receipt is None:
        return Finding("ingestion", "warning", "the last one did not run to its end", "run maxcos ingest again")
    return Finding("ingestion", "ok", f"the last one wrote {manifest.receipt.items} of the {documents} items")


def _calibration(manifest: Manifest, schema: Schema) -> Finding:
    valid = manifest.valid_calibration(schema)
    void = sorted(set(manifest.calibration) - set(valid))
    lacking = [space.name for space in schema.spaces if space.name not in valid]
    if void:
        return Finding(
            "calibration", "warning", f"fitted for other vectors, hence void: {', '.join(void)}", "run maxcos calibrate"
        )
    if lacking:
        return Finding("calibration", "warning", f"none for {', '.join(lacking)}", "run maxcos calibrate")
    return Finding("calibration", "ok", f"fitted for {', '.join(valid) or 'nothing, as there are no spaces'}")

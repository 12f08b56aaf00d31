"""`maxcos bench query`: exact and approximate search of one synthetic catalogue, in one run, against their limits.

The limits are numpy's matrix products over the same vectors (what any exact search has to read from memory) and the
best request that we could write by hand, sent by the bare client. For each query the ways are measured in an order that
is drawn, as each leaves the caches warm for the next. numpy is measured apart: its threads go on waiting for work after
a product, which costs whoever comes next up to 40 ms.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from encoders.contract import Encoded
from es_mappings.cluster import connect, is_embedded, probe
from es_mappings.provenance import Receipt
from es_mappings.schema import VECTOR_OBJECT, Schema
from es_mappings.settings import EngineSettings
from es_mappings.types import Ann, Fusion, Matrix, OneOf, Page, Plan, Provenance, QueryVector, Space, Term, Vector
from ingest.sinks import open_sink
from maxcos.bench.data import CATEGORIES, Catalogue
from query_api.candidates import depth
from query_api.searchers import IndexState, Searcher, open_searcher
from query_api.service import SearchService

JSON = dict[str, Any]
WARM_UP = 5
TENTH = OneOf("category", tuple(f"category-{number}" for number in range(CATEGORIES // 10)))
"""A filter that leaves a tenth of the catalogue."""


@dataclass(slots=True)
class Timings:
    """Milliseconds of one way to search: at the client, and as the engine counts its own."""

    client: list[float] = field(default_factory=list)
    engine: list[float] = field(default_factory=list)

    def summary(self) -> JSON:
        found: JSON = {"p50": _percentile(self.client, 50), "p95": _percentile(self.client, 95)}
        if self.engine:
            found |= {"engine_p50": _percentile(self.engine, 50), "engine_p95": _percentile(self.engine, 95)}
        return found


def _percentile(values: Sequence[float], rank: int) -> float:
    return round(float(np.percentile(values, rank)), 2)


def run(
    url: str,
    documents: int,
    shards: int,
    *,
    dims: int,
    queries: int,
    segments: int | None,
    keep: bool,
    say: Callable[[str], object],
) -> JSON:
    """Measure one engine with one size of catalogue.

    segments: to how many in each shard the index is merged first; None leaves it as indexing left it. An index of an
    earlier run with `keep` is used again. Raises what the engine raises.
    """
    catalogue = Catalogue(documents, dims)
    engine = EngineSettings(url=url, index=f"maxcos-bench-{documents}-{shards}", shards=shards, timeout=120)
    schema = catalogue.schema()
    seconds = _fill(engine, catalogue, schema, say)
    if segments is not None and not is_embedded(engine):
        say(f"{engine.index}: merging to {segments} segments in each shard")
        _merge(engine, segments)
    searcher = open_searcher(engine, schema)
    try:
        matrices = catalogue.matrices()
        state = searcher.state()
        asked = [_plan(schema, state, words, vectors) for words, vectors in catalogue.queries(WARM_UP + queries)]
        found: JSON = {
            "engine": state.engine,
            "documents": documents,
            "shards": shards,
            "segments": None if is_embedded(engine) else _segments(engine),
            "dims": dims,
            "modalities": len(schema.spaces),
            "queries": queries,
            "indexing_s": seconds,
        }
        say(f"{engine.index}: asking {queries} queries")
        found |= _measure(engine, schema, searcher, asked, matrices)
    finally:
        searcher.close()
        if not keep:
            _delete(engine)
    return found


def _fill(engine: EngineSettings, catalogue: Catalogue, schema: Schema, say: Callable[[str], object]) -> float | None:
    """Write the catalogue unless it is there; the seconds that took."""
    sink = open_sink(engine, schema)
    try:
        manifest = sink.manifest()
        receipt = Receipt(catalogue.documents, catalogue.digest)
        if manifest is not None and manifest.receipt == receipt:
            return None
        say(f"{engine.index}: writing {catalogue.documents} items")
        started = time.perf_counter()
        sink.prepare({})
        for batch in catalogue.batches():
            sink.write(batch)
        sink.finish(receipt)
        return round(time.perf_counter() - started, 1)
    finally:
        sink.close()


def _delete(engine: EngineSettings) -> None:
    if is_embedded(engine):
        from es_mappings.embedded import store_file

        store_file(engine.url, engine.index).unlink()
        return
    with closing(connect(engine)) as cluster:
        cluster.request("DELETE", f"/{engine.index}")


def _merge(engine: EngineSettings, segments: int) -> None:
    patient = engine.model_copy(update={"timeout": 3600.0})
    with closing(connect(patient)) as cluster:
        cluster.request("POST", f"/{engine.index}/_forcemerge", params={"max_num_segments": str(segments)})
        cluster.request("POST", f"/{engine.index}/_refresh")


def _segments(engine: EngineSettings) -> int:
    """How many segments searches look into, over all shards."""
    with closing(connect(engine)) as cluster:
        shards = cluster.request("GET", f"/{engine.index}/_segments")["indices"][engine.index]["shards"]
    found = [segment for copies in shards.values() for segment in copies[0]["segments"].values()]
    return sum(segment["search"] for segment in found)


def _plan(schema: Schema, state: IndexState, words: str, vectors: Mapping[str, Vector]) -> Plan:
    """What the service would plan for these words; a page of ten."""
    asked = tuple(QueryVector(s, vectors[s.name], common=s.name in state.common) for s in schema.spaces)
    return Plan(asked, words, Fusion("hybrid"), fields=())


def _measure(
    engine: EngineSettings, schema: Schema, searcher: Searcher, plans: Sequence[Plan], matrices: Mapping[str, Matrix]
) -> JSON:
    maxima = [replace(plan, words=None, fusion=Fusion("max")) for plan in plans]
    state = searcher.state()
    service = SearchService(schema, {s.modality: _Silent(s) for s in schema.spaces}, searcher)

    def exact(plan: Plan) -> float:
        return searcher.search(plan).engine_ms

    def ann(plan: Plan) -> float:
        return searcher.search(replace(plan, ann=depth(plan, state.shards))).engine_ms

    timings = _time(maxima, {"numpy": lambda plan: _numpy(plan, matrices)})
    if not state.approximate:
        timings |= _time(maxima, {"exact": exact})
    else:
        with closing(_Bare(engine)) as bare:
            ways: dict[str, Callable[[Plan], float]] = {
                "exact": exact,
                "exact, service": lambda plan: _serve(service, plan, "exact"),
                "exact, bare client": lambda plan: bare.search(plan, None),
                "exact, bare client, ties by id": lambda plan: bare.search(plan, None, ties=True),
                "ann": ann,
                "ann, service": lambda plan: _serve(service, plan, "ann"),
                "ann, bare client": lambda plan: bare.search(plan, depth(plan, state.shards)),
                "ann, bare client, attributed": lambda plan: bare.search(
                    plan, depth(plan, state.shards), attributed=True
                ),
            }
            timings |= _time(maxima, ways)
        timings |= _time(plans, {"hybrid, exact": exact, "hybrid, ann": ann})
    found: JSON = {"ms": {name: timing.summary() for name, timing in timings.items()}}
    found["ratios"] = _ratios(timings)
    if state.approximate:
        found["recall"] = {
            "max@10": _recall(searcher, maxima, 10),
            "max@100": _recall(searcher, maxima, 100),
            "hybrid@10": _recall(searcher, plans, 10),
            "max@10 of a tenth": _recall(searcher, [replace(plan, filter=TENTH) for plan in maxima], 10),
            "hybrid@10 of a tenth": _recall(searcher, [replace(plan, filter=TENTH) for plan in plans], 10),
        }
    return found


def _time(plans: Sequence[Plan], ways: Mapping[str, Callable[[Plan], float]]) -> dict[str, Timings]:
    """All ways with all plans but the first, which warm up. A way returns the engine's own milliseconds."""
    timings = {name: Timings() for name in ways}
    drawn = np.random.default_rng(0)
    for position, plan in enumerate(plans):
        for name in drawn.permutation(list(ways)):
            started = time.perf_counter()
            engine_ms = ways[name](plan)
            if position >= WARM_UP:
                timings[name].client.append((time.perf_counter() - started) * 1000)
                timings[name].engine.append(engine_ms)
    return timings


def _ratios(timings: Mapping[str, Timings]) -> JSON:
    def median(name: str) -> float:
        return float(np.median(timings[name].client))

    found = {"exact / numpy": median("exact") / median("numpy")}
    if "ann" in timings:
        found |= {
            "ann / exact": median("ann") / median("exact"),
            "hybrid, ann / exact": median("hybrid, ann") / median("hybrid, exact"),
            "exact minus bare, ms": median("exact") - median("exact, bare client"),
            "exact minus bare with ties, ms": median("exact") - median("exact, bare client, ties by id"),
            "exact, service minus bare, ms": median("exact, service") - median("exact, bare client"),
            "ann minus bare, ms": median("ann") - median("ann, bare client"),
            "ann, service minus bare, ms": median("ann, service") - median("ann, bare client"),
            "attribution, ms": median("ann, bare client, attributed") - median("ann, bare client"),
        }
    return {name: round(value, 3) for name, value in found.items()}


def _numpy(plan: Plan, matrices: Mapping[str, Matrix]) -> float:
    """The products alone: no maximum, no order."""
    started = time.perf_counter()
    for vector in plan.vectors:
        matrices[vector.space.name] @ vector.vector
    return (time.perf_counter() - started) * 1000


def _serve(service: SearchService, plan: Plan, way: str) -> float:
    terms = [{"vector": v.vector.tolist(), "space": v.space.name} for v in plan.vectors]
    answer = service.search({"query": terms, "fusion": {"method": "max"}, "plan": way, "fields": []})
    return float(answer["engine_ms"])


def _recall(searcher: Searcher, plans: Iterable[Plan], size: int) -> float:
    """The mean share of the exact page's items that the approximate page has too."""
    shares = []
    shards = searcher.state().shards
    for plan in plans:
        page = replace(plan, size=size, count=0)
        exact = _ids(searcher.search(page))
        shares.append(len(exact & _ids(searcher.search(replace(page, ann=depth(page, shards))))) / len(exact))
    return round(float(np.mean(shares)), 4)


def _ids(page: Page) -> set[str]:
    return {hit.id for hit in page.hits}


class _Silent:
    """An encoder that understands no words: the benchmark brings its vectors."""

    def __init__(self, space: Space) -> None:
        self.spaces = (space,)
        self.provenance = {space.name: Provenance("bench", "", space.dims)}

    def encode_items(self, values: Sequence[Sequence[Any]], base: object) -> Encoded:
        return Encoded({self.spaces[0].name: [None] * len(values)})

    def encode_query(self, term: Term) -> Mapping[str, Vector]:
        return {}


class _Bare:
    """The shortest request by hand: the same script, and nothing counted, attributed or fetched."""

    def __init__(self, engine: EngineSettings) -> None:
        self._cluster = connect(engine)
        self._dialect = probe(self._cluster)[0]
        self._path = f"/{engine.index}/_search"

    def close(self) -> None:
        self._cluster.close()

    def search(self, plan: Plan, ann: Ann | None, *, attributed: bool = False, ties: bool = False) -> float:
        params: JSON = {v.space.name: v.vector for v in plan.vectors}
        fields = {v.space.name: f"{VECTOR_OBJECT}.{v.space.name}" for v in plan.vectors}
        cosines = [self._dialect.cosine(f"params.{name}", f"'{field}'") for name, field in fields.items()]
        inner: JSON = {"match_all": {}}
        if ann is not None:
            nearest = [
                self._dialect.nearest(f"{VECTOR_OBJECT}.{v.space.name}", v.vector, ann, None) for v in plan.vectors
            ]
            inner = {"bool": {"should": [{"constant_score": {"filter": n, "boost": 0.0}} for n in nearest]}}
        source = f"Math.max({cosines[0]}, Math.max({cosines[1]}, {cosines[2]})) + 1.0"
        body: JSON = {
            "query": {"script_score": {"query": inner, "script": {"source": source, "params": params}}},
            "size": plan.size,
            "_source": False,
            "track_total_hits": False,
        }
        if ties:
            body["sort"] = [{"_score": "desc"}, {"id": "asc"}]
        if attributed:
            named = [
                {
                    "script_score": {
                        "query": {"match_all": {}},
                        "script": {"source": f"{cosine} + 1.0", "params": params},
                        "_name": v.space.name,
                    }
                }
                for v, cosine in zip(plan.vectors, cosines, strict=True)
            ]
            body["post_filter"] = {"bool": {"must": [{"match_all": {}}], "should": named}}
        answer = self._cluster.request(
            "POST", self._path, params={"include_named_queries_score": "true"} if attributed else None, body=body
        )
        return float(answer["took"])

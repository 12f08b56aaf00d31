"""The clusters' searcher: one request finds, attributes and counts; a rank fusion needs a second one."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import orjson

from es_mappings.cluster import NO_ANSWER, connect, probe, refusal
from es_mappings.dialects import Dialect
from es_mappings.errors import EngineError, EngineRefused, EngineUnavailable, IndexMissing, InvalidRequest, ItemNotFound
from es_mappings.mappings import tie_path
from es_mappings.provenance import Manifest, read_manifest
from es_mappings.schema import VECTOR_OBJECT, Schema
from es_mappings.settings import EngineSettings
from es_mappings.types import RRF_WINDOW, Filter, Page, Plan, StoredItem, Suggestion, Walk
from query_api.bodies.counts import count_body, read_counts
from query_api.bodies.filters import filter_clause
from query_api.bodies.script import shift
from query_api.bodies.search import ids_body, list_body, matching_body, search_body
from query_api.bodies.words import suggest_body
from query_api.rrf import fuse, list_plans
from query_api.searchers import IndexState
from query_api.searchers.answers import incomplete, read_hit, read_item, read_suggestions
from query_api.stages import stage

JSON = dict[str, Any]

logger = logging.getLogger(__name__)

NAMED_SCORES = {"include_named_queries_score": "true"}

TOO_MANY_CLAUSES = "maxClauseCount"
"""Lucene's limit on the terms of one query, 1024 or more by the node's heap: many words in many fields reach it."""

UNKNOWN_SNAPSHOT = frozenset(
    {"search_context_missing_exception", "illegal_argument_exception", "x_content_parse_exception"}
)
"""What engines call a snapshot that is over, that is not theirs, and that is no name at all."""

STATE_SECONDS = 30.0
"""How old the remembered mapping may be: calibration and provenance are read again after that."""

COMMON = 0.99
"""The share of items with a vector from which on an exception for each other one costs less than asking all.

Measured on Elasticsearch 9.4.3: 40 ns to ask, 1.5 µs for an exception, hence a share of 0.974 costs the same.
"""

SNAPSHOT_LIFE = "5m"
"""How long a walk may rest between two pages."""

ITEMS: JSON = {"_source": {"excludes": [VECTOR_OBJECT]}, "fields": [f"{VECTOR_OBJECT}.*"]}
"""What a search for whole items asks: `fields` gives the vectors in every version, `_source` no longer does from
Elasticsearch 9.2 on.
"""

SUGGESTED_HITS = 200
"""How many titles are looked at for suggestions; the same title counts once."""


@dataclass(frozen=True, slots=True)
class _Known:
    """What the cluster said of itself, and when (monotonic seconds).

    schema: with the index's layout. indices: the real names that have been seen behind the index's: walks go on when an
    alias has been moved.
    """

    dialect: Dialect
    schema: Schema
    state: IndexState
    indices: frozenset[str]
    asked: float


class ClusterSearcher:
    """Implements `query_api.searchers.Searcher` for Elasticsearch and OpenSearch."""

    def __init__(self, engine: EngineSettings, schema: Schema) -> None:
        self._index = engine.index
        self._schema = schema
        self._cluster = connect(engine)
        # The engine gives up first, so that there is a partial answer to show.
        self._timeout = f"{max(int(engine.timeout * 900), 1)}ms"
        self._patience = engine.timeout
        self._lock = threading.Lock()
        self._known: _Known | None = None

    def state(self) -> IndexState:
        return self._ask().state

    def check(self) -> None:
        self._known = self._asked()

    def close(self) -> None:
        self._cluster.close()

    def count(self, clause: Filter | None = None) -> int:
        schema = self._ask().schema
        found = self._count_search({"query": filter_clause(clause, schema)} if clause is not None else {})
        return int(found["hits"]["total"]["value"])

    def _count_search(self, asked: JSON) -> JSON:
        # A search without hits, since the engine keeps its answer until the index changes; `_count` it never keeps.
        body = {"size": 0, "track_total_hits": True, **asked}
        with self._refusals():
            found: JSON = self._cluster.request("POST", f"/{self._index}/_search", body=body)
        return found

    def item(self, identifier: str) -> StoredItem:
        items = self._items({"ids": {"values": [identifier]}}, 1)
        if not items:
            raise ItemNotFound(f"no item has the id {identifier!r}")
        return items[0]

    def sample(self, size: int, seed: int) -> list[StoredItem]:
        # The id decides beside the shard, which engines mix into the seed.
        tie = tie_path(self._ask().schema)
        drawn = {"random_score": {"seed": seed, "field": tie}, "boost_mode": "replace"}
        return self._items({"function_score": drawn}, size)

    def scan(self, batch: int) -> Iterator[list[StoredItem]]:
        known = self._ask()
        dialect = known.dialect
        view = {"id": self._open_snapshot(dialect), "keep_alive": SNAPSHOT_LIFE}
        asked: JSON = {**ITEMS, "size": batch, "sort": [tie_path(known.schema)], "track_total_hits": False}
        try:
            while True:
                with self._refusals():
                    answer = self._cluster.request("POST", "/_search", body={**asked, "pit": view})
                if lacking := incomplete([answer]):
                    raise EngineUnavailable(f"not all items can be read: {lacking}")
                hits = answer["hits"]["hits"]
                if not hits:
                    return
                yield [read_item(hit, self._schema) for hit in hits]
                view["id"] = answer.get("pit_id", view["id"])
                asked["search_after"] = hits[-1]["sort"]
        finally:
            self._close_snapshot(view["id"], dialect)

    def suggest(self, text: str, size: int) -> list[Suggestion]:
        if not text.strip() or not self._schema.suggest:
            return []
        schema = self._ask().schema
        body = suggest_body(text, SUGGESTED_HITS, schema)
        with self._refusals():
            answer = self._cluster.request("POST", f"/{self._index}/_search", body=body)
        return read_suggestions(answer["hits"]["hits"], text, size, schema)

    def explain(self, plan: Plan) -> JSON:
        known = self._ask()
        dialect, schema = known.dialect, known.schema
        counts = count_body(plan, schema)
        if plan.fusion.method == "rrf":
            asked: JSON = {
                "lists": {
                    name: self._shown(list_body(listed, schema, dialect)) for name, listed in list_plans(plan).items()
                },
                **self._shown(ids_body(plan, ["(the ids of the page)"], schema, dialect)),
            }
        elif (matching := matching_body(plan, schema, dialect)) is not None:
            asked = {"words": self._shown(matching), **self._shown(search_body(plan, schema, dialect))}
        else:
            asked = self._shown(search_body(plan, schema, dialect))
        return asked | ({"counts": self._shown(counts)} if counts else {})

    def search(self, plan: Plan) -> Page:
        known = self._ask()
        if plan.walk is None:
            return self._page(plan, known)
        snapshot = plan.walk.snapshot or self._open_snapshot(known.dialect)
        with self._expiry():
            page = self._page(replace(plan, walk=Walk(snapshot, plan.walk.after)), known)
        if page.next is None:
            self._close_snapshot(snapshot, known.dialect)
        return page

    # --- what the index is like

    def _ask(self) -> _Known:
        """What is known of the cluster. When that is old, one thread asks again and the others go on with it."""
        known = self._known
        if known is not None and time.monotonic() - known.asked < STATE_SECONDS:
            return known
        # Who knows nothing yet waits for who asks, and not for one after the other to ask in vain.
        if not self._lock.acquire(timeout=self._patience if known is None else 0):
            if known is None:
                raise EngineUnavailable(NO_ANSWER)
            return known
        try:
            if self._known is known:
                self._known = known = self._asked()
        finally:
            self._lock.release()
        return known or self._ask()

    def _asked(self) -> _Known:
        dialect, name = probe(self._cluster)
        with self._refusals():
            answer = self._cluster.request("GET", f"/{self._index}/_mapping")
        manifests = [
            read_manifest(self._schema, found["mappings"].get("_meta", {}), index) for index, found in answer.items()
        ]
        state = self._state(dialect, name, manifests[0])
        schema = replace(self._schema, layout=state.manifest.layout)
        seen = self._known.indices if self._known is not None else frozenset()
        return _Known(dialect, schema, state, seen | frozenset(answer), time.monotonic())

    def _state(self, dialect: Dialect, engine: str, manifest: Manifest) -> IndexState:
        present = {s.name: {"filter": {"exists": {"field": f"{VECTOR_OBJECT}.{s.name}"}}} for s in self._schema.spaces}
        found = self._count_search({"aggs": present} if present else {})
        documents = int(found["hits"]["total"]["value"])
        counts = {name: aggregation["doc_count"] for name, aggregation in found.get("aggregations", {}).items()}
        common = frozenset(space for space, count in counts.items() if count >= COMMON * documents)
        shards = max(int(found["_shards"]["total"]), 1)
        # Found once, not for each query: it takes a digest of all centres.
        valid = manifest.valid_calibration(self._schema)
        return IndexState(engine, documents, True, manifest, common, shards, dialect.exact_work, valid)

    def _items(self, query: JSON, size: int) -> list[StoredItem]:
        self._ask()
        body = {**ITEMS, "query": query, "size": size}
        with self._refusals():
            answer = self._cluster.request("POST", f"/{self._index}/_search", body=body)
        return [read_item(hit, self._schema) for hit in answer["hits"]["hits"]]

    # --- one page

    def _page(self, plan: Plan, known: _Known) -> Page:
        return self._fused(plan, known) if plan.fusion.method == "rrf" else self._found(plan, known)

    def _found(self, plan: Plan, known: _Known) -> Page:
        counts = count_body(plan, known.schema)
        matching = matching_body(plan, known.schema, known.dialect) if plan.size else None
        before: list[JSON] = []
        if matching is not None:
            before = self._send([b for b in (matching, counts) if b is not None], plan, known, named=False)
        least = before[0]["hits"]["hits"][0]["_score"] if before and before[0]["hits"]["hits"] else None
        # One hit more tells whether the walk goes on.
        asked = replace(plan, size=plan.size + 1) if plan.walk is not None else plan
        body = search_body(asked, known.schema, known.dialect, least) if plan.size else None
        bodies = [b for b in (body, None if before else counts) if b is not None]
        if body is not None and plan.walk is not None and plan.walk.after is not None:
            body["search_after"] = list(plan.walk.after)
        answers = self._send(bodies, plan, known, named=body is not None)
        total, facets = read_counts((before or answers)[-1], plan, known.schema) if counts else (None, ())
        found = answers[0] if body is not None else None
        hits = found["hits"]["hits"] if found else []
        more = len(hits) > plan.size
        hits = hits[: plan.size]
        return Page(
            hits=tuple(read_hit(hit, shift(plan), known.schema) for hit in hits),
            total=total,
            facets=facets,
            engine_ms=float(sum(max(a["took"] for a in together) for together in (before, answers) if together)),
            scored=found["hits"]["total"]["value"] if found else 0,
            partial=incomplete([*before, *answers]),
            next=self._next(plan, found, tuple(hits[-1]["sort"])) if found and more else None,
        )

    def _fused(self, plan: Plan, known: _Known) -> Page:
        """The lists and the counts in one request, the fused page's items in a second."""
        listed = list_plans(plan) if plan.size else {}
        counts = count_body(plan, known.schema)
        bodies = [list_body(p, known.schema, known.dialect) for p in listed.values()]
        answers = self._send([*bodies, *([counts] if counts else [])], plan, known, named=False)
        total, facets = read_counts(answers[-1], plan, known.schema) if counts else (None, ())
        found = answers[: len(bodies)]
        fused = fuse(dict(zip(listed, map(_ids, found), strict=True)), plan)
        offset = plan.walk.after[0] if plan.walk and plan.walk.after else plan.offset
        end = min(offset + plan.size, RRF_WINDOW)
        ranked = fused[offset:end]
        hits = {}
        if ranked:
            body = ids_body(plan, [r.id for r in ranked], known.schema, known.dialect)
            with stage("attribution"):
                (answer,) = self._send([body], plan, known, named=True)
            answers = [*answers, answer]
            hits = {hit["_id"]: read_hit(hit, 0.0, known.schema) for hit in answer["hits"]["hits"]}
        return Page(
            # An item that was deleted between the two requests is no hit any more.
            hits=tuple(replace(hits[r.id], score=r.score, ranks=r.ranks) for r in ranked if r.id in hits),
            total=total,
            facets=facets,
            engine_ms=float(sum(answer["took"] for answer in answers)),
            scored=sum(answer["hits"]["total"]["value"] for answer in found),
            partial=incomplete(answers),
            next=self._next(plan, answers[0], (end,)) if end < min(len(fused), RRF_WINDOW) else None,
        )

    def _next(self, plan: Plan, answer: Mapping[str, Any], after: tuple[Any, ...]) -> Walk | None:
        return None if plan.walk is None else Walk(answer.get("pit_id", plan.walk.snapshot), after)

    def _send(self, bodies: Sequence[JSON], plan: Plan, known: _Known, *, named: bool) -> list[JSON]:
        """The answers to search bodies, in one request where the engine is able to.

        named: whether the scores of named queries are wanted. Raises what the engine's refusals mean.
        """
        if not bodies:  # neither hits nor counts are wanted
            return []
        view: JSON = {"timeout": self._timeout}
        if plan.walk is not None:
            view["pit"] = {"id": plan.walk.snapshot, "keep_alive": SNAPSHOT_LIFE}
        bodies = [{**body, **view} for body in bodies]
        params = NAMED_SCORES if named else None
        with self._refusals():
            if len(bodies) == 1 or (named and not known.dialect.scores_names_in_msearch):
                path = "/_search" if plan.walk else f"/{self._index}/_search"
                answers = [self._cluster.request("POST", path, params=params, body=body) for body in bodies]
            else:
                header = {} if plan.walk else {"index": self._index}
                lines = [line for body in bodies for line in (header, body)]
                answers = self._cluster.request("POST", "/_msearch", params=params, body=lines)["responses"]
                for answer in answers:
                    if "error" in answer:
                        raise refusal(answer["status"], answer)
        self._refuse_strangers(answers, plan, known)
        return answers

    def _refuse_strangers(self, answers: Sequence[JSON], plan: Plan, known: _Known) -> None:
        """A cursor comes from outside, and a snapshot's name in it may have been forged to read another index."""
        if plan.walk is None:
            return
        met = {hit["_index"] for answer in answers for hit in answer["hits"]["hits"]}
        if met - known.indices:
            # An alias may have been moved since the cluster was asked.
            self._known = known = self._asked()
        if met - known.indices or any(not answer["_shards"]["total"] for answer in answers):
            raise _expired()

    # --- snapshots

    def _open_snapshot(self, dialect: Dialect) -> str:
        with self._refusals():
            answer = self._cluster.request(
                "POST", f"/{self._index}/{dialect.snapshot.open}", params={"keep_alive": SNAPSHOT_LIFE}
            )
        return str(answer[dialect.snapshot.id])

    def _close_snapshot(self, snapshot: str, dialect: Dialect) -> None:
        try:
            self._cluster.request("DELETE", dialect.snapshot.close, body=dialect.snapshot.closes(snapshot))
        except EngineError:
            # The page is found, and a snapshot that stays open ends by itself; another reader may have closed it.
            logger.info("a snapshot was not closed", exc_info=True)

    # --- refusals

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        try:
            yield
        except EngineRefused as error:
            if error.kind == "index_not_found_exception":
                raise IndexMissing(
                    f"index {self._index!r} does not exist: run maxcos ingest (or maxcos demo) first"
                ) from error
            if TOO_MANY_CLAUSES in error.reason:
                raise InvalidRequest.at(
                    "query", "has more words than this engine looks for at once: shorten it"
                ) from error
            raise

    @contextmanager
    def _expiry(self) -> Iterator[None]:
        """Inside a walk, a snapshot that the engine does not know is the cursor's fault."""
        try:
            yield
        except EngineRefused as error:
            if error.kind in UNKNOWN_SNAPSHOT:
                raise _expired() from error
            raise

    def _shown(self, body: JSON) -> JSON:
        path = f"/{self._index}/_search?include_named_queries_score=true"
        sent = orjson.dumps({**body, "timeout": self._timeout}, option=orjson.OPT_SERIALIZE_NUMPY)
        return {"method": "POST", "path": path, "body": orjson.loads(sent)}


def _ids(answer: JSON) -> list[str]:
    return [hit["_id"] for hit in answer["hits"]["hits"]]


def _expired() -> InvalidRequest:
    return InvalidRequest.at("after", 'has expired: begin again with "*"')

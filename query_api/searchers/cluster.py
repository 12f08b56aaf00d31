"""The clusters' searcher: one request per plan, named queries for the attribution of every hit."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from elasticsearch import ApiError, NotFoundError, TransportError

from es_mappings import provenance
from es_mappings.dialects import Dialect
from es_mappings.errors import EngineError, EngineUnavailable, IndexMissing, InvalidRequest, ItemNotFound
from es_mappings.probe import connect, probe
from es_mappings.schema import VECTOR_OBJECT, Schema
from es_mappings.settings import EngineSettings
from es_mappings.types import Hit, Page, Plan, StoredItem
from query_api import compile, highlight

TOO_MANY_CLAUSES = "too many nested clauses"
"""Lucene's limit on the terms of one query, 1024 or more by the node's heap: many words in many fields reach it."""

OVERLOADED = frozenset({408, 429, 502, 503, 504})


class ClusterSearcher:
    """Implements `query_api.searchers.Searcher` for Elasticsearch."""

    def __init__(self, engine: EngineSettings, schema: Schema) -> None:
        self._index = engine.index
        self._schema = schema
        self._client = connect(engine)
        self._lock = threading.Lock()
        self._dialect: Dialect | None = None

    def search(self, plan: Plan) -> Page:
        body = compile.search_body(plan, self._schema, self._checked())
        with self._errors():
            answer = self._client.perform_request(
                "POST",
                f"/{self._index}/_search",
                params={"include_named_queries_score": "true"},
                headers={"accept": "application/json", "content-type": "application/json"},
                body=body,
            ).body
        if answer["timed_out"] or answer["_shards"]["failed"]:
            raise EngineUnavailable(f"the engine answered in part only: {answer['_shards']}")
        return _page(answer, plan, self._schema)

    def item(self, identifier: str) -> StoredItem:
        self._checked()
        # `fields` gives the vectors in every version; `_source` no longer does from 9.2 on.
        body = {
            "query": {"ids": {"values": [identifier]}},
            "size": 1,
            "_source": {"excludes": [VECTOR_OBJECT]},
            "fields": [f"{VECTOR_OBJECT}.*"],
        }
        with self._errors():
            hits = self._client.search(index=self._index, body=body)["hits"]["hits"]
        if not hits:
            raise ItemNotFound(f"no item has the id {identifier!r}")
        fields = hits[0].get("fields", {})
        vectors = {
            space.name: np.asarray(fields[name], dtype=np.float32)
            for space in self._schema.spaces
            if (name := f"{VECTOR_OBJECT}.{space.name}") in fields
        }
        return StoredItem(identifier, hits[0]["_source"], vectors)

    def explain(self, plan: Plan) -> dict[str, Any]:
        return {
            "method": "POST",
            "path": f"/{self._index}/_search?include_named_queries_score=true",
            "body": compile.search_body(plan, self._schema, self._checked()),
        }

    def check(self) -> None:
        with self._lock:
            self._dialect = None
        self._checked()

    def count(self) -> int:
        with self._errors():
            counted: int = self._client.count(index=self._index)["count"]
        return counted

    def close(self) -> None:
        self._client.close()

    def _checked(self) -> Dialect:
        """The cluster's dialect, after its index was found to fit the settings; both are asked once."""
        with self._lock:
            if self._dialect is None:
                dialect = probe(self._client)
                with self._errors():
                    answer = self._client.indices.get_mapping(index=self._index)
                (mapping,) = [found["mappings"] for found in answer.values()]
                provenance.check(self._schema, mapping.get("_meta", {}), self._index)
                self._dialect = dialect
            return self._dialect

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except NotFoundError as error:
            raise IndexMissing(
                f"index {self._index!r} does not exist: run maxcos ingest (or maxcos demo) first"
            ) from error
        except ApiError as error:
            reason = _reason(error)
            if TOO_MANY_CLAUSES in reason:
                raise InvalidRequest.at(
                    "query", "has more words than this engine looks for at once: shorten it"
                ) from error
            kind = EngineUnavailable if error.status_code in OVERLOADED else EngineError
            raise kind(f"the engine answers {error.status_code}: {reason}") from error
        except TransportError as error:
            raise EngineUnavailable(f"the engine cannot be reached: {error}") from error


def _reason(error: ApiError) -> str:
    """The root cause in the engine's words; the message alone says no more than that a phase failed."""
    body = error.body if isinstance(error.body, dict) else {}
    details = body.get("error")
    causes = details.get("root_cause", []) if isinstance(details, dict) else []
    return "; ".join(str(cause.get("reason")) for cause in causes) or str(error.message)


def _page(answer: Mapping[str, Any], plan: Plan, schema: Schema) -> Page:
    offset = compile.shift(plan)
    facets = {
        name: {_key(bucket): bucket["doc_count"] for bucket in found["buckets"]}
        for name, found in answer.get("aggregations", {}).items()
    }
    hits = tuple(_hit(hit, offset, schema) for hit in answer["hits"]["hits"])
    return Page(hits, answer["hits"]["total"]["value"], facets, float(answer["took"]))


def _key(bucket: Mapping[str, Any]) -> str:
    return str(bucket.get("key_as_string", bucket["key"]))


def _hit(hit: Mapping[str, Any], offset: float, schema: Schema) -> Hit:
    named = hit.get("matched_queries", {})
    cosines = {
        name.removeprefix(compile.COSINE_PREFIX): score - 1.0
        for name, score in named.items()
        if name.startswith(compile.COSINE_PREFIX)
    }
    return Hit(
        id=hit["_id"],
        score=hit["_score"] - offset,
        cosines=cosines,
        lexical=named.get(compile.LEXICAL_NAME),
        source=hit.get("_source", {}),
        highlight=_merge_languages(hit.get("highlight", {}), schema),
    )


def _merge_languages(found: Mapping[str, list[str]], schema: Schema) -> dict[str, list[str]]:
    """One highlight per field: that of the language's analysis that marked most of it."""
    merged: dict[str, list[str]] = {}
    for field in schema.text:
        names = (field.name, *(f"{field.name}.{language}" for language in schema.languages))
        ways = [found[name] for name in names if name in found]
        if ways:
            best = max(ways, key=lambda texts: sum(map(highlight.marked_length, texts)))
            merged[field.name] = [highlight.to_html(text) for text in best]
    return merged

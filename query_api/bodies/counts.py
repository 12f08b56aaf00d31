"""The body that counts: the total and the facets, of the documents that the filter leaves.

It is a search of its own, without hits and without vectors: the same for exact and approximate search, and engines
keep its answer in their request cache until the index changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from es_mappings.mappings import filter_path
from es_mappings.schema import Schema
from es_mappings.types import FACET_SIZE, AllOf, Bucket, Facet, Filter, Plan, Total
from query_api.bodies.filters import demands, excluded, filter_clause
from query_api.bodies.words import matches

JSON = dict[str, Any]

TOTAL, FACET, COUNTED = "total", "facet.", "counted"
SHARD_SIZE = 1000
"""Values that each shard reports, so that the sum over shards is right for all but huge vocabularies."""


def count_body(plan: Plan, schema: Schema) -> JSON | None:
    """The body of the counting search; None when nothing has to be counted.

    What the filter demands of a facet's own field is left out of the query, and put before every other count.
    """
    if plan.count == 0 and not plan.facets:
        return None
    faceted = {facet.field for facet in plan.facets}
    clauses = demands(plan.filter)
    common = [clause for field, clause in clauses if field not in faceted]
    own = [(field, clause) for field, clause in clauses if field in faceted]
    body: JSON = {"size": 0, "query": _query(plan, common, schema), "track_total_hits": _bound(plan)}
    aggregations = {}
    for facet in plan.facets:
        others = [clause for field, clause in own if field != facet.field]
        aggregations[FACET + facet.field] = _restricted(others, {COUNTED: _facet(facet, schema)}, schema)
    if own and plan.count != 0:
        body["track_total_hits"] = False
        aggregations[TOTAL] = _restricted([clause for _, clause in own], {}, schema)
    return body | ({"aggs": aggregations} if aggregations else {})


def _bound(plan: Plan) -> bool | int:
    # One more than is asked for: at the bound itself an engine may answer either way.
    return plan.count + 1 if plan.count else plan.count is None


def _query(plan: Plan, clauses: list[Filter], schema: Schema) -> JSON:
    kept = [filter_clause(clause, schema) for clause in clauses]
    words = matches(plan, schema) if plan.fusion.method == "lexical" else None
    if words is not None:
        kept.insert(0, words)
    query: JSON = {"filter": kept} if kept else {}
    if plan.exclude:
        query["must_not"] = [excluded(plan.exclude)]
    return {"bool": query} if query else {"match_all": {}}


def _restricted(clauses: list[Filter], aggregations: JSON, schema: Schema) -> JSON:
    clause = filter_clause(AllOf(tuple(clauses)), schema) if clauses else {"match_all": {}}
    return {"filter": clause, **({"aggs": aggregations} if aggregations else {})}


def _facet(facet: Facet, schema: Schema) -> JSON:
    path = filter_path(schema, facet.field)
    if not facet.ranges:
        return {"terms": {"field": path, "size": FACET_SIZE, "shard_size": SHARD_SIZE}}
    # The keys are positions: engines answer in the order of the bounds.
    ranges = [
        {"key": str(position)} | {n: v for n, v in (("from", start), ("to", end)) if v is not None}
        for position, (start, end) in enumerate(facet.ranges)
    ]
    field = schema.filter_field(facet.field)
    if field is not None and field.type == "date":
        return {"date_range": {"field": path, "format": "epoch_millis", "ranges": ranges}}
    return {"range": {"field": path, "ranges": ranges}}


def read_counts(
    answer: Mapping[str, Any], plan: Plan, schema: Schema
) -> tuple[Total | None, tuple[tuple[Bucket, ...], ...]]:
    """The total and the facets in the answer to `count_body`."""
    found = answer.get("aggregations", {})
    facets = tuple(_buckets(f, found[FACET + f.field][COUNTED]["buckets"], schema) for f in plan.facets)
    if plan.count == 0:
        return None, facets
    value = found[TOTAL]["doc_count"] if TOTAL in found else answer["hits"]["total"]["value"]
    return (Total(value) if plan.count is None or value <= plan.count else Total(plan.count, False)), facets


def _buckets(facet: Facet, buckets: list[JSON], schema: Schema) -> tuple[Bucket, ...]:
    if facet.ranges:
        counts = {int(bucket["key"]): bucket["doc_count"] for bucket in buckets}
        return tuple(Bucket(counts[i], start=start, end=end) for i, (start, end) in enumerate(facet.ranges))
    return tuple(Bucket(bucket["doc_count"], bucket.get("key_as_string", bucket["key"])) for bucket in buckets)

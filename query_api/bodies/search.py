"""Plan -> the body that finds, as pure functions; `tests/golden/queries` shows every body that can be sent.

The query is a `script_score` over the candidates: all documents that the filter leaves (exact), or the nearest ones of
each space and those whose words match best (approximate). The script takes the maximum of the calibrated, weighted
cosines. The same request carries optional named queries. They exclude nothing, cost next to nothing while documents are
searched, and report each space's exact cosine and the BM25 score when the hits of the page are fetched
(`include_named_queries_score`). Where the script has no use for BM25 they stand inside the query it scores, since an
engine drops optional clauses whose score nobody needs; else in a post filter, beside a match_all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from es_mappings.dialects import Dialect
from es_mappings.mappings import filter_path, tie_path
from es_mappings.schema import VECTOR_OBJECT, Schema
from es_mappings.types import SCORE, Ann, Fusion, Plan, Sort
from query_api.bodies.filters import any_of, restrictions
from query_api.bodies.script import script, vector_field
from query_api.bodies.words import marks, matches

COSINE_PREFIX = "cosine."
LEXICAL_NAME = "lexical"

JSON = dict[str, Any]


def search_body(plan: Plan, schema: Schema, dialect: Dialect, least: float | None = None) -> JSON:
    """The body of `POST /INDEX/_search?include_named_queries_score=true` for a plan of the fusions but rrf.

    least: the BM25 score from which on a match makes a document a candidate of approximate search; None: any match.
    """
    body: JSON = {"query": _query(plan, schema, dialect, least), "sort": _order(plan, schema), "size": plan.size}
    if plan.offset:
        body["from"] = plan.offset
    if plan.sort and all(sort.field != SCORE for sort in plan.sort):
        body["track_scores"] = True
    # Counts the documents that were scored: cheap beside scoring them.
    body["track_total_hits"] = True
    named = _attribution(plan, schema, dialect)
    if plan.fusion.method == "max":
        candidates = body["query"]["script_score"]["query"]
        body["query"]["script_score"]["query"] = {"bool": {"must": [candidates], "should": named}}
    else:
        body["post_filter"] = {"bool": {"must": [{"match_all": {}}], "should": named}}
    return body | _shown(plan, schema)


def ids_body(plan: Plan, ids: Sequence[str], schema: Schema, dialect: Dialect) -> JSON:
    """The body that fetches known items with all that a hit of the plan shows; their order is the caller's."""
    query = {"bool": {"filter": [{"ids": {"values": list(ids)}}], "should": _attribution(plan, schema, dialect)}}
    return {"query": query, "size": len(ids)} | _shown(plan, schema)


def matching_body(plan: Plan, schema: Schema, dialect: Dialect) -> JSON | None:
    """The body whose one hit, if there is one, is the last whose words match well enough; None where any match is.

    It is the first of two searches of an approximate hybrid: words that are everywhere would make nearly every document
    a candidate. Engines find this one hit without a look at most of the others, as nobody counts them.
    """
    if plan.ann is None or plan.fusion.method != "hybrid" or plan.words is None:
        return None
    alone = replace(plan, vectors=(), fusion=Fusion("lexical"), ann=None)
    return {
        "query": _query(alone, schema, dialect),
        "from": plan.ann.words - 1,
        "size": 1,
        "track_total_hits": False,
        "_source": False,
    }


def list_body(plan: Plan, schema: Schema, dialect: Dialect) -> JSON:
    """The body that fetches the ids of the best items and nothing else: one list of a rank fusion."""
    return {
        "query": _query(plan, schema, dialect),
        "sort": _order(plan, schema),
        "size": plan.size,
        "track_total_hits": True,
        "_source": False,
    }


def _shown(plan: Plan, schema: Schema) -> JSON:
    """What is told of each hit besides its attribution: source and highlights."""
    if plan.fields == ():
        body: JSON = {"_source": False}
    else:
        includes = {"includes": list(plan.fields)} if plan.fields is not None else {}
        body = {"_source": {"excludes": [VECTOR_OBJECT], **includes}}
    if plan.highlight and plan.words:
        body["highlight"] = marks(plan.words, schema)
    return body


def _query(plan: Plan, schema: Schema, dialect: Dialect, least: float | None = None) -> JSON:
    if plan.fusion.method == "lexical":
        return {"bool": {"must": [matches(plan, schema)], **restrictions(plan, schema)}}
    return {"script_score": {"query": _candidates(plan, schema, dialect, least), "script": script(plan, dialect)}}


def _candidates(plan: Plan, schema: Schema, dialect: Dialect, least: float | None) -> JSON:
    """The documents to score: those with a queried modality, or the nearest of them, and in a hybrid those with a word.

    Their `_score` in the script is the BM25 score alone, 0 where no word matches.
    """
    kept = restrictions(plan, schema)
    words = matches(plan, schema) if plan.fusion.method == "hybrid" else None
    if plan.ann is None:
        reached: list[JSON] = [{"exists": {"field": vector_field(v)}} for v in plan.vectors]
    else:
        reached = _nearest(plan, plan.ann, kept, dialect)
    if words is not None and least is not None:
        reached.append({"function_score": {"query": words, "min_score": least}})
    if words is None or least is not None:
        scored: JSON = {} if words is None else {"should": [words]}
        return {"bool": {**kept, **scored, "filter": [*kept.get("filter", []), any_of(reached)]}}
    # A clause of constant score 0 lets a document in without adding to its BM25 score.
    admitted = [{"constant_score": {"filter": clause, "boost": 0.0}} for clause in reached]
    return {"bool": {"should": [words, *admitted], "minimum_should_match": 1, **kept}}


def _nearest(plan: Plan, ann: Ann, kept: JSON, dialect: Dialect) -> list[JSON]:
    """The filter belongs inside as well: outside alone it would leave fewer than k."""
    clause = {"bool": kept} if kept else None
    return [dialect.nearest(vector_field(v), v.vector, ann, clause) for v in plan.vectors]


def _order(plan: Plan, schema: Schema) -> list[JSON]:
    """The plan's order, ties by id."""
    return [*(_sort(sort, schema) for sort in plan.sort or (Sort(SCORE, True),)), {tie_path(schema): "asc"}]


def _sort(sort: Sort, schema: Schema) -> JSON:
    direction = "desc" if sort.descending else "asc"
    if sort.field == SCORE:
        return {SCORE: direction}
    return {filter_path(schema, sort.field): {"order": direction, "missing": "_last"}}


def _attribution(plan: Plan, schema: Schema, dialect: Dialect) -> list[JSON]:
    named: list[JSON] = [
        {
            "script_score": {
                "query": {"exists": {"field": vector_field(v)}},
                # One text for all fields (each clause runs its own copy): engines compile only so many a minute.
                "script": {
                    "lang": "painless",
                    "source": f"Math.max(0.0, {dialect.cosine('params.q', 'params.field')} + 1.0)",
                    "params": {"q": v.vector, "field": vector_field(v)},
                },
                "_name": COSINE_PREFIX + v.space.name,
            }
        }
        for v in plan.vectors
    ]
    words = matches(plan, schema)
    if words is not None:
        words["multi_match"]["_name"] = LEXICAL_NAME
        named.append(words)
    return named

"""Plan -> request body of a cluster, as pure functions; `tests/golden/queries` shows every body that can be sent.

One request does it all. The query is a `script_score` over the documents that the filter leaves; the script takes the
maximum of the weighted cosines. The same request carries named queries in its post filter, optional ones beside a
match_all: they exclude nothing, cost nothing while documents are searched, and report each modality's exact cosine and
the BM25 score when the hits of the page are fetched (`include_named_queries_score`).
"""

from __future__ import annotations

from typing import Any

from es_mappings.dialects import Dialect
from es_mappings.mappings import filter_path, text_paths
from es_mappings.schema import VECTOR_OBJECT, Schema
from es_mappings.types import AllOf, AnyOf, Filter, Fusion, Not, OneOf, Plan, QueryVector, Range
from query_api import highlight

FACET_SIZE = 50
COSINE_PREFIX = "cosine."
LEXICAL_NAME = "lexical"

JSON = dict[str, Any]


def search_body(plan: Plan, schema: Schema, dialect: Dialect) -> JSON:
    """The body of `POST /INDEX/_search?include_named_queries_score=true` for a plan."""
    body: JSON = {
        "query": _scored(plan, schema, dialect),
        "post_filter": _attribution(plan, schema, dialect),
        "sort": [{"_score": "desc"}, {"id": "asc"}],
        "from": plan.offset,
        "size": plan.size,
        "track_total_hits": True,
        "_source": {"excludes": [VECTOR_OBJECT]},
    }
    if plan.fields is not None:
        body["_source"]["includes"] = list(plan.fields)
    if plan.facets:
        body["aggs"] = {
            name: {"terms": {"field": filter_path(schema, name), "size": FACET_SIZE}} for name in plan.facets
        }
    if plan.highlight and plan.words:
        body["highlight"] = _highlight(plan.words, schema)
    return body


def shift(plan: Plan) -> float:
    """What the script adds, so that no score is negative (engines refuse those), and a reader takes off again."""
    return 0.0 if plan.fusion.method == "lexical" else max((v.weight for v in plan.vectors), default=0.0)


def vector_field(vector: QueryVector) -> str:
    return f"{VECTOR_OBJECT}.{vector.space.name}"


def _scored(plan: Plan, schema: Schema, dialect: Dialect) -> JSON:
    matches = _matches(plan, schema)
    if plan.fusion.method == "lexical":
        return {"bool": {"must": [matches], **_restrictions(plan, schema)}}
    return {"script_score": {"query": _candidates(plan, schema, matches), "script": _script(plan, dialect)}}


def _candidates(plan: Plan, schema: Schema, matches: JSON | None) -> JSON:
    """The documents to score: those with a queried modality or, in a hybrid, a word of the query.

    Their `_score` in the script is the BM25 score alone, 0 where no word matches.
    """
    reached = [{"exists": {"field": vector_field(v)}} for v in plan.vectors]
    restrictions = _restrictions(plan, schema)
    if plan.fusion.method == "max" or matches is None:
        restrictions["filter"] = [*restrictions.get("filter", []), _any(reached)]
        return {"bool": restrictions}
    # A clause of constant score 0 lets a document in without adding to its BM25 score.
    admitted = [{"constant_score": {"filter": clause, "boost": 0.0}} for clause in reached]
    return {"bool": {"should": [matches, *admitted], "minimum_should_match": 1, **restrictions}}


def _restrictions(plan: Plan, schema: Schema) -> JSON:
    clauses: JSON = {}
    if plan.filter is not None:
        clauses["filter"] = [filter_clause(plan.filter, schema)]
    if plan.exclude:
        clauses["must_not"] = [{"ids": {"values": list(plan.exclude)}}]
    return clauses


def _any(clauses: list[JSON]) -> JSON:
    return clauses[0] if len(clauses) == 1 else {"bool": {"should": clauses, "minimum_should_match": 1}}


def _matches(plan: Plan, schema: Schema) -> JSON | None:
    if plan.words is None or not schema.text:
        return None
    return {
        "multi_match": {"query": plan.words, "fields": text_paths(schema), "type": "best_fields", "tie_breaker": 0.3}
    }


def _script(plan: Plan, dialect: Dialect) -> JSON:
    """One unrolled block per space: a call site of cosineSimilarity binds its field once, so a loop would be wrong.

    All numbers are params, so the text of the script depends only on which spaces are asked and is compiled once.
    """
    lines = ["double best = -params.shift;"]
    hybrid = plan.fusion.method == "hybrid"
    if hybrid:
        lines.append("boolean seen = false;")
    for vector in plan.vectors:
        name, path = vector.space.name, vector_field(vector)
        seen = "seen = true; " if hybrid else ""
        cosine = dialect.cosine(f"q_{name}", path)
        lines.append(f"if (doc['{path}'].size() != 0) {{ {seen}best = Math.max(best, params.w_{name} * {cosine}); }}")
    if hybrid:
        lines.append("if (!seen) { best = 0.0; }")
        lines.append("return best + params.shift + params.w_lexical * _score / (_score + params.saturation);")
    else:
        lines.append("return best + params.shift;")
    return {"lang": "painless", "source": "\n".join(lines), "params": _params(plan, plan.fusion)}


def _params(plan: Plan, fusion: Fusion) -> JSON:
    params: JSON = {"shift": shift(plan)}
    for vector in plan.vectors:
        params[f"q_{vector.space.name}"] = vector.vector.tolist()
        params[f"w_{vector.space.name}"] = vector.weight
    if fusion.method == "hybrid":
        params |= {"w_lexical": fusion.lexical_weight, "saturation": fusion.saturation}
    return params


def _attribution(plan: Plan, schema: Schema, dialect: Dialect) -> JSON:
    named: list[JSON] = [
        {
            "script_score": {
                "query": {"exists": {"field": vector_field(v)}},
                "script": {
                    "lang": "painless",
                    "source": f"{dialect.cosine('q', vector_field(v))} + 1.0",
                    "params": {"q": v.vector.tolist()},
                },
                "_name": COSINE_PREFIX + v.space.name,
            }
        }
        for v in plan.vectors
    ]
    matches = _matches(plan, schema)
    if matches is not None:
        matches["multi_match"]["_name"] = LEXICAL_NAME
        named.append(matches)
    return {"bool": {"must": [{"match_all": {}}], "should": named}}


def _highlight(words: str, schema: Schema) -> JSON:
    # Each language's sub-field finds its own matches; `matched_fields` would need term vectors of one analysis.
    names = [path.partition("^")[0] for path in text_paths(schema)]
    return {
        "pre_tags": [highlight.OPEN],
        "post_tags": [highlight.CLOSE],
        "number_of_fragments": 0,
        "highlight_query": {"multi_match": {"query": words, "fields": names}},
        "fields": {name: {} for name in names},
    }


def filter_clause(clause: Filter, schema: Schema) -> JSON:
    """A filter in the engine's syntax."""
    match clause:
        case OneOf(field, values):
            kind = schema.filter_field(field)
            if kind is not None and kind.type == "date":
                return filter_clause(AnyOf(tuple(Range(field, gte=v, lte=v) for v in values)), schema)
            return {"terms": {filter_path(schema, field): list(values)}}
        case Range(field):
            bounds = {name: getattr(clause, name) for name in ("gt", "gte", "lt", "lte")}
            given: JSON = {name: bound for name, bound in bounds.items() if bound is not None}
            kind = schema.filter_field(field)
            if kind is not None and kind.type == "date":
                given = {name: int(bound) for name, bound in given.items()} | {"format": "epoch_millis"}
            return {"range": {filter_path(schema, field): given}}
        case AllOf(clauses):
            return {"bool": {"filter": [filter_clause(c, schema) for c in clauses]}}
        case AnyOf(clauses):
            return {"bool": {"should": [filter_clause(c, schema) for c in clauses], "minimum_should_match": 1}}
        case Not(inner):
            return {"bool": {"must_not": [filter_clause(inner, schema)]}}

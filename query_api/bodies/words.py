"""What BM25 looks for, and what it marks."""

from __future__ import annotations

from typing import Any

from es_mappings.mappings import suggest_path, text_paths
from es_mappings.schema import Schema
from es_mappings.types import Plan
from query_api import highlight

JSON = dict[str, Any]


def matches(plan: Plan, schema: Schema) -> JSON | None:
    """The clause that the plan's words match; None when it has none."""
    if plan.words is None or not schema.text:
        return None
    return {
        "multi_match": {"query": plan.words, "fields": text_paths(schema), "type": "best_fields", "tie_breaker": 0.3}
    }


def marks(words: str, schema: Schema) -> JSON:
    """The `highlight` member of a search body: all fields as a whole, each match between the marks of `highlight`."""
    # Each language's sub-field finds its own matches; `matched_fields` would need term vectors of one analysis.
    names = [path.partition("^")[0] for path in text_paths(schema)]
    return {
        "pre_tags": [highlight.OPEN],
        "post_tags": [highlight.CLOSE],
        "number_of_fragments": 0,
        "highlight_query": {"multi_match": {"query": words, "fields": names}},
        "fields": {name: {} for name in names},
    }


def suggest_body(text: str, size: int, schema: Schema) -> JSON:
    """The search for titles in which the typed words stand side by side, the last one perhaps unfinished."""
    typed = [
        {"match_phrase_prefix": {suggest_path(schema, name): {"query": text, "_name": name}}} for name in schema.suggest
    ]
    return {"query": {"dis_max": {"queries": typed}}, "size": size, "_source": list(schema.suggest)}

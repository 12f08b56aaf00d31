"""A cluster's answer -> hits."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from es_mappings.cluster import reasons
from es_mappings.mappings import language_paths
from es_mappings.schema import VECTOR_OBJECT, Schema, as_values, lookup
from es_mappings.types import Hit, StoredItem, Suggestion
from query_api import highlight
from query_api.bodies.search import COSINE_PREFIX, LEXICAL_NAME

JSON = Mapping[str, Any]

_WORD = re.compile(r"[\u2e80-\u9fff\uf900-\ufaff]|[^\W\u2e80-\u9fff\uf900-\ufaff]+")
"""A word, or an ideograph by itself."""


def read_hit(hit: JSON, shift: float, schema: Schema) -> Hit:
    """One hit of `search_body`, whose script had added `shift` to its score."""
    named = hit.get("matched_queries", {})
    cosines = {
        name.removeprefix(COSINE_PREFIX): score - 1.0 for name, score in named.items() if name.startswith(COSINE_PREFIX)
    }
    return Hit(
        id=hit["_id"],
        score=hit["_score"] - shift,
        cosines=cosines,
        lexical=named.get(LEXICAL_NAME),
        source=hit.get("_source", {}),
        highlight=_merge_languages(hit.get("highlight", {}), schema),
    )


def _merge_languages(found: Mapping[str, list[str]], schema: Schema) -> dict[str, list[str]]:
    """One highlight per field: that of the language's analysis that marked most of it."""
    if not found:  # few requests ask for it, and this runs for each hit
        return {}
    merged: dict[str, list[str]] = {}
    for field in schema.text:
        ways = [found[path] for path in language_paths(schema, field.name) if path in found]
        if ways:
            best = max(ways, key=lambda texts: sum(map(highlight.marked_length, texts)))
            merged[field.name] = [highlight.to_html(text) for text in best]
    return merged


def read_item(hit: JSON, schema: Schema) -> StoredItem:
    """One hit that was asked for its vectors as `fields`."""
    fields = hit.get("fields", {})
    vectors = {
        space.name: np.asarray(fields[name], dtype=np.float32)
        for space in schema.spaces
        if (name := f"{VECTOR_OBJECT}.{space.name}") in fields
    }
    return StoredItem(hit["_id"], hit["_source"], vectors)


def read_suggestions(hits: Iterable[JSON], text: str, size: int, schema: Schema) -> list[Suggestion]:
    """The distinct titles among the hits of `suggest_body`: the most frequent first, then the shortest."""
    titles = Counter(title for hit in hits for title in _matching_titles(hit, text, schema))
    best = sorted(titles.items(), key=lambda pair: (-pair[1], len(pair[0]), pair[0]))
    return [Suggestion(title, count) for title, count in best[:size]]


def _matching_titles(hit: JSON, text: str, schema: Schema) -> set[str]:
    """The values of those fields that the hit matched by, which it names by `matched_queries`; of a list those that
    go on as typed.
    """
    titles: set[str] = set()
    for name in schema.suggest:
        if name in hit.get("matched_queries", []):
            values = [value for value in as_values(lookup(hit["_source"], name)) if isinstance(value, str)]
            # The engine knows its words best: where we see none of them match, it saw more than we do.
            titles.update([v for v in values if _folded(text) in _folded(v)] or values)
    return titles


def _folded(text: str) -> str:
    """The words of a text in one shape, a blank before each: typed words go on where they are part of a title's."""
    plain = unicodedata.normalize("NFKD", text).casefold()
    letters = "".join(c for c in plain if not unicodedata.combining(c))
    return "".join(f" {word}" for word in _WORD.findall(letters))


def incomplete(answers: Iterable[JSON]) -> str | None:
    """Why the answers are not whole; None when they are."""
    for answer in answers:
        failed = answer["_shards"]["failed"]
        if answer["timed_out"]:
            return "the engine ran out of time: what it had found by then is shown"
        if failed:
            why = reasons(*(failure.get("reason") for failure in answer["_shards"].get("failures", [])))
            return f"{failed} of {answer['_shards']['total']} shards failed: {why}"
    return None

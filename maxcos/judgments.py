"""Judged queries: what was asked, as JSON lines, and which items answer it, as TREC qrels.

A line of queries is `{"id": …, "query": as in POST /v1/search}`, and may name the query's "language", by which an
evaluation reports. A line of qrels is `query iteration item grade`; a grade above 0 is relevant.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from es_mappings.errors import InvalidRequest, JudgmentsError
from es_mappings.schema import Schema
from es_mappings.types import Term
from query_api.request import parse


@dataclass(frozen=True, slots=True)
class Judged:
    """A query and its judgments.

    query: as a client would send it. terms: the same, checked. grades: of each judged item; above 0 is relevant.
    """

    id: str
    query: Any
    terms: tuple[Term, ...]
    language: str | None
    grades: Mapping[str, int]


def read_judged(queries: Path, qrels: Path, schema: Schema) -> list[Judged]:
    """The queries that have judgments. Raises JudgmentsError, naming file and line, for what cannot be read."""
    grades = _read_qrels(qrels)
    asked = list(_read_queries(queries, grades, schema))
    unknown = sorted(set(grades) - {query.id for query in asked})
    if unknown:
        raise JudgmentsError(f"{qrels}: {queries} has no query {unknown[0]!r}")
    found = [query for query in asked if query.grades]
    if not found:
        raise JudgmentsError(f"{qrels}: no judgments")
    return found


def read_queries(path: Path, schema: Schema) -> list[Judged]:
    """Queries without judgments. Raises JudgmentsError, naming file and line, for what cannot be read."""
    return list(_read_queries(path, {}, schema))


def _read_queries(path: Path, grades: Mapping[str, Mapping[str, int]], schema: Schema) -> Iterator[Judged]:
    seen = set()
    for place, line in _lines(path):
        try:
            record = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise JudgmentsError(f"{place}: not JSON: {error}") from error
        if not isinstance(record, dict) or not {"id", "query"} <= set(record) <= {"id", "query", "language"}:
            raise JudgmentsError(f'{place}: expected {{"id": …, "query": …}}, perhaps with "language"')
        identifier, language = record["id"], record.get("language")
        if not isinstance(identifier, str) or not identifier or identifier in seen:
            raise JudgmentsError(f"{place}: id: must be a text of its own, got {identifier!r:.60}")
        if language is not None and not isinstance(language, str):
            raise JudgmentsError(f"{place}: language: must be a text, got {language!r:.60}")
        seen.add(identifier)
        terms = _terms(place, record["query"], schema)
        yield Judged(identifier, record["query"], terms, language, grades.get(identifier, {}))


def _terms(place: str, query: Any, schema: Schema) -> tuple[Term, ...]:
    try:
        return parse({"query": query}, schema).terms
    except InvalidRequest as error:
        raise JudgmentsError(f"{place}: {error}") from error


def _read_qrels(path: Path) -> dict[str, dict[str, int]]:
    """By query the grades of items, from lines `query iteration item grade`."""
    grades: dict[str, dict[str, int]] = {}
    for place, line in _lines(path):
        fields = line.split()
        if len(fields) != 4:
            raise JudgmentsError(f"{place}: expected query, iteration, item and grade, got {len(fields)} fields")
        query, _, item, grade = fields
        try:
            number = int(grade)
        except ValueError as error:
            raise JudgmentsError(f"{place}: the grade must be a whole number, not {grade!r:.60}") from error
        if grades.setdefault(query, {}).setdefault(item, number) != number:
            raise JudgmentsError(f"{place}: another line gives {item!r} another grade for {query!r}")
    return grades


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    """Place and text of every line that is not blank."""
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise JudgmentsError(f"{path}: {error}") from error
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield f"{path.name}:{number}", line

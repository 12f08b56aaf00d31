"""Judged queries: what was asked, as JSON lines, and which items answer it, as TREC qrels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from es_mappings.errors import CalibrationError, InvalidRequest
from es_mappings.schema import Schema
from es_mappings.types import Term
from query_api.request import parse


@dataclass(frozen=True, slots=True)
class Judged:
    """A query and its judgments: the grade of each judged item; above 0 is relevant."""

    id: str
    terms: tuple[Term, ...]
    grades: Mapping[str, int]


def read_judged(queries: Path, qrels: Path, schema: Schema) -> list[Judged]:
    """The queries that have judgments. Raises CalibrationError, naming file and line, for what cannot be read."""
    grades = _read_qrels(qrels)
    asked = dict(_read_queries(queries, schema))
    unknown = sorted(set(grades) - set(asked))
    if unknown:
        raise CalibrationError(f"{qrels}: {queries} has no query {unknown[0]!r}")
    found = [
        Judged(identifier, terms, grades[identifier]) for identifier, terms in asked.items() if identifier in grades
    ]
    if not found:
        raise CalibrationError(f"{qrels}: no judgments")
    return found


def _read_queries(path: Path, schema: Schema) -> Iterator[tuple[str, tuple[Term, ...]]]:
    seen = set()
    for place, line in _lines(path):
        try:
            record = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise CalibrationError(f"{place}: not JSON: {error}") from error
        if not isinstance(record, dict) or set(record) != {"id", "query"}:
            raise CalibrationError(f'{place}: expected {{"id": …, "query": …}}')
        identifier = record["id"]
        if not isinstance(identifier, str) or not identifier or identifier in seen:
            raise CalibrationError(f"{place}: id: must be a text of its own, got {identifier!r:.60}")
        seen.add(identifier)
        yield identifier, _terms(place, record["query"], schema)


def _terms(place: str, query: Any, schema: Schema) -> tuple[Term, ...]:
    try:
        return parse({"query": query}, schema).terms
    except InvalidRequest as error:
        raise CalibrationError(f"{place}: {error}") from error


def _read_qrels(path: Path) -> dict[str, dict[str, int]]:
    """By query the grades of items, from lines `query iteration item grade`."""
    grades: dict[str, dict[str, int]] = {}
    for place, line in _lines(path):
        fields = line.split()
        if len(fields) != 4:
            raise CalibrationError(f"{place}: expected query, iteration, item and grade, got {len(fields)} fields")
        query, _, item, grade = fields
        try:
            number = int(grade)
        except ValueError as error:
            raise CalibrationError(f"{place}: the grade must be a whole number, not {grade!r:.60}") from error
        if grades.setdefault(query, {}).setdefault(item, number) != number:
            raise CalibrationError(f"{place}: another line gives {item!r} another grade for {query!r}")
    return grades


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    """Place and text of every line that is not blank."""
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CalibrationError(f"{path}: {error}") from error
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield f"{path.name}:{number}", line

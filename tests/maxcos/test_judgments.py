"""Judged queries, read from files."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from corpus import Encodes
from es_mappings.errors import JudgmentsError
from es_mappings.schema import Schema, build_schema
from es_mappings.settings import LexicalSettings
from es_mappings.types import ItemTerm, TextTerm
from maxcos.judgments import read_judged


@pytest.fixture(scope="module")
def schema() -> Schema:
    return build_schema(LexicalSettings(), [Encodes()])


def test_judgments_are_read(tmp_path: Path, schema: Schema) -> None:
    (tmp_path / "q").write_text(
        '{"id": "1", "query": "oak"}\n\n{"id": "2", "query": [{"item": "a", "weight": 2}], "language": "en"}\n'
    )
    (tmp_path / "r").write_text("1 0 a 2\n1 0 b 0\n2\t0\tc\t1\n")
    first, second = read_judged(tmp_path / "q", tmp_path / "r", schema)
    assert (first.terms, dict(first.grades)) == ((TextTerm("oak"),), {"a": 2, "b": 0})
    assert (first.query, first.language) == ("oak", None)
    assert (second.query, second.language) == ([{"item": "a", "weight": 2}], "en")
    assert (second.terms, dict(second.grades)) == ((ItemTerm("a", weight=2),), {"c": 1})


@pytest.mark.parametrize(
    ("queries", "qrels", "problem"),
    [
        ('{"id": "1", "query": "x"}\n{', "1 0 a 1", "q:2: not JSON"),
        ('{"id": "1"}', "1 0 a 1", 'q:1: expected {"id"'),
        ('{"id": "1", "query": "x", "lang": "en"}', "1 0 a 1", 'q:1: expected {"id"'),
        ('{"id": "1", "query": "x", "language": 1}', "1 0 a 1", "q:1: language"),
        ('{"id": 1, "query": "x"}', "1 0 a 1", "q:1: id"),
        ('{"id": "1", "query": "x"}\n{"id": "1", "query": "y"}', "1 0 a 1", "q:2: id"),
        ('{"id": "1", "query": [{"txt": "x"}]}', "1 0 a 1", "q:1: query"),
        ('{"id": "1", "query": "x"}', "1 0 a 1\n1 a 1", "r:2: expected query, iteration, item and grade, got 3"),
        ('{"id": "1", "query": "x"}', "1 0 a high", "r:1: the grade must be a whole number, not 'high'"),
        ('{"id": "1", "query": "x"}', "1 0 a 1\n1 0 a 0", "r:2: another line gives 'a' another grade"),
        ('{"id": "1", "query": "x"}', "2 0 a 1", "no query '2'"),
        ('{"id": "1", "query": "x"}', "", "no judgments"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_line(
    tmp_path: Path, schema: Schema, queries: str, qrels: str, problem: str
) -> None:
    (tmp_path / "q").write_text(queries, "utf-8")
    (tmp_path / "r").write_text(qrels, "utf-8")
    with pytest.raises(JudgmentsError, match=re.escape(problem)):
        read_judged(tmp_path / "q", tmp_path / "r", schema)

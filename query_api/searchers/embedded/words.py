"""What FTS5 knows: BM25, highlights and suggestions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from es_mappings import embedded
from es_mappings.schema import Schema
from es_mappings.types import Suggestion
from query_api import highlight
from query_api.searchers.embedded.snapshots import Snapshot

LOOKED_AT = 10_000
"""How many titles are looked at for suggestions."""


def bm25(snapshot: Snapshot, words: str | None, schema: Schema) -> NDArray[np.float64] | None:
    """(n,) the BM25 score of every item, NaN where no word matches; None when there is no word to look for."""
    expression = embedded.match_expression(words) if words is not None and schema.text else None
    if expression is None:
        return None
    boosts = ", ".join(str(field.boost) for field in schema.text)
    found = snapshot.connection.execute(
        f"SELECT rowid, -bm25(lexical, {boosts}) FROM lexical WHERE lexical MATCH ?", (expression,)
    ).fetchall()
    scores = np.full(len(snapshot.memory), np.nan)
    scores[snapshot.memory.positions(row for row, _ in found)] = [score for _, score in found]
    return scores


def highlights(snapshot: Snapshot, row: int, words: str, schema: Schema) -> dict[str, list[str]]:
    """By field, those of its values in which a word matches, marked."""
    expression = embedded.match_expression(words)
    columns = ", ".join(
        f"highlight(lexical, {i}, '{highlight.OPEN}', '{highlight.CLOSE}')" for i in range(len(schema.text))
    )
    found = snapshot.connection.execute(
        f"SELECT {columns} FROM lexical WHERE lexical MATCH ? AND rowid = ?", (expression, row)
    ).fetchone()
    return {
        field.name: [_html(value) for value in text.split("\n") if highlight.OPEN in value]
        for field, text in zip(schema.text, found, strict=True)
        if highlight.OPEN in text
    }


def _html(marked: str) -> str:
    return highlight.to_html(marked.replace(embedded.BREAK, ""))


def suggestions(snapshot: Snapshot, text: str, size: int) -> list[Suggestion]:
    """The distinct titles among the first that match: the most frequent first, then the shortest."""
    expression = embedded.beginning_expression(text)
    if expression is None:
        return []
    found = snapshot.connection.execute(
        "SELECT title, count(*) AS bearers FROM (SELECT title FROM titles WHERE titles MATCH ? LIMIT ?) "
        "GROUP BY title ORDER BY bearers DESC, length(title), title LIMIT ?",
        (expression, LOOKED_AT, size),
    )
    return [Suggestion(title, count) for title, count in found]

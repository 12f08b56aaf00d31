"""The embedded store's schema: one SQLite file per index, read by `query_api` and written by `ingest`.

FTS5 indexes words between separators, and Chinese has none; so every Han, Kana or Hangul character is set between
zero-width spaces before it is indexed. FTS5 takes those for separators, and taking them out again restores the text.
"""

from __future__ import annotations

import re
import sqlite3
import unicodedata
from pathlib import Path

from es_mappings.errors import EngineUnavailable, IndexMissing
from es_mappings.schema import Schema

FILE_SUFFIX = ".sqlite"
BREAK = "\u200b"
_IDEOGRAPH = re.compile("([\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003134f])")
_TOKEN = re.compile(r"[^\W_]+")

# Lucene's English stop words, so that the same words count here and in a cluster.
STOP_WORDS = frozenset(
    [
        "a",
        "an",
        "and",
        "are",
        "as",
        "at",
        "be",
        "but",
        "by",
        "for",
        "if",
        "in",
        "into",
        "is",
        "it",
        "no",
        "not",
        "of",
        "on",
        "or",
        "such",
        "that",
        "the",
        "their",
        "then",
        "there",
        "these",
        "they",
        "this",
        "to",
        "was",
        "will",
        "with",
    ]
)


def store_file(url: str, index: str) -> Path:
    """The file of an index in the store `embedded:FOLDER`."""
    return Path(url.removeprefix("embedded:")) / f"{index}{FILE_SUFFIX}"


def ddl(schema: Schema) -> list[str]:
    """The statements that create an empty store. FTS5 columns are c0, c1 … in the order of the schema's text fields."""
    columns = ", ".join(f"c{i}" for i in range(len(schema.text))) or "c0"
    return [
        "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL)",
        "CREATE TABLE items (row INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, source TEXT NOT NULL)",
        "CREATE TABLE filters (field TEXT NOT NULL, value NOT NULL, row INTEGER NOT NULL)",
        "CREATE INDEX filters_by_value ON filters (field, value, row)",
        "CREATE INDEX filters_by_row ON filters (row)",
        "CREATE TABLE vectors (space TEXT NOT NULL, row INTEGER NOT NULL, vector BLOB NOT NULL, "
        "PRIMARY KEY (space, row)) WITHOUT ROWID",
        f"CREATE VIRTUAL TABLE lexical USING fts5({columns}, tokenize = 'porter unicode61')",
    ]


def open_store(file: Path, *, create: bool = False) -> sqlite3.Connection:
    """Connect; readers and one writer work side by side (WAL).

    Raises IndexMissing when the file is not there and shall not be made, EngineUnavailable when it cannot be opened.
    """
    if not create and not file.is_file():
        raise IndexMissing(f"the embedded store {file} does not exist: run maxcos ingest (or maxcos demo) first")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(file, timeout=30, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
    except (sqlite3.Error, OSError) as error:
        raise EngineUnavailable(f"the embedded store {file} cannot be opened: {error}") from error
    return connection


def segment(text: str) -> str:
    """Text as FTS5 shall see it: compatibility forms unified, each ideograph a word of its own."""
    return _IDEOGRAPH.sub(rf"{BREAK}\1{BREAK}", unicodedata.normalize("NFKC", text))


def match_expression(words: str) -> str | None:
    """The FTS5 query for a user's words: any of them may match; None when no word is left to look for.

    Each token is quoted, so no character of it is syntax. Neighbouring ideographs are also looked for as a pair, as the
    clusters' bigram analysis does.
    """
    quoted: list[str] = []
    for chunk in _TOKEN.findall(unicodedata.normalize("NFKC", words)):
        previous = ""
        for token in segment(chunk).split(BREAK):
            if not token or token.lower() in STOP_WORDS:
                previous = previous if not token else ""
                continue
            quoted.append(f'"{token}"')
            ideograph = bool(_IDEOGRAPH.fullmatch(token))
            if ideograph and previous:
                quoted.append(f'"{previous}{BREAK}{token}"')
            previous = token if ideograph else ""
    return " OR ".join(dict.fromkeys(quoted)) or None

"""The embedded store's schema: one SQLite file per index, read by `query_api` and written by `ingest`.

FTS5 indexes words between separators, and Chinese has none; so every Han, Kana or Hangul character, and every emoji,
is set between zero-width spaces before it is indexed. FTS5 takes those for separators, and taking them out again
restores the text.
"""

from __future__ import annotations

import re
import sqlite3
import unicodedata
from pathlib import Path

from es_mappings.errors import EngineUnreachable, IndexMissing
from es_mappings.schema import Schema

FILE_SUFFIX = ".sqlite"
BREAK = "\u200b"
_IDEOGRAPHS = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003134f"
_SYMBOLS = "©®°\u2190-\u2bff\U0001f000-\U0001faff"
_IDEOGRAPH = re.compile(f"[{_IDEOGRAPHS}]")
_ALONE = re.compile(f"([{_IDEOGRAPHS}{_SYMBOLS}])")
_TOKEN = re.compile(rf"[^\W_]+|[{_SYMBOLS}]")
_WORDS = "unicode61 remove_diacritics 2 categories 'L* N* Co So'"
"""FTS5's tokenizer, with symbols for words: emoji are among them."""

TITLES = 64
"""How many titles of one item can be suggested."""

CHUNK = 4096
"""How many rows share a generation: readers keep what they have of a chunk until the writer touches it."""

_PAGE_BYTES = 16_384
"""Several vectors fit into a page of this size; of SQLite's usual 4096 bytes a quarter or more would stay empty."""

COMPANIONS = "CREATE TABLE IF NOT EXISTS companions (row INTEGER PRIMARY KEY, body TEXT NOT NULL)"
"""On its own, as stores of an older maxcos lack it."""

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
    """The statements that create an empty store. FTS5 columns are c0, c1 … in the order of the schema's text fields.

    meta: `_meta` as in a cluster's mapping, and the generation, which every batch raises. chunks: of each CHUNK rows
    the generation that last touched them, and how many items they are. filters: a row per distinct value; `object`
    numbers the objects of a nested path, and is 0 for other fields. objects: how many objects an item has under a
    nested path, if any. titles: what suggestions are made of; their rowid is the item's row times TITLES and a running
    number. companions: of each item what `es_mappings.companions` tells, as JSON.
    """
    columns = ", ".join(f"c{i}" for i in range(len(schema.text))) or "c0"
    return [
        "CREATE TABLE meta (key TEXT PRIMARY KEY, value NOT NULL)",
        "CREATE TABLE items (row INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, source TEXT NOT NULL)",
        COMPANIONS,
        "CREATE TABLE chunks (chunk INTEGER PRIMARY KEY, generation INTEGER NOT NULL, items INTEGER NOT NULL)",
        "CREATE TABLE filters (field TEXT NOT NULL, row INTEGER NOT NULL, object INTEGER NOT NULL, value NOT NULL, "
        "PRIMARY KEY (field, row, object, value)) WITHOUT ROWID",
        "CREATE TABLE objects (path TEXT NOT NULL, row INTEGER NOT NULL, number INTEGER NOT NULL, "
        "PRIMARY KEY (path, row)) WITHOUT ROWID",
        "CREATE TABLE vectors (row INTEGER NOT NULL, space TEXT NOT NULL, vector BLOB NOT NULL)",
        "CREATE UNIQUE INDEX vectors_by_row ON vectors (row, space)",
        f'CREATE VIRTUAL TABLE lexical USING fts5({columns}, tokenize = "porter {_WORDS}")',
        # Most typing begins with one or two letters, which begin most words.
        f'CREATE VIRTUAL TABLE titles USING fts5(words, title UNINDEXED, tokenize = "{_WORDS}", prefix = "1 2 3")',
    ]


def open_store(file: Path, *, create: bool = False) -> sqlite3.Connection:
    """Connect; readers and one writer work side by side (WAL).

    Raises IndexMissing when the file is not there and shall not be made, EngineUnreachable when it cannot be opened.
    """
    if not create and not file.is_file():
        raise missing(file)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        address = f"{file.absolute().as_uri()}?mode={'rwc' if create else 'rw'}"
        connection = sqlite3.connect(address, uri=True, timeout=30, isolation_level=None, check_same_thread=False)
        connection.execute(f"PRAGMA page_size = {_PAGE_BYTES}")  # of a new file; an old one keeps its own
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
    except (sqlite3.Error, OSError) as error:
        raise EngineUnreachable(f"the embedded store {file} cannot be opened: {error}") from error
    return connection


def missing(file: Path) -> IndexMissing:
    return IndexMissing(f"the embedded store {file} does not exist: run maxcos ingest (or maxcos demo) first")


def read_meta(store: sqlite3.Connection) -> str | None:
    """The store's `_meta` as JSON; None in a file that nobody has prepared."""
    made = store.execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchone()
    found = store.execute("SELECT value FROM meta WHERE key = '_meta'").fetchone() if made else None
    return str(found[0]) if found else None


def segment(text: str) -> str:
    """Text as FTS5 shall see it: compatibility forms unified, each ideograph and symbol a word of its own."""
    return _ALONE.sub(rf"{BREAK}\1{BREAK}", unicodedata.normalize("NFKC", text))


def _tokens(text: str) -> list[list[str]]:
    """The words of a text: per run of characters without a separator its pieces, ideographs one by one."""
    runs = _TOKEN.findall(unicodedata.normalize("NFKC", text))
    return [[token for token in segment(run).split(BREAK) if token] for run in runs]


def match_expression(words: str) -> str | None:
    """The FTS5 query for a user's words: any of them may match; None when no word is left to look for.

    Each token is quoted, so no character of it is syntax. Neighbouring ideographs are also looked for as a pair, as the
    clusters' bigram analysis does.
    """
    quoted: list[str] = []
    for run in _tokens(words):
        previous = ""
        for token in run:
            if token.lower() in STOP_WORDS:
                previous = ""
                continue
            quoted.append(f'"{token}"')
            ideograph = bool(_IDEOGRAPH.fullmatch(token))
            if ideograph and previous:
                quoted.append(f'"{previous}{BREAK}{token}"')
            previous = token if ideograph else ""
    return " OR ".join(dict.fromkeys(quoted)) or None


def beginning_expression(text: str) -> str | None:
    """The FTS5 query for titles in which the typed words stand side by side, the last one perhaps unfinished."""
    phrase = " ".join(token for run in _tokens(text) for token in run)
    return f'"{phrase}" *' if phrase else None

"""What every data set is written as: items, a graph, settings, and judged queries in two halves."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Split = Literal["dev", "test"]
SPLITS: tuple[Split, ...] = ("dev", "test")
Triple = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Asked:
    """A query with the grades of its answers."""

    text: str
    language: str
    grades: Mapping[str, int]

    @property
    def id(self) -> str:
        return f"{self.language}-{self._digest[:12]}"

    @property
    def split(self) -> Split:
        """By the words alone, so that no later data set moves a query from one half to the other."""
        return SPLITS[int(self._digest, 16) % 2]

    @property
    def _digest(self) -> str:
        return hashlib.sha256(self.text.casefold().encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Files:
    """Where a data set was written."""

    folder: Path

    @property
    def items(self) -> Path:
        return self.folder / "items.jsonl"

    @property
    def triples(self) -> Path:
        return self.folder / "triples.tsv"

    @property
    def names(self) -> Path:
        return self.folder / "names.tsv"

    @property
    def config(self) -> Path:
        return self.folder / "maxcos.toml"

    def queries(self, split: Split) -> Path:
        return self.folder / f"{split}.queries.jsonl"

    def qrels(self, split: Split) -> Path:
        return self.folder / f"{split}.qrels"


def write(
    files: Files,
    items: Iterable[Mapping[str, Any]],
    triples: Iterable[Triple],
    names: Iterable[Triple],
    queries: Iterable[Asked],
    config: str,
    notice: str,
) -> None:
    """Write all of it. names: entity, language, name."""
    files.folder.mkdir(parents=True, exist_ok=True)
    _write_lines(files.items, (json.dumps(item, ensure_ascii=False) for item in items))
    _write_lines(files.triples, ("\t".join(row) for row in dict.fromkeys(triples)))
    _write_lines(files.names, ("\t".join(row) for row in dict.fromkeys(names)))
    asked = list(queries)
    for split in SPLITS:
        half = [query for query in asked if query.split == split]
        _write_lines(
            files.queries(split),
            (json.dumps({"id": q.id, "query": q.text, "language": q.language}, ensure_ascii=False) for q in half),
        )
        _write_lines(files.qrels(split), (f"{q.id} 0 {item} {g}" for q in half for item, g in q.grades.items()))
    files.config.write_text(config, "utf-8")
    (files.folder / "NOTICE").write_text(notice, "utf-8")


def _write_lines(file: Path, lines: Iterable[str]) -> None:
    file.write_text("".join(f"{line}\n" for line in lines), "utf-8")

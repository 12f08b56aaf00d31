"""An encoder small enough to follow and quick enough to run thousands of times, and an ingestion with it.

Run as a program it ingests a file: `letters.py FILE URL INDEX`, in a process that a test may kill.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from encoders.contract import Encoded
from es_mappings.schema import build_schema
from es_mappings.settings import EngineSettings, LexicalSettings, ModalitySettings
from es_mappings.types import Provenance, Space, Term, TextTerm, Vector
from ingest.encoding import Encoding
from ingest.pipeline import Summary, ingest
from ingest.sinks import open_sink
from ingest.sources import digest, read

DIMS = 8


class Letters:
    """A text becomes a direction that depends on its letters."""

    spaces = (Space("text", "text", DIMS),)
    provenance: Mapping[str, Provenance] = {"text": Provenance("letters", "1", DIMS)}

    def encode_items(self, values: Sequence[Sequence[Any]], base: Path) -> Encoded:
        return Encoded({"text": [direction(value[0][:100]) if value else None for value in values]})

    def encode_query(self, term: Term) -> Mapping[str, Vector]:
        return {"text": direction(term.text)} if isinstance(term, TextTerm) else {}


def direction(text: str) -> Vector:
    row = np.frombuffer(hashlib.sha256(text.encode()).digest(), dtype="<u4").astype(np.float64) / 2**31 - 0.9
    return np.asarray(row / np.linalg.norm(row), dtype=np.float32)


SCHEMA = build_schema(LexicalSettings(filters=("price:number",)), [Letters()])
MODALITIES = {"text": ModalitySettings(encoder="letters", source=("title",))}


def ingest_letters(file: Path, engine: EngineSettings) -> Summary:
    with closing(open_sink(engine, SCHEMA)) as sink:
        return ingest(
            read(file, SCHEMA),
            Encoding(SCHEMA, MODALITIES, {"text": Letters()}, file.parent),
            sink,
            source=digest(file),
            dead_letters=file.with_suffix(".dead-letters.jsonl"),
        )


if __name__ == "__main__":
    ingest_letters(Path(sys.argv[1]), EngineSettings(url=sys.argv[2], index=sys.argv[3]))

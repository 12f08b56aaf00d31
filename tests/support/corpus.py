"""The documents and the index of the contract suite."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from es_mappings.provenance import Receipt
from es_mappings.schema import Schema
from es_mappings.settings import EngineSettings, LexicalSettings
from es_mappings.types import EncodedItem, Item, Provenance, Space, Vector
from ingest.sinks import Sink
from query_api.searchers import Searcher

SPACES = (
    Space("text", "text", 6),
    Space("image", "image", 9),
    Space("image_words", "image", 6),
    Space("graph", "graph", 4),
)
LEXICAL = LexicalSettings(
    fields=("title^2", "body"),
    filters=("group", "colour", "tags", "title", "price:number", "made:date", "fresh:boolean"),
    facets=("colour", "tags", "fresh"),
)


class Encodes:
    """What the schema asks of an encoder; the suite brings its vectors itself."""

    spaces = SPACES
    provenance: ClassVar = {s.name: Provenance("contract", "0123456789abcdef", s.dims) for s in SPACES}


@dataclass
class Engine:
    """A sink and a searcher on the same fresh index."""

    name: str
    settings: EngineSettings
    schema: Schema
    sink: Sink
    searcher: Searcher

    def write(self, documents: Sequence[EncodedItem]) -> None:
        assert self.sink.write(documents) == []
        self.sink.finish(Receipt(len(documents), "contract"))


def direction(seed: int, dims: int) -> Vector:
    vector = np.random.default_rng(seed).normal(size=dims).astype(np.float32)
    return np.ascontiguousarray(vector / np.linalg.norm(vector), dtype=np.float32)


def document(identifier: str, vectors: dict[str, Vector] | None = None, **source: object) -> EncodedItem:
    return EncodedItem(Item(identifier, {"id": identifier, **source}), vectors or {})

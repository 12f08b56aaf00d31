"""The documents and the index of the contract suite."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from es_mappings.provenance import Receipt
from es_mappings.schema import Schema
from es_mappings.settings import EngineSettings, LexicalSettings
from es_mappings.types import AllOf, EncodedItem, Filter, Fusion, Item, OneOf, Page, Plan, Provenance, Space, Vector
from ingest.sinks import Sink
from query_api.searchers import Searcher
from reference import assert_page

SPACES = (
    Space("text", "text", 6),
    Space("image", "image", 9),
    Space("image_words", "image", 6),
    Space("graph", "graph", 4),
)
LEXICAL = LexicalSettings(
    fields=("title^2", "body"),
    filters=(
        *("group", "colour", "tags", "title", "maker.name", "price:number", "made:date", "fresh:boolean"),
        *("variants.colour", "variants.size:number"),
    ),
    facets=("colour", "tags", "maker.name", "price", "made", "fresh"),
    nested=("variants",),
    suggest=("title", "body"),
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

    @property
    def is_cluster(self) -> bool:
        return self.name != "embedded"

    def write(self, documents: Sequence[EncodedItem]) -> None:
        assert self.sink.write(documents) == []
        self.sink.finish(Receipt(len(documents), "contract"))

    def bm25(self, words: str | None, documents: Sequence[EncodedItem]) -> dict[str, float]:
        """The engine's own BM25 numbers, by id, of those documents of one group that the words match."""
        if words is None:
            return {}
        page = self.searcher.search(Plan((), words, Fusion("lexical"), within(documents), size=1000))
        return {hit.id: hit.score for hit in page.hits}

    def search(self, plan: Plan, documents: Sequence[EncodedItem]) -> Page:
        """The engine's answer, once it is known to be numpy's over the documents, which are all of a group."""
        page = self.searcher.search(plan)
        assert_page(page, plan, documents, self.bm25(plan.words, documents))
        return page


def direction(seed: int, dims: int) -> Vector:
    vector = np.random.default_rng(seed).normal(size=dims).astype(np.float32)
    return np.ascontiguousarray(vector / np.linalg.norm(vector), dtype=np.float32)


def directions(seed: int, *names: str) -> dict[str, Vector]:
    """One vector for each of the named spaces, or for all of them."""
    return {s.name: direction(seed, s.dims) for s in SPACES if s.name in names or not names}


def document(identifier: str, vectors: dict[str, Vector] | None = None, **source: object) -> EncodedItem:
    return EncodedItem(Item(identifier, {"id": identifier, **source}), vectors or {})


def grouped(sources: Sequence[dict[str, Any]], vectors: Sequence[dict[str, Vector]] = ()) -> list[EncodedItem]:
    """Documents of a group of their own, in the order of their ids; without vectors given, all have the same ones."""
    group = new_group()
    vectors = vectors or [directions(0)] * len(sources)
    return [
        document(f"{group}-{i:03}", own, group=group, **source)
        for i, (source, own) in enumerate(zip(sources, vectors, strict=True))
    ]


def new_group() -> str:
    return uuid.uuid4().hex


def within(documents: Sequence[EncodedItem], *clauses: Filter | None) -> Filter:
    """The documents' group, and what else is asked of them."""
    group = OneOf("group", (documents[0].item.source["group"],))
    given = tuple(clause for clause in clauses if clause is not None)
    return AllOf((group, *given)) if given else group


def lexical(group: str, words: str, **more: Any) -> Plan:
    return replace(Plan((), words, Fusion("lexical"), OneOf("group", (group,)), size=50), **more)

"""Which entities paths start from, and which fields of an item they are looked for with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from encoders.contract import Graph
from es_mappings.types import (
    Entity,
    EntityMatch,
    EntityTerm,
    GraphPath,
    Hit,
    ItemTerm,
    Page,
    Step,
    StoredItem,
    Term,
    TextTerm,
    Vector,
)
from query_api.paths import explained


class Known:
    """A graph that is about whatever a term says, and has one path from each origin to each item."""

    def __init__(self) -> None:
        self.asked: list[Mapping[str, Any] | None] = []

    def search(self, text: str, size: int, languages: Sequence[str]) -> list[EntityMatch]:
        return []

    def named(self, term: Term, item: Mapping[str, Any] | None) -> tuple[str, ...]:
        self.asked.append(item)
        return tuple(term.text.split()) if isinstance(term, TextTerm) else (getattr(term, "id", ""),)

    def paths(
        self, origins: Sequence[str], items: Sequence[Mapping[str, Any]], languages: Sequence[str]
    ) -> list[tuple[GraphPath, ...]]:
        return [tuple(_path(origin, f"{item['id']} {item.get('sku')}") for origin in origins) for item in items]


def _path(start: str, end: str) -> GraphPath:
    return GraphPath(Entity(start, start, {}), (Step("is", "out", Entity(end, end, {})),))


def page(*hits: tuple[str, dict[str, Any]]) -> Page:
    return Page(tuple(Hit(name, 1.0, {}, None, source) for name, source in hits), None, (), 0.0, len(hits))


def starts(*terms: Term, items: Mapping[str, StoredItem] | None = None, **graphs: Graph) -> list[str]:
    (found,) = explained(page(("1", {})), terms, items or {}, graphs or {"graph": Known()}, ["en"])
    return [path.start.id for path in found]


def test_each_entity_is_an_origin_once_in_the_order_of_the_terms() -> None:
    assert starts(TextTerm("red sofa"), EntityTerm("couch"), TextTerm("sofa")) == ["red", "sofa", "couch"]


def test_only_terms_that_speak_for_an_item_and_to_the_graph_explain_it() -> None:
    assert starts(TextTerm("red", weight=-1), TextTerm("blue", weight=0), EntityTerm("couch")) == ["couch"]
    mute = TextTerm("red", modalities=("text",))
    assert starts(mute, TextTerm("sofa", modalities=("text", "graph"))) == ["sofa"]


def test_several_graphs_speak_one_after_the_other() -> None:
    terms = (TextTerm("red", modalities=("trade",)), EntityTerm("couch"))
    assert starts(*terms, graph=Known(), trade=Known()) == ["couch", "red", "couch"]


def test_an_index_without_a_graph_has_no_paths() -> None:
    assert explained(page(("1", {}), ("2", {})), [TextTerm("red")], {}, {}, ["en"]) == [[], []]


def test_an_item_term_brings_the_fields_that_were_read_and_its_id() -> None:
    graph = Known()
    vectors: dict[str, Vector] = {"graph": np.ones(1, dtype=np.float32)}
    stored = {"7": StoredItem("7", {"sku": "a"}, vectors)}
    assert starts(ItemTerm("7"), ItemTerm("8"), items=stored, graph=graph) == ["7", "8"]
    assert graph.asked == [{"sku": "a", "id": "7"}, {"id": "8"}]


def test_paths_lead_to_each_hit_by_its_own_fields() -> None:
    found = explained(page(("1", {"sku": "a"}), ("2", {})), [EntityTerm("couch")], {}, {"graph": Known()}, ["en"])
    assert [path.steps[-1].to.id for paths in found for path in paths] == ["1 a", "2 None"]

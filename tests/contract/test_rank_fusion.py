"""Rank fusion: made of the engine's own lists, on every engine with the same arithmetic."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from corpus import SPACES, Engine, direction, directions, grouped, within
from es_mappings.types import RRF_K, RRF_WINDOW, EncodedItem, Fusion, Has, Plan, QueryVector, Walk
from query_api.rrf import fuse, list_plans

TEXT, IMAGE, IMAGE_WORDS, GRAPH = SPACES


@pytest.fixture(scope="module")
def shelf(engine: Engine) -> list[EncodedItem]:
    titles = ["oak lamp", "lamp", "chair", "steel lamp", "oak chair", ""]
    spaces = [("text", "image"), ("text", "graph"), ("image",), ("text", "image_words", "graph"), (), ("graph",)]
    found = grouped(
        [{"title": titles[i % 6], "price": i} for i in range(60)],
        [directions(i, *spaces[i % len(spaces)]) if spaces[i % len(spaces)] else {} for i in range(60)],
    )
    engine.write(found)
    return found


def asked(shelf: list[EncodedItem], **more: object) -> Plan:
    weights = {"text": 1.0, "image": 0.5, "graph": 2.0}
    vectors = tuple(QueryVector(s, direction(1000, s.dims), weights[s.modality]) for s in SPACES)
    return replace(Plan(vectors, "oak lamp", Fusion("rrf", 0.75), within(shelf), size=100), **more)


def test_the_fusion_is_that_of_the_engines_own_lists(engine: Engine, shelf: list[EncodedItem]) -> None:
    plan = asked(shelf)
    lists = {name: engine.search(alone, shelf).hits for name, alone in list_plans(replace(plan)).items()}
    assert {name: len(hits) for name, hits in lists.items()} == {"text": 30, "image": 30, "graph": 30, "lexical": 40}
    fused = fuse({name: [hit.id for hit in hits] for name, hits in lists.items()}, plan)
    page = engine.search(plan, shelf)
    assert [(hit.id, hit.ranks) for hit in page.hits] == [(ranked.id, ranked.ranks) for ranked in fused]
    assert [hit.score for hit in page.hits] == pytest.approx([ranked.score for ranked in fused], abs=1e-9)


def test_hits_tell_their_ranks_and_what_stood_behind_them(engine: Engine, shelf: list[EncodedItem]) -> None:
    lamp = shelf[1]  # has text and graph, and one of the words
    plan = asked(shelf, vectors=tuple(QueryVector(s, lamp.vectors[s.name], 1.0) for s in (TEXT, GRAPH)))
    hit = engine.search(plan, shelf).hits[0]
    assert hit.id == lamp.item.id
    assert set(hit.cosines) == {"text", "graph"}
    assert hit.lexical is not None
    assert hit.ranks == {"text": 1, "graph": 1, "lexical": hit.ranks["lexical"]}
    assert hit.score == pytest.approx(2 / (RRF_K + 1) + 0.75 / (RRF_K + hit.ranks["lexical"]))
    assert hit.source == lamp.item.source


def test_pages_of_a_fusion_are_cut_from_one_list(engine: Engine, shelf: list[EncodedItem]) -> None:
    whole = engine.search(asked(shelf), shelf).hits
    paged = [h for offset in range(0, 70, 7) for h in engine.search(asked(shelf, size=7, offset=offset), shelf).hits]
    assert [(h.id, h.ranks) for h in paged] == [(h.id, h.ranks) for h in whole]


def test_one_list_keeps_its_order(engine: Engine, shelf: list[EncodedItem]) -> None:
    words = engine.search(asked(shelf, vectors=()), shelf).hits
    assert [h.id for h in words] == [h.id for h in engine.search(list_plans(asked(shelf))["lexical"], shelf).hits]
    assert [h.ranks for h in words] == [{"lexical": place} for place in range(1, 41)]


def test_ranks_are_those_of_the_filtered_lists(engine: Engine, shelf: list[EncodedItem]) -> None:
    plan = asked(shelf, filter=within(shelf, Has(("image", "image_words")), Has(("text",))))
    page = engine.search(plan, shelf)
    assert {hit.ranks["text"] for hit in page.hits} == set(range(1, 21))
    assert {hit.ranks["image"] for hit in page.hits} == set(range(1, 21))


def test_a_fusion_selects_fields_and_highlights(engine: Engine, shelf: list[EncodedItem]) -> None:
    plan = asked(shelf, vectors=(), fields=("title",), highlight=True, size=1)
    (hit,) = engine.search(plan, shelf).hits
    assert hit.source == {"title": "oak lamp"}
    assert hit.highlight == {"title": ["<em>oak</em> <em>lamp</em>"]}


@pytest.fixture(scope="module")
def crowd(engine: Engine) -> list[EncodedItem]:
    """More items than a list holds, each farther from the first axis than the one before; the last are lamps."""
    cosines = np.linspace(0.99, -0.99, RRF_WINDOW + 12)
    vectors = [np.array([c, (1 - c**2) ** 0.5, 0, 0, 0, 0], np.float32) for c in cosines]
    titles = [{"title": "lamp"} if i >= RRF_WINDOW + 4 else {} for i in range(len(vectors))]
    found = grouped(titles, [{"text": vector} for vector in vectors])
    engine.write(found)
    return found


def test_a_list_ends_with_its_window(engine: Engine, crowd: list[EncodedItem]) -> None:
    """The lamps stand in the list of words alone, and ahead of all: their weight is greater."""
    asked = (QueryVector(TEXT, np.eye(6, dtype=np.float32)[0]),)
    plan = Plan(asked, "lamp", Fusion("rrf", 9.0), within(crowd), size=20)
    page = engine.search(plan, crowd)
    assert [dict(hit.ranks) for hit in page.hits[:8]] == [{"lexical": place} for place in range(1, 9)]
    assert [hit.id for hit in page.hits[8:]] == [d.item.id for d in crowd[:12]]
    assert all(hit.cosines["text"] < -0.9 for hit in page.hits[:8])
    last = engine.search(replace(plan, size=5, offset=RRF_WINDOW - 5), crowd).hits
    assert [dict(hit.ranks) for hit in last] == [{"text": RRF_WINDOW - 13 + place} for place in range(1, 6)]


def test_a_walk_through_a_fusion_ends_with_its_window(engine: Engine, crowd: list[EncodedItem]) -> None:
    asked = (QueryVector(TEXT, np.eye(6, dtype=np.float32)[0]),)
    plan = Plan(asked, "lamp", Fusion("rrf"), within(crowd), size=120)
    walk: Walk | None = Walk()
    sizes = []
    while walk is not None:
        page = engine.searcher.search(replace(plan, walk=walk))
        sizes.append(len(page.hits))
        walk = page.next
    assert sizes == [120, 120, 120, 120, RRF_WINDOW - 480]


def test_only_a_fusion_gives_ranks(engine: Engine, shelf: list[EncodedItem]) -> None:
    hybrid = asked(shelf, fusion=Fusion("hybrid"))
    assert all(hit.ranks == {} for hit in engine.search(hybrid, shelf).hits)

"""Walks: every hit once and in order, over a view of the index that stands still while the index does not."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from corpus import SPACES, Engine, directions, document, grouped, within
from es_mappings.errors import InvalidRequest
from es_mappings.types import SCORE, EncodedItem, Facet, Fusion, Page, Plan, QueryVector, Sort, Walk
from query_api import cursor

ASKED = tuple(QueryVector(s, directions(1000)[s.name], 1.0) for s in SPACES[:2])
DOWN = {"descending": True}
ORDERS: dict[str, tuple[Sort, ...]] = {
    "score": (),
    "price": (Sort("price"),),
    "price-down": (Sort("price", **DOWN),),
    "made": (Sort("made"),),
    "made-down": (Sort("made", **DOWN),),
    "fresh-down": (Sort("fresh", **DOWN),),
    "tags": (Sort("tags"),),
    "tags-down": (Sort("tags", **DOWN),),
    "title-price": (Sort("title"), Sort("price", **DOWN)),
    "fresh-score": (Sort("fresh"), Sort(SCORE, **DOWN)),
    "score-up": (Sort(SCORE),),
}


def shelf(number: int = 20) -> list[EncodedItem]:
    """Items with ties and missing values everywhere, and with one title or another."""
    names = ("text", "image"), ("text",), ("image",)
    return grouped(
        [
            {
                "title": ["lamp", "oak lamp", "lamp chair", "steel"][i % 4],
                "price": [5, 7.5, None, [1, 9]][i // 2 % 4],
                "made": ["2020-01-01", None, "1950-06-07T08:09:10.011Z"][i % 3],
                "fresh": [True, None, False][i // 3 % 3],
                "tags": [["a", "~"], ["～"], ["💡", "b"], []][i // 5 % 4],
            }
            for i in range(number)
        ],
        [directions(i % 5, *names[i % 3]) if i != 7 else {} for i in range(number)],
    )


def plan_of(method: str, found: list[EncodedItem], **more: Any) -> Plan:
    vectors = () if method == "lexical" else ASKED
    words = None if method == "max" else "lamp"
    return replace(Plan(vectors, words, Fusion(method), within(found), size=3), **more)


def steps(engine: Engine, plan: Plan, between: Callable[[int], None] = lambda _: None) -> Iterator[Page]:
    """The pages of a walk; its place goes through a cursor each time, as it does for a client."""
    walk: Walk | None = Walk()
    number = 0
    while walk is not None:
        page = engine.searcher.search(replace(plan, walk=walk))
        yield page
        walk = page.next and cursor.decode(cursor.encode(page.next, "owner"), "owner")
        between(number)
        number += 1


def assert_gone(engine: Engine, plan: Plan, walk: Walk) -> None:
    with pytest.raises(InvalidRequest) as caught:
        engine.searcher.search(replace(plan, walk=walk))
    assert [problem.field for problem in caught.value.problems] == ["after"]


def meddler(engine: Engine, found: list[EncodedItem]) -> Callable[[int], None]:
    """Adds the best hit of all, takes an item out of the group, and gives another one other vectors and values."""
    group = found[0].item.source["group"]

    def meddle(number: int) -> None:
        best = {"title": "lamp lamp lamp", "price": 6, "made": "1980-01-01", "fresh": True, "tags": ["a"]}
        moved = found[(5 * number + 2) % len(found)].item.id
        changed = found[(7 * number + 1) % len(found)].item.id
        engine.write(
            [
                document(f"{group}-0{number:02}-new", directions(1000), **best, group=group),
                document(moved, directions(1), title="lamp", group=f"not {group}"),
                document(changed, directions(1000, "image"), title="chair", price=number, group=group),
            ]
        )

    return meddle


@pytest.mark.parametrize(
    ("method", "order"),
    [
        *(("max", order) for order in ORDERS),
        *(("hybrid", order) for order in ("score", "price", "fresh-score")),
        *(("lexical", order) for order in ("score", "made-down")),
        ("rrf", "score"),
    ],
)
def test_a_walk_shows_every_hit_once_while_the_index_changes(engine: Engine, method: str, order: str) -> None:
    found = shelf()
    engine.write(found)
    plan = plan_of(method, found, sort=ORDERS[order], facets=(Facet("fresh"),))
    before = engine.search(replace(plan, size=100), found)
    pages = list(steps(engine, plan, meddler(engine, found)))
    hits = [hit for page in pages for hit in page.hits]
    assert [hit.id for hit in hits] == [hit.id for hit in before.hits]
    assert [len(page.hits) for page in pages[:-1]] == [3] * (len(pages) - 1)
    assert len(pages) == math.ceil(len(before.hits) / 3)
    assert {(page.total, page.facets) for page in pages} == {(before.total, before.facets)}
    for hit, known in zip(hits, before.hits, strict=True):
        assert hit.score == pytest.approx(known.score, abs=1e-6)
        assert hit.lexical == pytest.approx(known.lexical, abs=1e-6)
        assert hit.cosines == pytest.approx(known.cosines, abs=1e-6)
        assert (hit.source, hit.ranks) == (known.source, known.ranks)
    assert {hit.id for hit in engine.searcher.search(replace(plan, size=100)).hits} != {hit.id for hit in hits}


@pytest.mark.parametrize("method", ["max", "rrf"])
@pytest.mark.parametrize(("number", "sizes"), [(6, [3, 3]), (7, [3, 3, 1]), (2, [2]), (3, [3])])
def test_a_walk_ends_with_its_last_hit(engine: Engine, method: str, number: int, sizes: list[int]) -> None:
    found = grouped([{"title": "lamp"}] * number)
    engine.write(found)
    pages = list(steps(engine, plan_of(method, found)))
    assert [len(page.hits) for page in pages] == sizes


def test_a_walk_through_nothing_ends_at_once(engine: Engine) -> None:
    found = grouped([{"title": "lamp"}])
    for method in ("max", "hybrid", "lexical", "rrf"):
        page = engine.searcher.search(plan_of(method, found, walk=Walk()))
        assert page.hits == ()
        assert page.next is None


def test_a_search_without_a_walk_has_no_next(engine: Engine) -> None:
    found = shelf()
    engine.write(found)
    for method in ("max", "hybrid", "lexical", "rrf"):
        assert engine.searcher.search(plan_of(method, found)).next is None


def test_walks_at_different_times_see_their_own_index(engine: Engine) -> None:
    found = grouped([{"price": i} for i in range(4)])
    plan = plan_of("max", found, sort=(Sort("price"),), size=1)
    engine.write(found[:3])
    early = steps(engine, plan)
    seen = [next(early)]
    engine.write([found[3], replace(found[2], item=replace(found[2].item, source={"id": found[2].item.id}))])
    late = steps(engine, plan)
    first = next(late)
    engine.write([found[2]])
    assert [h.source["price"] for page in (*seen, *early) for h in page.hits] == [0, 1, 2]
    assert [h.source["price"] for page in (first, *late) for h in page.hits] == [0, 1, 3]


def test_a_page_of_a_walk_can_be_asked_again(engine: Engine) -> None:
    """A client that lost the answer repeats its request."""
    found = shelf()
    engine.write(found)
    for method in ("max", "rrf"):
        plan = plan_of(method, found)
        second = engine.searcher.search(replace(plan, walk=Walk())).next
        assert second is not None
        once, again = (engine.searcher.search(replace(plan, walk=second)) for _ in range(2))
        assert [hit.id for hit in once.hits] == [hit.id for hit in again.hits]


@pytest.mark.parametrize("snapshot", ["unknown", "AAAA", "0", "💡", "../x", "x" * 3000])
@pytest.mark.parametrize("method", ["max", "lexical", "rrf"])
def test_an_unknown_snapshot_is_said_at_after(engine: Engine, method: str, snapshot: str) -> None:
    found = shelf()
    engine.write(found)
    plan = plan_of(method, found)
    after = engine.searcher.search(replace(plan, walk=Walk())).next
    assert after is not None
    assert_gone(engine, plan, replace(after, snapshot=snapshot))


@pytest.mark.parametrize("method", ["max", "lexical", "rrf"])
def test_the_snapshot_goes_with_the_last_page(engine: Engine, method: str) -> None:
    found = shelf()
    engine.write(found)
    plan = plan_of(method, found)
    *_, last, _ = steps(engine, plan)
    assert last.next is not None
    with pytest.raises(InvalidRequest, match=r'^after: has expired: begin again with "\*"'):
        engine.searcher.search(replace(plan, walk=last.next))


@pytest.mark.parametrize("after", [(), ("x",) * 7], ids=["none", "many"])
def test_a_forged_place_is_refused(engine: Engine, after: tuple[Any, ...]) -> None:
    found = shelf()
    engine.write(found)
    plan = plan_of("max", found)
    begun = engine.searcher.search(replace(plan, walk=Walk())).next
    assert begun is not None
    assert_gone(engine, plan, replace(begun, after=after))


def test_the_embedded_store_keeps_the_newest_walks(open_engine: Callable[[str], Engine]) -> None:
    """Each of them keeps the store's log from being shortened, so there are not any number of them."""
    engine = open_engine("embedded")
    found = shelf()
    engine.write(found)
    plan = plan_of("max", found)
    begun = [engine.searcher.search(replace(plan, walk=Walk())).next for _ in range(20)]
    for walk in begun[:4]:
        assert walk is not None
        assert_gone(engine, plan, walk)
    for walk in begun[4:]:
        assert len(engine.searcher.search(replace(plan, walk=walk)).hits) == 3

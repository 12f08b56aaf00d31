"""Orders: by filter fields and by the score, ties by id, cut into pages anywhere."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus import SPACES, Engine, direction, directions, grouped, within
from drawn import documents, filters, sorts, unranked_plans
from es_mappings.types import SCORE, EncodedItem, Filter, Fusion, Plan, QueryVector, Sort

ASKED = (QueryVector(SPACES[0], direction(1, SPACES[0].dims)),)


def order(engine: Engine, found: list[EncodedItem], *wanted: Sort, **more: Any) -> list[int]:
    """The positions of the documents in the order of the answer."""
    plan = Plan(ASKED, None, Fusion("max"), within(found), sort=wanted, size=100)
    page = engine.search(replace(plan, **more), found)
    positions = {d.item.id: i for i, d in enumerate(found)}
    return [positions[hit.id] for hit in page.hits]


@settings(max_examples=60)
@given(
    found=documents,
    plan=unranked_plans(),
    wanted=sorts,
    extra=st.none() | filters,
    offset=st.integers(0, 4),
    size=st.integers(1, 12),
)
def test_any_order_is_pythons(
    engine: Engine,
    found: list[EncodedItem],
    plan: Plan,
    wanted: tuple[Sort, ...],
    extra: Filter | None,
    offset: int,
    size: int,
) -> None:
    engine.write(found)
    engine.search(replace(plan, filter=within(found, extra), sort=wanted, offset=offset, size=size), found)


@pytest.mark.parametrize(
    ("field", "held", "ascending", "descending"),
    [
        ("price", [10, -1.5, None, 10.5, [], 9], [1, 5, 0, 3, 2, 4], [3, 0, 5, 1, 2, 4]),
        ("price", [[1, 100], 50, [2, 3], None], [0, 2, 1, 3], [0, 1, 2, 3]),  # the smallest, then the largest
        ("fresh", [True, False, None, [True, False], True], [1, 3, 0, 4, 2], [0, 3, 4, 1, 2]),
        (
            "made",
            ["2020-01-01T00:00:00+02:00", "2020-01-01", None, "1969-12-31T23:59:59.999Z", "2019-12-31T23:00:00Z"],
            [3, 0, 4, 1, 2],
            [1, 4, 0, 3, 2],
        ),
        ("colour", ["b", None, "B", "é", "", "ba", "a"], [4, 2, 6, 0, 5, 3, 1], [3, 5, 0, 6, 2, 4, 1]),
        ("colour", ["💡", "～", "中", "ｚ", "z"], [4, 2, 3, 1, 0], [0, 1, 3, 2, 4]),  # by code point
        ("tags", [["c", "a"], ["b"], [], ["c"]], [0, 1, 3, 2], [0, 3, 1, 2]),
        ("maker.name", ["b", None, "a", "b"], [2, 0, 3, 1], [0, 3, 2, 1]),
        ("title", ["Lamp", "lamp", "Oak lamp", "lamp"], [0, 2, 1, 3], [1, 3, 2, 0]),  # exactly, not as words
    ],
)
def test_an_order_by_a_field(
    engine: Engine, field: str, held: list[Any], ascending: list[int], descending: list[int]
) -> None:
    head, _, member = field.partition(".")
    found = grouped([{head: {member: value} if member else value} for value in held])
    engine.write(found)
    assert order(engine, found, Sort(field)) == ascending
    assert order(engine, found, Sort(field, descending=True)) == descending


def test_an_order_by_several_fields_and_the_score(engine: Engine) -> None:
    close, far = direction(1, 6), direction(2, 6)
    rows = [(5, "b", far), (5, "a", far), (5, "b", close), (3, "b", far), (None, "a", close), (5, "b", close)]
    found = grouped([{"price": p, "colour": c} for p, c, _ in rows], [{"text": vector} for *_, vector in rows])
    engine.write(found)
    price, colour, best = Sort("price", descending=True), Sort("colour"), Sort(SCORE, descending=True)
    assert order(engine, found, price, colour, best) == [1, 2, 5, 0, 3, 4]
    assert order(engine, found, best, colour) == [4, 2, 5, 1, 0, 3]
    assert order(engine, found, Sort(SCORE), price) == [0, 1, 3, 2, 5, 4]
    assert order(engine, found) == order(engine, found, best) == [2, 4, 5, 0, 1, 3]


@pytest.mark.parametrize("method", ["max", "hybrid", "lexical"])
@pytest.mark.parametrize(
    "wanted",
    [(Sort("price"),), (Sort("price", descending=True),), (Sort("tags"), Sort("fresh", descending=True)), ()],
    ids=["ascending", "descending", "two", "score"],
)
def test_pages_through_ties_show_every_item_once(engine: Engine, method: str, wanted: tuple[Sort, ...]) -> None:
    found = grouped(
        [{"title": "lamp", "price": [5, 7, None][i % 3], "tags": ["a", "b"][: i % 2]} for i in range(30)],
        [directions(i % 2) for i in range(30)],
    )
    engine.write(found[15:])
    engine.write(found[:15])
    plan = Plan(
        () if method == "lexical" else ASKED,
        None if method == "max" else "lamp",
        Fusion(method),
        within(found),
        sort=wanted,
        size=4,
    )
    whole = engine.search(replace(plan, size=100), found).hits
    paged = [h for offset in range(0, 32, 4) for h in engine.search(replace(plan, offset=offset), found).hits]
    assert [h.id for h in paged] == [h.id for h in whole]
    assert len(whole) == 30


def test_under_an_order_hits_have_scores_and_contributions(engine: Engine) -> None:
    found = grouped([{"title": "lamp", "price": 3}, {"title": "chair", "price": 1}])
    engine.write(found)
    page = engine.search(Plan(ASKED, "lamp", Fusion("hybrid"), within(found), sort=(Sort("price"),)), found)
    first, second = page.hits
    assert first.lexical is None
    assert second.lexical is not None
    assert second.score > first.score == pytest.approx(first.cosines["text"], abs=1e-5)

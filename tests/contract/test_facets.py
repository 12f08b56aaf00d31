"""Facets and totals: of the items that the filter leaves, and never of those that happen to be scored."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus import SPACES, Engine, direction, grouped, within
from drawn import documents, facet_leaves, facets, filters, unranked_plans
from es_mappings.types import (
    FACET_SIZE,
    AllOf,
    AnyOf,
    Bucket,
    EncodedItem,
    Exists,
    Facet,
    Filter,
    Fusion,
    Not,
    OneOf,
    Plan,
    Prefix,
    QueryVector,
    Range,
    Total,
)
from query_api.limits import MAX_COUNT

ASKED = (QueryVector(SPACES[0], direction(1, SPACES[0].dims)),)
RED, CHEAP, FRESH = OneOf("colour", ("red",)), Range("price", lt=20.0), OneOf("fresh", (True,))
PRICES = ((None, 10.0), (10.0, 20.0), (20.0, None))


def values(buckets: tuple[Bucket, ...]) -> list[tuple[Any, int]]:
    return [(b.value if b.value is not None else (b.start, b.end), b.count) for b in buckets]


@settings(max_examples=60)
@given(
    found=documents,
    plan=unranked_plans(),
    demands=st.lists(facet_leaves | filters, max_size=4),
    wanted=facets,
    count=st.none() | st.integers(0, 12),
    gone=st.integers(0, 4),
)
def test_any_facet_counts_what_python_counts(
    engine: Engine,
    found: list[EncodedItem],
    plan: Plan,
    demands: list[Filter],
    wanted: tuple[Facet, ...],
    count: int | None,
    gone: int,
) -> None:
    engine.write(found)
    exclude = tuple(d.item.id for d in found[gone : gone + 1])
    asked = {"filter": within(found, *demands), "exclude": exclude, "facets": wanted, "count": count}
    engine.search(Plan(plan.vectors, plan.words, plan.fusion, **asked), found)


@pytest.fixture(scope="module")
def shirts(engine: Engine) -> list[EncodedItem]:
    found = grouped(
        [
            {"colour": "red", "price": 5, "fresh": True, "title": "shirt"},
            {"colour": "red", "price": 10, "fresh": False, "title": "shirt"},
            {"colour": "red", "price": 25, "fresh": True, "title": "trousers"},
            {"colour": "blue", "price": 19.99, "fresh": True, "title": "shirt"},
            {"colour": "blue", "price": 20, "fresh": False, "title": "shirt"},
            {"colour": ["green", "red"], "price": [5, 30], "fresh": True, "title": "shirt"},
            {"colour": [], "fresh": None, "title": "shirt"},
        ],
        [{SPACES[0].name: direction(1, 6)}] * 6 + [{}],
    )
    engine.write(found)
    return found


def counts(engine: Engine, shirts: list[EncodedItem], *clauses: Filter, words: str | None = None) -> list[Any]:
    """Of colour, price and fresh, in this order."""
    wanted = (Facet("colour"), Facet("price", PRICES), Facet("fresh"))
    method = "max" if words is None else "lexical"
    vectors = ASKED if words is None else ()
    page = engine.search(Plan(vectors, words, Fusion(method), within(shirts, *clauses), facets=wanted), shirts)
    return [values(buckets) for buckets in page.facets]


def test_facets_come_in_the_order_asked_with_the_most_frequent_value_first(
    engine: Engine, shirts: list[EncodedItem]
) -> None:
    assert counts(engine, shirts) == [
        [("red", 4), ("blue", 2), ("green", 1)],
        [((None, 10.0), 2), ((10.0, 20.0), 2), ((20.0, None), 3)],  # 20 is the first of the third, 5 and 30 in two
        [("true", 4), ("false", 2)],
    ]


def test_a_facet_ignores_its_own_filter_and_no_other(engine: Engine, shirts: list[EncodedItem]) -> None:
    colours, prices, fresh = counts(engine, shirts, RED)
    assert colours == [("red", 4), ("blue", 2), ("green", 1)]
    assert prices == [((None, 10.0), 2), ((10.0, 20.0), 1), ((20.0, None), 2)]
    assert fresh == [("true", 3), ("false", 1)]


def test_two_chosen_facets_restrict_each_other(engine: Engine, shirts: list[EncodedItem]) -> None:
    colours, prices, fresh = counts(engine, shirts, RED, CHEAP)
    assert colours == [("red", 3), ("blue", 1), ("green", 1)]
    assert prices == [((None, 10.0), 2), ((10.0, 20.0), 1), ((20.0, None), 2)]
    assert fresh == [("true", 2), ("false", 1)]


@pytest.mark.parametrize(
    "own",
    [
        AllOf((AllOf((RED,)), Exists("colour"))),
        AnyOf((RED, OneOf("colour", ("blue",)))),
        Not(OneOf("colour", ("blue", "green"))),
        Not(AnyOf((OneOf("colour", ("green",)), Prefix("colour", "b")))),
        AnyOf((AllOf((RED, Exists("colour"))), Not(Exists("colour")))),
        Prefix("colour", "re"),
        Exists("colour"),
        Range("colour", gt="red"),
    ],
)
def test_what_speaks_of_one_field_alone_is_its_own_filter(
    engine: Engine, shirts: list[EncodedItem], own: Filter
) -> None:
    colours, _, _ = counts(engine, shirts, own, FRESH)
    assert colours == [("red", 3), ("blue", 1), ("green", 1)]


@pytest.mark.parametrize(
    ("shared", "expected"),
    [
        (AnyOf((RED, Range("price", gte=20.0))), [("red", 4), ("blue", 1), ("green", 1)]),
        (Not(AllOf((RED, FRESH))), [("blue", 2), ("red", 1)]),
        (AllOf((RED, AnyOf((FRESH, RED)))), [("red", 4), ("blue", 1), ("green", 1)]),
    ],
)
def test_what_speaks_of_other_fields_too_is_nobodys_own(
    engine: Engine, shirts: list[EncodedItem], shared: Filter, expected: list[Any]
) -> None:
    colours, _, _ = counts(engine, shirts, shared)
    assert colours == expected


def test_under_lexical_facets_count_what_the_words_match(engine: Engine, shirts: list[EncodedItem]) -> None:
    colours, prices, fresh = counts(engine, shirts, RED, words="shirt")
    assert colours == [("red", 3), ("blue", 2), ("green", 1)]
    assert prices == [((None, 10.0), 2), ((10.0, 20.0), 1), ((20.0, None), 1)]
    assert fresh == [("true", 2), ("false", 1)]


@pytest.mark.parametrize("method", ["max", "hybrid", "rrf"])
def test_else_they_count_what_the_filter_leaves_hit_or_not(
    engine: Engine, shirts: list[EncodedItem], method: str
) -> None:
    """The last one has no vector and no such word: it is no hit, and it is there all the same."""
    words = None if method == "max" else "trousers"
    plan = Plan(ASKED, words, Fusion(method), within(shirts), facets=(Facet("colour"),), size=2)
    page = engine.search(plan, shirts)
    assert page.total == Total(7)
    assert values(page.facets[0]) == [("red", 4), ("blue", 2), ("green", 1)]


def test_ranges_may_overlap_repeat_and_be_out_of_order(engine: Engine, shirts: list[EncodedItem]) -> None:
    ranges = ((20.0, None), (None, 20.0), (5.0, 6.0), (20.0, None), (0.0, 100.0), (26.0, 29.0))
    page = engine.search(Plan(ASKED, None, filter=within(shirts), facets=(Facet("price", ranges),)), shirts)
    assert values(page.facets[0]) == list(zip(ranges, (3, 4, 2, 3, 6, 0), strict=True))


def test_dates_and_numbers_are_values_too(engine: Engine) -> None:
    found = grouped(
        [
            {"made": "2013-09-05", "price": 10},
            {"made": "2013-09-05T02:00:00+02:00", "price": 10.0},
            {"made": ["2013-09-05T00:00:00.500Z", "2013-09-05"], "price": 10.5},
            {"made": "1969-07-20T20:17:40Z", "price": -3},
        ]
    )
    engine.write(found)
    start = 1_378_339_200_000.0
    wanted = (Facet("made"), Facet("price"))
    page = engine.search(Plan(ASKED, None, filter=within(found), facets=wanted), found)
    assert values(page.facets[0]) == [
        ("2013-09-05T00:00:00.000Z", 3),
        ("1969-07-20T20:17:40.000Z", 1),
        ("2013-09-05T00:00:00.500Z", 1),
    ]
    assert values(page.facets[1]) == [(10.0, 2), (-3.0, 1), (10.5, 1)]
    ranges = ((None, start), (start, start + 500), (start + 500, None))
    page = engine.search(Plan(ASKED, None, filter=within(found), facets=(Facet("made", ranges),)), found)
    assert values(page.facets[0]) == list(zip(ranges, (1, 3, 1), strict=True))


def test_a_facet_has_so_many_values_and_no_more(engine: Engine) -> None:
    found = grouped([{"tags": [f"t{i:02}" for i in range(60)]}, {"tags": ["t59", "～", "💡", "t58"]}])
    engine.write(found)
    page = engine.search(Plan(ASKED, None, filter=within(found), facets=(Facet("tags"),)), found)
    assert len(page.facets[0]) == FACET_SIZE
    assert values(page.facets[0])[:3] == [("t58", 2), ("t59", 2), ("t00", 1)]


def test_values_that_are_as_frequent_come_by_code_point(engine: Engine) -> None:
    tags = ["💡", "～", "中", "é", "a", "Z", ""]
    found = grouped([{"tags": tags}])
    engine.write(found)
    page = engine.search(Plan(ASKED, None, filter=within(found), facets=(Facet("tags"),)), found)
    assert values(page.facets[0]) == [(tag, 1) for tag in ("", "Z", "a", "é", "中", "～", "💡")]


def test_a_field_that_nobody_has_has_no_values_and_empty_ranges(engine: Engine) -> None:
    found = grouped([{}])
    engine.write(found)
    wanted = (Facet("colour"), Facet("price", PRICES), Facet("fresh"))
    page = engine.search(Plan(ASKED, None, filter=within(found), facets=wanted), found)
    assert page.facets == ((), tuple(Bucket(0, None, *bounds) for bounds in PRICES), ())


def test_items_of_the_query_are_not_counted(engine: Engine, shirts: list[EncodedItem]) -> None:
    plan = Plan(ASKED, None, filter=within(shirts), exclude=(shirts[5].item.id,), facets=(Facet("colour"),))
    page = engine.search(plan, shirts)
    assert values(page.facets[0]) == [("red", 3), ("blue", 2)]
    assert page.total == Total(6)


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (None, Total(7)),
        (0, None),
        (1, Total(1, False)),
        (6, Total(6, False)),
        (7, Total(7)),
        (10_000, Total(7)),
        (MAX_COUNT, Total(7)),
    ],
)
@pytest.mark.parametrize("method", ["max", "hybrid", "rrf"])
def test_a_total_is_counted_as_far_as_asked(
    engine: Engine, shirts: list[EncodedItem], method: str, count: int | None, expected: Total | None
) -> None:
    words = None if method == "max" else "shirt"
    page = engine.search(Plan(ASKED, words, Fusion(method), within(shirts), size=2, count=count), shirts)
    assert page.total == expected


def test_a_bounded_total_does_not_bound_facets(engine: Engine, shirts: list[EncodedItem]) -> None:
    for count in (0, 2):
        plan = Plan(ASKED, None, filter=within(shirts, RED), facets=(Facet("colour"), Facet("fresh")), count=count)
        page = engine.search(plan, shirts)
        assert values(page.facets[0]) == [("red", 4), ("blue", 2), ("green", 1)]
        assert values(page.facets[1]) == [("true", 3), ("false", 1)]


def test_bounded_totals_of_words(engine: Engine, shirts: list[EncodedItem]) -> None:
    for count, expected in ((3, Total(3, False)), (6, Total(6)), (0, None)):
        page = engine.search(Plan((), "shirt", Fusion("lexical"), within(shirts), count=count), shirts)
        assert page.total == expected

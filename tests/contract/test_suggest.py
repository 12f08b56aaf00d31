"""Suggestions: titles that go on as the user typed."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus import Engine, document

TITLES = (
    *("Oak chair", "Oak chair", "Oak chair", "Oak chest", "Oak chest", "Oak table", "Old oak chair"),
    *("Café table", "CAFÉ ROUND", "ＴＶ stand", "the art of the chair", "running shoes", "run"),
    *("木椅子", "木椅子", "木桌", "大木椅", "登山鞋", "椅子 oak", "oak 椅子"),
    *("💡 bright lamp", "O'Reilly's desk", "USB-C hub 3.5mm", "naïve art", "Straße lamp", "カメラ"),
    *("zebra two", "zebra one", "zebra three", "zebra"),
)


@pytest.fixture(scope="module")
def titled(engine: Engine, open_engine: Callable[[str], Engine]) -> Engine:
    """An index of its own: suggestions know no filter."""
    own = open_engine(engine.name)
    documents = [document(f"t{i}", title=title) for i, title in enumerate(TITLES)]
    more = [document("b", title="Hidden gem", body="velvet cushion"), document("n", colour="oak")]
    lists = [document("l", title=["Pine shelf", "Birch shelf"]), document("m", title=["Birch shelf", "Birch shelf"])]
    own.write([*documents, *more, *lists])
    return own


def suggested(engine: Engine, text: str, size: int = 50) -> list[tuple[str, int]]:
    return [(found.text, found.count) for found in engine.searcher.suggest(text, size)]


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("oak ch", [("Oak chair", 3), ("Oak chest", 2), ("Old oak chair", 1)]),
        ("oak chair", [("Oak chair", 3), ("Old oak chair", 1)]),
        ("oak chairs", []),
        ("chair", [("Oak chair", 3), ("Old oak chair", 1), ("the art of the chair", 1)]),
        ("ol", [("Old oak chair", 1)]),
        ("chair oak", []),  # in this order
        ("old chair", []),  # one after the other
        ("oa ch", []),  # only the last word may be unfinished
        ("木椅", [("木椅子", 2), ("大木椅", 1)]),
        ("木", [("木椅子", 2), ("木桌", 1), ("大木椅", 1)]),
        ("椅木", []),
        ("登山鞋", [("登山鞋", 1)]),
        ("山鞋", [("登山鞋", 1)]),
        ("登鞋", []),
        ("oak 椅", [("oak 椅子", 1)]),
        ("椅子 o", [("椅子 oak", 1)]),
        ("cafe", [("CAFÉ ROUND", 1), ("Café table", 1)]),
        ("café", [("CAFÉ ROUND", 1), ("Café table", 1)]),
        ("Cafe\u0301 t", [("Café table", 1)]),
        ("NAIVE", [("naïve art", 1)]),
        ("tv", [("ＴＶ stand", 1)]),
        ("ｔｖ ｓｔ", [("ＴＶ stand", 1)]),
        ("OAK CHE", [("Oak chest", 2)]),
        ("the a", [("the art of the chair", 1)]),  # no word is too common
        ("of the", [("the art of the chair", 1)]),
        ("runn", [("running shoes", 1)]),
        ("running", [("running shoes", 1)]),  # and none is stemmed
        ("runs", []),
        ("run", [("run", 1), ("running shoes", 1)]),
        ("  oak   che ", [("Oak chest", 2)]),
        ("oak, che", [("Oak chest", 2)]),
        ("velvet c", [("velvet cushion", 1)]),  # from the other field
        ("gem", [("Hidden gem", 1)]),
        ("zebra", [("zebra", 1), ("zebra one", 1), ("zebra two", 1), ("zebra three", 1)]),
        ("birch", [("Birch shelf", 2)]),  # the title that was meant, and once for each item
        ("shelf", [("Birch shelf", 2), ("Pine shelf", 1)]),
        ("💡", [("💡 bright lamp", 1)]),
        ("💡 br", [("💡 bright lamp", 1)]),
        ("bright", [("💡 bright lamp", 1)]),
        ("カメ", [("カメラ", 1)]),
        ("😀", []),
        ("unheard", []),
        ("", []),
        ("   ", []),
        ("?!", []),
        ("。，", []),
        ('"oak che*', [("Oak chest", 2)]),
    ],
)
def test_titles_that_go_on_as_typed(titled: Engine, typed: str, expected: list[tuple[str, int]]) -> None:
    assert suggested(titled, typed) == expected


def test_no_more_than_asked_and_the_best_of_them(titled: Engine) -> None:
    assert suggested(titled, "oak ch", 2) == [("Oak chair", 3), ("Oak chest", 2)]
    assert suggested(titled, "zebra", 1) == [("zebra", 1)]


@settings(max_examples=60)
@given(text=st.text(max_size=40))
def test_whatever_is_typed_is_no_syntax(titled: Engine, text: str) -> None:
    known = {*TITLES, "Hidden gem", "velvet cushion", "Pine shelf", "Birch shelf"}
    assert {title for title, _ in suggested(titled, text)} <= known


@pytest.mark.parametrize("words", ["oak " * 200, "木" * 500, "x" * 5000])
def test_a_long_text_is_no_trouble(titled: Engine, words: str) -> None:
    assert suggested(titled, words) == []


def test_what_was_written_again_is_suggested_as_it_is_now(fresh: Engine) -> None:
    fresh.write([document("a", title="Oak chair"), document("b", title="Oak chair")])
    assert suggested(fresh, "oak") == [("Oak chair", 2)]
    fresh.write([document("a", title="Pine chair")])
    assert suggested(fresh, "oak") == [("Oak chair", 1)]
    assert suggested(fresh, "pine") == [("Pine chair", 1)]


def test_many_titles_are_ranked_by_how_many_bear_them(fresh: Engine) -> None:
    fresh.write([document(f"{i}", title=f"lamp {i % 9:02}") for i in range(81) if i % 9 <= i // 9])
    found = suggested(fresh, "lamp", 4)
    assert found == [("lamp 00", 9), ("lamp 01", 8), ("lamp 02", 7), ("lamp 03", 6)]

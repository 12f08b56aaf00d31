"""Entities by the beginnings of their names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from encoders.parts import names as module
from encoders.parts.linking import tokens
from encoders.parts.names import Found, Name, NameIndex
from es_mappings.types import MATCHES

NAMES = [
    Name(0, "en", "Table"),
    Name(1, "en", "Table lamp"),
    Name(1, "zh", "台灯"),
    Name(2, "en", "Lamp"),
    Name(2, "zh", "灯"),
    Name(3, "es", "Taza"),
    Name(4, "en", "Coffee table"),
    Name(5, "ja", "ランプ"),
    Name(6, "en", "!?"),
]
PRIORITY = {0: 3.0, 2: 5.0}
INDEX = NameIndex(NAMES, PRIORITY)


def found(text: str) -> list[tuple[int, str, str]]:
    return [(f.name.entity, f.match, f.name.text) for f in INDEX.find(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("table", [(0, "name", "Table"), (1, "prefix", "Table lamp"), (4, "word", "Coffee table")]),
        (
            "ta",
            [(0, "prefix", "Table"), (3, "prefix", "Taza"), (1, "prefix", "Table lamp"), (4, "word", "Coffee table")],
        ),
        ("TABLE  La", [(1, "prefix", "Table lamp")]),
        ("lamp tab", [(1, "word", "Table lamp")]),
        ("tables", []),
        ("台", [(1, "prefix", "台灯")]),
        ("灯", [(2, "name", "灯"), (1, "word", "台灯")]),
        ("ﾗﾝ", [(5, "prefix", "ランプ")]),
        ("?", []),
        ("", []),
    ],
)
def test_what_is_typed_finds_what_it_may_become(text: str, expected: list[tuple[int, str, str]]) -> None:
    assert found(text) == expected


def test_the_score_is_the_typed_share_of_the_letters() -> None:
    assert [f.score for f in INDEX.find("table")] == [1.0, 5 / 9, 5 / 11]


def test_an_entity_is_found_by_its_best_name() -> None:
    index = NameIndex([Name(0, "de", "Lampenschirm"), Name(0, "en", "Lampshade"), Name(0, "fr", "lamp")], {})
    assert [f.name for f in index.find("lamp")] == [Name(0, "fr", "lamp")]
    assert [f.name for f in index.find("lamps")] == [Name(0, "en", "Lampshade")]


def test_of_very_many_names_those_of_the_highest_priority_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_EXAMINED", 10)
    index = NameIndex([Name(n, "en", f"chair {n}") for n in range(100)], {99: 1.0})
    assert [f.name.entity for f in index.find("chair")] == [99, *range(9)]


words = st.lists(st.sampled_from(["a", "ab", "abc", "b", "bc", "椅", "子", "椅子", "Ａb"]), max_size=3).map(" ".join)


@given(
    st.lists(st.tuples(st.integers(0, 4), words), max_size=12),
    st.dictionaries(st.integers(0, 4), st.floats(0, 9)),
    words,
)
def test_it_finds_what_looking_at_every_name_finds(
    pairs: list[tuple[int, str]], priority: dict[int, float], text: str
) -> None:
    index = NameIndex([Name(entity, "", name) for entity, name in pairs], priority)
    assert {(f.name.entity, f.match, f.score) for f in index.find(text)} == reference(pairs, text)
    assert [index.order(f) for f in index.find(text)] == sorted(map(index.order, index.find(text)))


def reference(pairs: list[tuple[int, str]], text: str) -> set[tuple[int, str, float]]:
    best: dict[int, tuple[int, float]] = {}
    *whole, last = tokens(text) or [None]
    for entity, name in pairs:
        own = tokens(name)
        if last is None or any(word not in own for word in whole) or not any(word.startswith(last) for word in own):
            continue
        typed, known = " ".join(tokens(text)), " ".join(own)
        tier = 0 if typed == known else 1 if known.startswith(typed) else 2
        share = min(len(typed.replace(" ", "")) / len(known.replace(" ", "")), 1.0)
        best[entity] = min(best.get(entity, (9, 0.0)), (tier, -share))
    return {(entity, MATCHES[tier], -share) for entity, (tier, share) in best.items()}


def test_a_found_entity_bears_its_name() -> None:
    assert INDEX.find("taz") == [Found(Name(3, "es", "Taza"), "prefix", 0.75)]

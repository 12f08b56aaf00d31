"""From free text to entities."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from encoders.parts.linking import LONGEST_NAME, MOST_ENTITIES, EntityLinker, tokens

NAMES = [
    ("couch", "Couch"),
    ("couch", "沙发"),
    ("couch", "ソファ"),
    ("couch", "🛋️"),
    ("red", "red"),
    ("red", "红"),
    ("lamp", "Lamp"),
    ("table", "Table"),
    ("table-lamp", "Table lamp"),
    ("table-lamp", "台灯"),
    ("desk", "办公桌"),
    ("shirt", "T-shirt"),
    ("shirt", "T恤"),
    ("glass", "Glass"),
    ("news", "News"),
    ("new", "New"),
    ("boxes", "Boxes"),
    ("cafe", "Café"),
    ("woman", "👩"),
    ("astronaut", "👩\u200d🚀"),
    ("the", "The"),
    ("of", "的"),
    ("it", "これ"),
    ("empty", "!?"),
    ("hindi", "कुर्सी"),
]
LINKER = EntityLinker(NAMES, {})


def entities(text: str) -> list[str]:
    return [link.entity for link in LINKER.link(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Couch", ["couch"]),
        ("  ＣＯＵＣＨ  ", ["couch"]),
        ("a red couch, please", ["red", "couch"]),
        ("the table lamp", ["table-lamp"]),
        ("a table, a lamp", ["table", "lamp"]),
        ("red-couch", ["red", "couch"]),
        ("T SHIRT", ["shirt"]),
        ("cafe\u0301", ["cafe"]),
        ("cafe", []),
        ("couchsurfing", []),
        ("कुर्सी", ["hindi"]),
        ("", []),
        ("  \n ?!", []),
    ],
)
def test_words(text: str, expected: list[str]) -> None:
    assert entities(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("couches", ["couch"]),
        ("red tables", ["red", "table"]),
        ("table lamps", ["table-lamp"]),
        ("box", ["boxes"]),
        ("glass", ["glass"]),
        ("glasses", ["glass"]),
        ("news", ["news"]),  # the very form wins over the plural of another
        ("new", ["new"]),
        ("glas", []),
    ],
)
def test_english_plurals_on_either_side(text: str, expected: list[str]) -> None:
    assert entities(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("沙发", ["couch"]),
        ("我想要一个沙发和台灯", ["couch", "table-lamp"]),
        ("办公桌", ["desk"]),
        ("红", ["red"]),
        ("红色的桌子", []),  # one character inside a text is not taken for a word
        ("红 沙发", ["couch"]),
        ("ソファが欲しい", ["couch"]),
        ("ｿﾌｧ", ["couch"]),
        ("白いT恤", ["shirt"]),
        ("Couch沙发", ["couch", "couch"]),
    ],
)
def test_chinese_and_japanese(text: str, expected: list[str]) -> None:
    assert entities(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("🛋", ["couch"]), ("I want a 🛋️!", ["couch"]), ("👩\u200d🚀", ["astronaut"]), ("👩🏽", []), ("hi 👩", ["woman"])],
)
def test_emoji(text: str, expected: list[str]) -> None:
    assert entities(text) == expected


@pytest.mark.parametrize("text", ["the", "The of the", "的", "これ", "what is it"])
def test_stop_words_alone_name_nothing(text: str) -> None:
    assert LINKER.link(text) == ()


def test_scores_names_and_places() -> None:
    (full,) = LINKER.link("table LAMP")
    assert full == ("table-lamp", "Table lamp", 1.0, 0, 2)
    first, second = LINKER.link("red big couch")
    assert (first.name, first.start, first.end, first.score) == ("red", 0, 1, 3 / 11)
    assert (second.name, second.start, second.end, second.score) == ("Couch", 2, 3, 5 / 11)


def test_an_ambiguous_name_gives_all_its_entities_the_important_ones_first() -> None:
    linker = EntityLinker([("item", "Sofa"), ("tag", "sofa"), ("tag", "SOFA")], {"tag": 9.0})
    assert [link.entity for link in linker.link("sofas")] == ["tag", "item"]


def test_a_name_of_very_many_entities_is_capped() -> None:
    linker = EntityLinker([(str(n), "Chair") for n in range(1000)] + [("tag", "chair")], {"tag": 1.0})
    links = linker.link("a chair")
    assert len(links) == MOST_ENTITIES and links[0].entity == "tag"


def test_a_name_longer_than_the_window_is_found_as_the_full_text_only() -> None:
    name = " ".join(f"word{n}" for n in range(LONGEST_NAME + 1))
    linker = EntityLinker([("long", name)], {})
    assert linker.link(name) and not linker.link(f"{name} more")


@given(
    st.text() | st.lists(st.sampled_from([name for _, name in NAMES] + [" ", "s", "の", "\u200d", "🏽"])).map("".join)
)
def test_linking_never_fails_and_places_never_overlap(text: str) -> None:
    links = LINKER.link(text)
    places = sorted({(link.start, link.end) for link in links})
    assert all(a[1] <= b[0] for a, b in pairwise(places))
    assert all(0 <= link.start < link.end <= len(tokens(text)) and 0 < link.score <= 1 for link in links)
    assert sum(end - start for start, end in places) <= len(tokens(text))


@given(st.text(min_size=1))
def test_every_name_finds_itself_unless_it_is_nothing_but_stop_words(name: str) -> None:
    linker = EntityLinker([("e", name)], {})
    found = linker.link(name)
    assert not found or found[0] == ("e", name, 1.0, 0, len(tokens(name)))


@given(st.text(st.one_of(st.characters(), st.sampled_from("aß沙发カ가\u0301\ufe0f🏽👍🛋 +_ก็")), max_size=12))
def test_what_is_ignored_changes_no_token(text: str) -> None:
    """A soft hyphen at the end is ignored, but makes tokens be found character by character."""
    assert tokens(text) == tokens(f"{text}\u00ad")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("e\u0301te\u0301", ["été"]),
        ("x\u0300yz", ["x\u0300yz"]),
        ("沙发 Sofa沙", ["沙", "发", "sofa", "沙"]),
        ("👍🏽👍", ["👍🏽", "👍"]),
        ("👩\u200d🚀", ["👩\u200d🚀"]),
        ("\u0301 沙\u0301a", ["沙\u0301", "a"]),
        ("ab\u200dcé", ["abcé"]),
    ],
)
def test_modifiers_and_joiners(text: str, expected: list[str]) -> None:
    assert tokens(text) == expected

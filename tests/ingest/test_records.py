"""Bad records are named and set aside; good ones pass."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from corpus import LEXICAL, Encodes
from es_mappings.schema import build_schema
from es_mappings.types import Item
from ingest.letters import DeadLetters, read_letters
from ingest.records import Rejected, validate
from ingest.sources import read

SCHEMA = build_schema(LEXICAL, [Encodes()])


def test_lines_become_items_or_reasons(tmp_path: Path) -> None:
    lines = [
        b'{"id": "a", "title": "x"}',
        b"",
        b'{"id": "b", "price": NaN}',
        b"[1]",
        b'{"title": "no id"}',
        b'{"id": 7}',
        b'{"id": "c", "maxcos": {}}',
        b'{"id": "' + b"x" * 513 + b'"}',
        b'{"id": "\xff"}',
        '{"id": "末", "n": null}'.encode(),
    ]
    file = tmp_path / "items.jsonl"
    file.write_bytes(b"\n".join(lines))
    found = list(read(file, SCHEMA))
    items = [f for f in found if isinstance(f, Item)]
    rejected = [f for f in found if isinstance(f, Rejected)]
    assert [item.id for item in items] == ["a", "末"]
    assert [r.place for r in rejected] == [f"items.jsonl:{n}" for n in (3, 4, 5, 6, 7, 8, 9)]
    assert [r.reason.split(":")[0] for r in rejected] == [
        "not JSON",
        "not a JSON object",
        "id",
        "id",
        "maxcos",
        "id",
        "not JSON",
    ]


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ({"title": "x", "price": 3, "tags": ["a", "b"], "fresh": False, "made": "2020-01-01"}, None),
        ({"title": ["x", "y"], "colour": 5}, None),
        ({"title": {"en": "x"}}, "title"),
        ({"price": "3"}, "price"),
        ({"price": [1, None]}, "price"),
        ({"fresh": "yes"}, "fresh"),
        ({"made": "31.12.2020"}, "made"),
        ({"tags": [["a"]]}, "tags"),
    ],
)
def test_an_item_an_engine_would_refuse_is_refused_first(source: dict[str, Any], problem: str | None) -> None:
    rejected = validate(Item("i", source, "f:1"), SCHEMA)
    assert (rejected.reason.split(":")[0] if rejected else None) == problem


def test_dead_letters_are_made_on_the_first_one_and_say_all(tmp_path: Path) -> None:
    file = tmp_path / "dead.jsonl"
    file.write_text("old")
    with DeadLetters(file) as letters:
        assert not file.exists()
        letters.add(Rejected("f:3", "image: broken", {"id": "a"}, lost="image"))
    assert json.loads(file.read_text()) == {
        "place": "f:3",
        "reason": "image: broken",
        "lost": "image",
        "record": {"id": "a"},
    }


def test_letters_can_be_read_again(tmp_path: Path) -> None:
    file = tmp_path / "dead.jsonl"
    with DeadLetters(file) as letters:
        letters.add(Rejected("f:3", "image: broken", {"id": "a"}, lost="image"))
        letters.add(Rejected("f:3", "text: broken", {"id": "a"}, lost="text"))
        letters.add(Rejected("f:4", "not JSON: x", "{"))
        letters.add(Rejected("f:5", "503", {"id": "b", "title": "x"}))
    assert list(read_letters(file)) == [
        Item("a", {"id": "a"}, "f:3"),
        Rejected("f:4", "not JSON: x", "{"),
        Item("b", {"id": "b", "title": "x"}, "f:5"),
    ]

"""Cursors: what goes in comes out, and nothing else gets in."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from es_mappings.errors import InvalidRequest
from es_mappings.types import Walk
from query_api import cursor

OWNER = "0123456789abcdef"

plain = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
walks = st.builds(Walk, st.none() | st.text(), st.none() | st.lists(plain, max_size=6).map(tuple))


def typed(walk: Walk) -> Any:
    """1, 1.0 and True are equal in Python and different in a sort; so are 0.0 and -0.0."""
    return walk.snapshot, None if walk.after is None else [(type(v), repr(v)) for v in walk.after]


@given(walks)
def test_a_walk_survives_exactly(walk: Walk) -> None:
    token = cursor.encode(walk, OWNER)
    assert typed(cursor.decode(token, OWNER)) == typed(walk)
    assert set(token) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


def test_the_star_begins() -> None:
    assert cursor.decode("*", OWNER) == Walk()


@given(walks)
def test_another_query_refuses_it(walk: Walk) -> None:
    with pytest.raises(InvalidRequest, match=r"^after: belongs to another query"):
        cursor.decode(cursor.encode(walk, OWNER), "fedcba9876543210")


def assert_refused(token: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        cursor.decode(token, OWNER)
    assert [problem.field for problem in caught.value.problems] == ["after"]


@given(st.text().filter(lambda text: text != "*"))
def test_any_text_is_refused(token: str) -> None:
    assert_refused(token)


@given(walks, st.data())
def test_a_damaged_token_is_refused_or_means_the_same(walk: Walk, data: st.DataObject) -> None:
    token = cursor.encode(walk, OWNER)
    place = data.draw(st.integers(0, len(token) - 1))
    damaged = token[:place] + data.draw(st.sampled_from(["", "A", "_", "é", "=", " "])) + token[place + 1 :]
    try:
        found = cursor.decode(damaged, OWNER)
    except InvalidRequest:
        return
    assert typed(found) == typed(walk)


def forged(content: bytes) -> str:
    return base64.urlsafe_b64encode(cursor._checksum(content) + content).rstrip(b"=").decode()


@given(st.recursive(plain, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=12))
def test_a_forged_token_is_plain_values_or_refused(content: Any) -> None:
    for value in (content, [OWNER, content, []], [OWNER, None, content], [OWNER, "view", [content]]):
        try:
            walk = cursor.decode(forged(json.dumps(value).encode()), OWNER)
        except InvalidRequest as error:
            assert [problem.field for problem in error.problems] == ["after"]
        else:
            assert all(isinstance(v, str | int | float | None) for v in walk.after or ())


@given(st.binary())
def test_forged_bytes_are_refused(content: bytes) -> None:
    assert_refused(forged(content))


@pytest.mark.parametrize(
    "content", [b"[" * 30_000, b"1" * 10_000, b'["0123456789abcdef",null,[1' + b"0" * 9_000 + b"]]"]
)
def test_what_upsets_a_json_reader_is_refused(content: bytes) -> None:
    assert_refused(forged(content))


def test_values_that_are_not_json_do_not_get_in() -> None:
    with pytest.raises(TypeError, match="plain JSON"):
        cursor.encode(Walk("view", ((1, 2),)), OWNER)


@given(st.dictionaries(st.text(), plain), st.none() | st.binary())
def test_a_digest_tells_requests_apart(body: dict[str, Any], image: bytes | None) -> None:
    same = cursor.digest({**dict(reversed(body.items())), "after": "x"}, image)
    rest = {name: value for name, value in body.items() if name != "after"}
    assert same == cursor.digest(rest, image)
    assert same != cursor.digest({**rest, "one more": 1}, image)
    assert same != cursor.digest(rest, b"picture" + (image or b""))

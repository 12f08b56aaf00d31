"""What people type, as the text that encoders have seen."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from encoders.parts.typed import readable


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("Ｗｏｏｄｅｎ　ｃｈａｉｒ，２０ cm", "Wooden　chair，20 cm"),
        ("ﾍﾞｯﾄﾞ", "ベッド"),
        ("WOODEN CHAIR 2", "wooden chair 2"),
        ("ＷＯＯＤＥＮ", "wooden"),
        ("ДИВАН", "диван"),
        ("USB", "USB"),
        ("HDMI 2.1", "HDMI 2.1"),
        ("iPhone CASE", "iPhone CASE"),
        ("沙发 TV", "沙发 TV"),
        ("🛋️", "couch and lamp"),
        ("👩🏽‍🚀 ?", "woman rocket"),
        ("sofa 🛋️", "sofa 🛋️"),
        ("椅子（白）、m² ① ™ ﬁn 😀", "椅子（白）、m² ① ™ ﬁn 😀"),
        ("?!", "?!"),
        ("", ""),
    ],
)
def test_how_a_query_is_read(text: str, read: str) -> None:
    assert readable(text) == read


@given(st.text())
def test_reading_twice_is_reading_once(text: str) -> None:
    assert readable(readable(text)) == readable(text)


@given(
    st.text(alphabet=st.characters(categories=["Ll", "Lo", "Zs", "Nd"], exclude_characters="", max_codepoint=0xFEFF))
)
def test_usual_texts_stay(text: str) -> None:
    assert readable(text) == text

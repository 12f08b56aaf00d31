"""Which script a text is written in. It is the script, not the language: German and English are both Latin."""

from __future__ import annotations

import unicodedata
from collections import Counter

SCRIPTS = ("Latin", "Cyrillic", "Greek", "Arabic", "Hebrew", "Devanagari", "Thai", "Hangul", "Kana", "Han")
_NAMES = {
    **{script.upper(): script for script in SCRIPTS},
    "CJK": "Han",
    "HIRAGANA": "Kana",
    "KATAKANA": "Kana",
    "FULLWIDTH": "Latin",
    "HALFWIDTH": "Kana",
}
"""The first word of a letter's Unicode name tells its script. (Compatibility forms are unified beforehand.)"""

NONE, OTHER = "none", "other"


def script(text: str) -> str:
    """The script of most letters; kana anywhere is Kana, since Japanese mixes it with Han. `none`: no letter at all."""
    found = Counter(_script_of(c) for c in unicodedata.normalize("NFKC", text) if c.isalpha())
    if not found:
        return NONE
    return "Kana" if found["Kana"] else max(found, key=lambda name: (found[name], name))


def _script_of(letter: str) -> str:
    return _NAMES.get(unicodedata.name(letter, "").partition(" ")[0], OTHER)

"""Which script a field is meant for.

It is the script, not the language: German in an English field is not seen.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from encoders.parts.scripts import NONE

_LANGUAGES: Mapping[str, frozenset[str]] = {
    "zh": frozenset({"Han"}),
    "ja": frozenset({"Kana", "Han"}),
    "ko": frozenset({"Hangul", "Han"}),
    **dict.fromkeys(("ru", "uk", "bg", "be", "mk"), frozenset({"Cyrillic"})),
    "el": frozenset({"Greek"}),
    **dict.fromkeys(("ar", "fa", "ur"), frozenset({"Arabic"})),
    "he": frozenset({"Hebrew"}),
    "hi": frozenset({"Devanagari"}),
    "th": frozenset({"Thai"}),
    **dict.fromkeys(
        ("en", "de", "fr", "es", "it", "pt", "nl", "pl", "sv", "da", "fi", "no", "cs", "tr", "vi"), frozenset({"Latin"})
    ),
}
_SUFFIX = re.compile(r"[_.-]([a-z]{2})$")

MAIN = 0.9
"""A field whose name says nothing is meant for the script that this share of its values has."""


def expected(field: str, counts: Mapping[str, int]) -> frozenset[str]:
    """The scripts that a field is meant for; empty when neither its name (`title_zh`, `title.ja`) nor its values say.

    counts: how many items have a value of it in which script.
    """
    suffix = _SUFFIX.search(field)
    if suffix and suffix[1] in _LANGUAGES:
        return _LANGUAGES[suffix[1]]
    written = {name: count for name, count in counts.items() if name != NONE}
    total = sum(written.values())
    return frozenset(name for name, count in written.items() if count >= MAIN * total)

"""What people type, as the text that encoders have seen. Items' texts stay as they are.

`benchmarks/noisy_queries.py` measures what these forms cost otherwise (docs/quality.md).
"""

from __future__ import annotations

import re
import unicodedata

ACRONYM = 4
"""A query in capitals with no more letters may be one (USB, HDMI), and stays."""

_WIDTHS = re.compile("[\uff10-\uff19\uff21-\uff3a\uff41-\uff5a\uff66-\uff9f]+")
"""Wide Latin letters and digits, and narrow kana: an input method's, and in the vocabulary of few models."""


def readable(text: str) -> str:
    """The query with the usual forms of wide and narrow letters, not shouted, and with names for lone emoji."""
    return _named(_calm(_usual_width(text)))


def _usual_width(text: str) -> str:
    return _WIDTHS.sub(lambda letters: unicodedata.normalize("NFKC", letters[0]), text)


def _calm(text: str) -> str:
    """In small letters if there are none: to a model that knows the difference capitals are names and acronyms."""
    return text.lower() if text.isupper() and sum(map(str.isalpha, text)) > ACRONYM else text


def _named(text: str) -> str:
    """The symbols by their Unicode names, such as "couch and lamp", where a query has nothing else.

    Beside words they would only be in the way.
    """
    if any(map(str.isalnum, text)):
        return text
    names = [unicodedata.name(c, "").lower() for c in text if unicodedata.category(c) == "So"]
    return " ".join(filter(None, names)) or text

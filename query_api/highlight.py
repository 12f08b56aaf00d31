"""Highlights: engines set marks, and this makes HTML of the marked text, which is safe to show as it is."""

from __future__ import annotations

import html

# Private-use characters: no user's text has them, and no engine's analysis or escaping touches them.
OPEN, CLOSE = "\ue000", "\ue001"


def to_html(marked: str) -> str:
    """Escaped text with <em> around each match; matches that touch are one."""
    joined = html.escape(marked.replace(CLOSE + OPEN, ""), quote=False)
    return joined.replace(OPEN, "<em>").replace(CLOSE, "</em>")


def marked_length(marked: str) -> int:
    """How many characters are marked."""
    return sum(len(piece.partition(CLOSE)[0]) for piece in marked.split(OPEN)[1:])

"""Texts in pieces that can be left out one by one."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

_SPACELESS = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f"
)
_SYMBOLS = "\u2190-\u2bff\U0001f000-\U0001faff"
_WORD = re.compile(rf"[{_SPACELESS}{_SYMBOLS}]|[^\W{_SPACELESS}]+(?:['’.-][^\W{_SPACELESS}]+)*")


def words(text: str) -> int:
    """How many words a text has; scripts without spaces (Han, kana, Thai …) count by the character."""
    return sum(1 for _ in _WORD.finditer(text))


def pieces(text: str, size: int) -> list[str]:
    """The text cut in front of every `size`-th word; joined, the pieces are the text again. None without a word."""
    starts = [found.start() for found in _WORD.finditer(text)][::size]
    return [text[i:j] for i, j in zip([0, *starts[1:]], [*starts[1:], len(text)], strict=True)] if starts else []


def without(cut: Sequence[str], left_out: int) -> str:
    return "".join(piece for number, piece in enumerate(cut) if number != left_out)


def folded(text: str) -> frozenset[str]:
    """The words of a text as readers take them for the same: whatever their case, width and accents."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", text).casefold() if not unicodedata.combining(c))
    return frozenset(_WORD.findall(unicodedata.normalize("NFC", plain)))

"""Find the entities of a knowledge graph that a free text names, in any language.

Text and names are cut into the same tokens, and the text's runs of tokens are looked up in a dictionary: the
cost depends on the text's length, not on the number of names.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Literal, NamedTuple

MOST_ENTITIES = 16
"""Entities returned for one name."""
LONGEST_NAME = 16
"""Tokens of a name that is found inside a longer text; the full text may be longer."""
LONGEST_TEXT = 512
"""Tokens of a text that are looked at; what is longer is no query."""

_STOP_WORDS = """
a about all also am an and any are as at be been but by can could do does for from had has have he her here him
his how i if in into is it its just me more my no nor not of off on or our out over s she so some such t than
that the their them then there these they this those to too under up us very was we were what when where which
who why will with would you your
的 了 和 与 是 在 有 不 我 你 他 她 它 这 那 个 们 也 就 都 而 及 或
の は が を に へ と も で や か な
"""
_STOP_PHRASES = "これ それ あれ この その あの です ます する から まで こと もの"

_ASCII_TOKEN = re.compile(r"[a-z0-9_]+|[$+<=>^`|~]")
# Scripts written without spaces (kana, Han, Thai, Lao, Burmese, Khmer), and Hangul, whose particles are glued on.
_SPACELESS = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf"
    "\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff]"
)
_JOINER = "\u200d"
_VARIATION_SELECTORS = {"\ufe0e", "\ufe0f"}

Kind = Literal["gap", "word", "character", "symbol", "modifier", "joiner", "ignored"]


class Link(NamedTuple):
    """One entity that a text names.

    name: the known name as it was given. score: the share of the text's letters that the name covers, 1 for all.
    start, end: the place of the match in token numbers, end excluded; entities that share a name share it.
    """

    entity: str
    name: str
    score: float
    start: int
    end: int


class EntityLinker:
    """From texts to entities by known names; it guesses nothing: a text without a known name has no entity."""

    def __init__(
        self, names: Sequence[tuple[str, str]], priority: Mapping[str, float], keys: Sequence[str] | None = None
    ) -> None:
        """names: pairs of entity and name or alias. priority: the entities to put first where many share a name.

        keys: of the names, see `keys_of`, where they are known.
        """
        keys = keys_of(name for _, name in names) if keys is None else keys
        self._exact: dict[str, list[tuple[str, str]]] = {}
        self._plural: dict[str, list[tuple[str, str]]] = {}
        for row in sorted(range(len(names)), key=lambda row: -priority.get(names[row][0], 0.0)):
            key = keys[row]
            if not key or _is_stop(key):
                continue
            _add(self._exact, key, names[row])
            if key.endswith("s"):
                for singular in _singulars(key):
                    _add(self._plural, singular, names[row])

    def link(self, text: str) -> tuple[Link, ...]:
        """Entities of the full text, else of the longest names inside it, none of which overlap, in reading order.

        Names match whole words; in scripts without spaces any run of at least two characters. Case, width and
        punctuation do not matter, nor does an English plural of the last word, unless that form is a name too.
        Stop words alone name nothing.
        """
        words = tokens(text)[:LONGEST_TEXT]
        letters = sum(map(len, words))
        if found := self._named(" ".join(words)):
            return tuple(Link(entity, name, 1.0, 0, len(words)) for entity, name in found)
        links: list[Link] = []
        for start, end, found in self._spans(words):
            score = sum(map(len, words[start:end])) / letters
            links += (Link(entity, name, score, start, end) for entity, name in found)
        return tuple(links)

    def _spans(self, words: list[str]) -> list[tuple[int, int, list[tuple[str, str]]]]:
        """Longest names first, each taken where no longer one lies; then in reading order."""
        spans = []
        for start in range(len(words)):
            for end in range(start + 1, min(start + LONGEST_NAME, len(words)) + 1):
                if end == start + 1 and _SPACELESS.match(words[start]):
                    continue  # one character inside a text of such a script is rarely the word it could be alone
                if found := self._named(" ".join(words[start:end])):
                    spans.append((start, end, found))
        taken: set[int] = set()
        kept = []
        for span in sorted(spans, key=lambda s: (-sum(map(len, words[s[0] : s[1]])), s[0])):
            places = range(span[0], span[1])
            if taken.isdisjoint(places):
                taken.update(places)
                kept.append(span)
        return sorted(kept, key=lambda span: span[0])

    def _named(self, key: str) -> list[tuple[str, str]]:
        """Entities and names of a key: as it stands, else with plurals taken off the text, the name, or both."""
        if _is_stop(key):
            return []
        if found := self._exact.get(key):
            return found
        singulars = _singulars(key)
        for singular in singulars:
            if found := self._exact.get(singular):
                return found
        for form in (key, *singulars):
            if found := self._plural.get(form):
                return found
        return []


def tokens(text: str) -> list[str]:
    """The parts of a text that matching goes by, after NFKC and case folding (so full width equals half width).

    A run of letters and digits is one token; a character of a script without spaces is one; an emoji with its
    modifiers is one; punctuation and spaces only separate.
    """
    if text.isascii():
        return _ASCII_TOKEN.findall(text.lower())
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    if text.isascii():
        return _ASCII_TOKEN.findall(text)
    kinds = text.translate(_KINDS)
    if "j" not in kinds and "i" not in kinds:
        return [text[found.start() : found.end()] for found in _TOKEN.finditer(kinds)]
    found: list[str] = []
    before: Kind = "gap"
    for character in text:
        kind = _kind(character)
        if kind == "ignored":
            continue
        glued = _is_glued(before, kind)
        if glued:
            found[-1] += character
        elif kind in {"word", "character", "symbol"}:
            found.append(character)
        # A modifier belongs to what it follows; a joiner joins nothing but emoji.
        if kind != "modifier" and (kind != "joiner" or glued):
            before = kind
    return found


def _is_glued(before: Kind, kind: Kind) -> bool:
    """Whether a character of a kind continues the token that a character of the kind `before` ended."""
    if kind == "modifier":
        return before != "gap"
    return (before, kind) in {("word", "word"), ("symbol", "joiner"), ("joiner", "symbol")}


@lru_cache(maxsize=65536)
def _kind(character: str) -> Kind:
    if _SPACELESS.match(character):
        return "character"
    if character == _JOINER:
        return "joiner"
    category = unicodedata.category(character)
    if character in _VARIATION_SELECTORS or category == "Cf":
        return "ignored"
    if category[0] == "M" or "\U0001f3fb" <= character <= "\U0001f3ff":
        return "modifier"
    if category[0] in "LN" or character == "_":
        return "word"
    return "symbol" if category[0] == "S" else "gap"


class _Kinds(dict[int, str]):
    """By code point the first letter of its kind: what `str.translate` asks for."""

    def __missing__(self, code: int) -> str:
        letter = self[code] = _kind(chr(code))[0]
        return letter


_KINDS = _Kinds()
_TOKEN = re.compile("w[wm]*|[cs]m*")
"""A token without joiners, by the letters of kinds: what `_is_glued` says, in one step."""


def keys_of(names: Iterable[str]) -> list[str]:
    """Of each name its tokens as one text, which is what indices of names go by: equal names have equal keys."""
    return [" ".join(tokens(name)) for name in names]


@lru_cache(maxsize=1)
def _stops() -> tuple[frozenset[str], frozenset[str]]:
    """Words, of which no number names anything, and phrases as keys."""
    return frozenset(_STOP_WORDS.split()), frozenset(" ".join(phrase) for phrase in _STOP_PHRASES.split())


def _is_stop(key: str) -> bool:
    words, phrases = _stops()
    return key in phrases or words.issuperset(key.split(" "))


def _singulars(key: str) -> list[str]:
    """A key with an English plural taken off its last word, in every way it could have been put on; often none."""
    last = key.rpartition(" ")[2]
    if not re.fullmatch(r"[a-z]{2,}[a-rt-z]s", last):
        return []
    forms = [key[:-1]]
    if last.endswith("es") and len(last) > 4:
        forms.append(key[:-2])
    return forms


def _add(names: dict[str, list[tuple[str, str]]], key: str, pair: tuple[str, str]) -> None:
    """Note an entity's name, once per entity; the cap keeps a name of a hundred thousand items cheap."""
    known = names.get(key)
    if known is None:
        names[key] = [pair]
    elif len(known) < MOST_ENTITIES and all(pair[0] != other for other, _ in known):
        known.append(pair)

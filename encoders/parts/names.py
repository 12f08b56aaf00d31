"""Find entities while their names are still being typed: the other way round from `linking`, which needs whole names.

The words of all names, each once and sorted, lead to slices of one column of numbers of names (compressed sparse rows),
so that a beginning of a word is one slice of it: the cost depends on how many names fit, not on how many there are.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from encoders.parts.linking import keys_of, tokens
from es_mappings.types import MATCHES, Match

MOST_EXAMINED = 2_000
"""Names that are looked at for one text: those of the entities with the highest priority. A single letter fits many."""

_LAST = "\U0010ffff"
"""Comes after every character that a token can hold."""


class Name(NamedTuple):
    """One name or alias; `entity` is a number, `language` a code such as `en`, or empty."""

    entity: int
    language: str
    text: str


class Found(NamedTuple):
    """An entity, the best of its names for what was typed, and how much of that name it is: 1 for all."""

    name: Name
    match: Match
    score: float


class NameIndex:
    """From the beginning of a name, or of some words in it, to the entities that bear it."""

    def __init__(self, names: Sequence[Name], priority: Mapping[int, float], keys: Sequence[str] | None = None) -> None:
        """priority: by entity which ones to put first; 0 for those that are not there. keys: of the names, if known."""
        self._priority = priority
        keys = keys_of(name.text for name in names) if keys is None else keys
        entities = np.array([name.entity for name in names], dtype=np.int64)
        first = np.array([priority.get(name.entity, 0.0) for name in names])
        order = np.lexsort((entities, -first)).tolist()
        self._names = [names[row] for row in order]
        self._keys = [keys[row] for row in order]
        split = [key.split() for key in self._keys]
        words = list(chain.from_iterable(split))
        self._words = sorted(set(words))
        ranks = {word: rank for rank, word in enumerate(self._words)}
        found = np.fromiter(map(ranks.__getitem__, words), np.int64, len(words))
        bearers = np.repeat(np.arange(len(split)), np.fromiter(map(len, split), np.int64, len(split)))
        pairs = np.sort(found * len(split) + bearers)
        pairs = pairs[np.diff(pairs, prepend=-1) > 0]  # np.unique takes ten times as long
        self._bearers = pairs % max(len(split), 1)
        self._starts = np.searchsorted(pairs, np.arange(len(self._words) + 1) * len(split))

    def find(self, text: str) -> list[Found]:
        """All entities whose names fit, each once by its best name, the likeliest first (see `order`).

        A name fits when it has all words of the text, the last of which may be cut off. Its score is the share of its
        letters that the text has, 1 for the whole name. Case, width and punctuation do not matter.
        """
        words = tokens(text)
        best: dict[int, Found] = {}
        for number in self._fitting(words).tolist():
            found = self._judged(self._names[number], self._keys[number], " ".join(words))
            known = best.get(found.name.entity)
            if known is None or self.order(found) < self.order(known):
                best[found.name.entity] = found
        return sorted(best.values(), key=self.order)

    def order(self, found: Found) -> tuple[int, float, float, int]:
        """Full names first, then beginnings; of equal matches the highest priority, the best score, the lowest number.

        Who types "ta" means tables rather than the one cup that is a "taza": priority comes before the score.
        """
        entity = found.name.entity
        return MATCHES.index(found.match), -self._priority.get(entity, 0.0), -found.score, entity

    def _fitting(self, words: Sequence[str]) -> NDArray[np.int64]:
        """Numbers of names with all of these words, ascending: by priority."""
        if not words:
            return np.empty(0, dtype=np.int64)
        numbers = np.unique(self._bearing(words[-1], words[-1] + _LAST))
        for word in words[:-1]:
            numbers = _common(numbers, self._bearing(word, word + "\0"))
        return numbers[:MOST_EXAMINED]

    def _bearing(self, first: str, beyond: str) -> NDArray[np.int64]:
        """Numbers of the names with a word from `first` to before `beyond`."""
        begin, end = (self._starts[bisect_left(self._words, word)] for word in (first, beyond))
        return self._bearers[begin:end]

    def _judged(self, name: Name, key: str, typed: str) -> Found:
        if key == typed:
            return Found(name, "name", 1.0)
        share = min(_letters(typed) / _letters(key), 1.0)
        return Found(name, "prefix" if key.startswith(typed) else "word", share)


def _common(first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.int64]:
    """What two ascending columns share; the shorter one is looked up in the longer."""
    short, long = sorted((first, second), key=len)
    places = np.searchsorted(long, short)
    return short[(places < len(long)) & (long[np.minimum(places, len(long) - 1)] == short)] if len(long) else short


def _letters(key: str) -> int:
    return len(key.replace(" ", ""))

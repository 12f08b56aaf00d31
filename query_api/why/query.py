"""What a hit's cosines lose without a word of the query, or without a part of its picture."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from encoders.contract import Encoded, Encoder
from es_mappings.errors import InvalidRequest
from es_mappings.types import ImageTerm, Provenance, Space, Term, TextTerm, Vector
from query_api.why.picture import Picture, mapped, variants
from query_api.why.pieces import pieces, without, words

if TYPE_CHECKING:
    from PIL import Image

MOST_ASKED = 16
"""Pieces of a query: one of more words is cut into pieces of several."""

Directions = Callable[[Sequence[Term]], Mapping[str, Vector]]
"""The vectors of a query by space, as the planner makes them. Raises InvalidRequest where terms cancel each other."""


@dataclass(frozen=True, slots=True)
class AskedPiece:
    """A piece of a text term, and by space what the cosine loses without it; none where that was not asked."""

    text: str
    drops: Mapping[str, float]


class Remembering:
    """An encoder that is asked for each term of a query once, however often the query is changed."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._known: dict[Term, Mapping[str, Vector]] = {}

    @property
    def spaces(self) -> tuple[Space, ...]:
        return self._encoder.spaces

    @property
    def provenance(self) -> Mapping[str, Provenance]:
        return self._encoder.provenance

    def encode_items(self, values: Sequence[Sequence[Any]], base: Path) -> Encoded:
        return self._encoder.encode_items(values, base)

    def encode_query(self, term: Term) -> Mapping[str, Vector]:
        plain = replace(term, weight=1.0, modalities=None)
        if plain not in self._known:
            self._known[plain] = self._encoder.encode_query(plain)
        return self._known[plain]


def asked_pieces(
    terms: Sequence[Term], directions: Directions, stored: Mapping[str, Vector]
) -> list[tuple[int, list[AskedPiece]]]:
    """Of every text term its position and its pieces.

    stored: by space the hit's own vectors, of which the query's spaces are explained.
    """
    whole = _cosines(terms, directions, stored)
    number = sum(words(term.text) for term in terms if isinstance(term, TextTerm))
    size = max(1, ceil(number / MOST_ASKED))
    return [
        (position, [_asked(piece, changed, whole, directions, stored) for piece, changed in variants])
        for position, variants in _variants(terms, size)
    ]


def asked_picture(
    terms: Sequence[Term], directions: Directions, stored: Mapping[str, Vector]
) -> tuple[int, dict[str, Picture]] | None:
    """Of the first picture of a query its position, and what the cosine loses by space that it reaches; None if a query
    has none. It is encoded 50 times, so others are not looked at. Arguments as for `asked_pieces`.
    """
    from encoders.parts.pictures import open_picture

    found = next(((at, term) for at, term in enumerate(terms) if isinstance(term, ImageTerm)), None)
    if found is None:
        return None
    position, term = found
    reached = sorted(directions([term]).keys() & stored.keys())
    if not reached:
        return position, {}

    def cosines(shown: Image.Image) -> dict[str, float]:
        stream = io.BytesIO()
        shown.save(stream, "BMP")
        changed = replace(term, data=stream.getvalue())
        return _cosines([*terms[:position], changed, *terms[position + 1 :]], directions, stored)

    whole, *hidden = map(cosines, variants(open_picture(term.data)))
    return position, {s: mapped([whole.get(s, 0.0) - cell.get(s, 0.0) for cell in hidden]) for s in reached}


def _variants(terms: Sequence[Term], size: int) -> Iterator[tuple[int, list[tuple[str, list[Term] | None]]]]:
    """Per text term its pieces, each with the terms that are left without it; None for those beyond MOST_ASKED."""
    left = MOST_ASKED
    for position, term in enumerate(terms):
        if not isinstance(term, TextTerm):
            continue
        cut = pieces(term.text, size)
        found: list[tuple[str, list[Term] | None]] = []
        for i, piece in enumerate(cut):
            rest = without(cut, i)
            kept = [replace(term, text=rest)] if words(rest) else []
            found.append((piece, [*terms[:position], *kept, *terms[position + 1 :]] if i < left else None))
        left = max(0, left - len(cut))
        yield position, found


def _asked(
    piece: str,
    terms: Sequence[Term] | None,
    whole: Mapping[str, float],
    directions: Directions,
    stored: Mapping[str, Vector],
) -> AskedPiece:
    if terms is None:
        return AskedPiece(piece, {})
    rest = _cosines(terms, directions, stored)
    return AskedPiece(piece, {space: cosine - rest.get(space, 0.0) for space, cosine in whole.items()})


def _cosines(terms: Sequence[Term], directions: Directions, stored: Mapping[str, Vector]) -> dict[str, float]:
    """By space; none where nothing is left of a query, which therefore loses all that it had."""
    try:
        vectors = directions(terms) if terms else {}
    except InvalidRequest:
        return {}
    return {space: float(vector @ stored[space]) for space, vector in vectors.items() if space in stored}

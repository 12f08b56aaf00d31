"""What a hit's cosine loses without a piece of its text or of its picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from encoders.contract import Encoded, Encoder
from encoders.parts.centring import centred
from es_mappings.errors import BadInput
from es_mappings.schema import as_values, lookup
from es_mappings.types import Centre, Vector
from query_api.why.picture import Picture, mapped, variants
from query_api.why.pieces import pieces, without, words

MOST_WRITTEN = 48
"""Pieces of an item's text that are left out: a longer text is cut into pieces of several words."""


@dataclass(frozen=True, slots=True)
class WrittenPiece:
    """A piece of a field's text, and what the cosine loses without it; None where that was not asked."""

    text: str
    drop: float | None


@dataclass(frozen=True, slots=True)
class Asked:
    """One space in which a query meets an item: the query's vector there, and the mean that items lose."""

    space: str
    vector: Vector
    centre: Centre | None

    def drops(self, encoded: Encoded) -> list[float | None]:
        """Of a batch whose first value is the whole item, what the cosine of each of the others loses.

        All of it where nothing is left; None where there is nothing to lose.
        """
        whole, *others = (self._cosine(vector) for vector in encoded.vectors[self.space])
        return [None if whole is None else whole - (other or 0.0) for other in others]

    def _cosine(self, vector: Vector | None) -> float | None:
        if vector is None:
            return None
        try:
            return float((centred(vector, self.centre.items) if self.centre else vector) @ self.vector)
        except BadInput:  # all that is left is what every item has
            return 0.0


def written(
    encoder: Encoder, source: Mapping[str, Any], fields: Sequence[str], asked: Asked
) -> list[tuple[str, list[WrittenPiece]]]:
    """The texts of an item's fields in pieces, in the order of the fields; a list of texts is one after the other."""
    values = [as_values(value) for name in fields if (value := lookup(source, name)) is not None]
    names = [name for name in fields if lookup(source, name) is not None]
    texts = [(i, j) for i, several in enumerate(values) for j, text in enumerate(several) if isinstance(text, str)]
    size = max(1, ceil(sum(words(values[i][j]) for i, j in texts) / MOST_WRITTEN))
    cut = {(i, j): pieces(values[i][j], size) for i, j in texts}
    places = [(i, j, k) for (i, j), found in cut.items() for k in range(len(found))][:MOST_WRITTEN]
    changed = [_changed(values, i, j, without(cut[i, j], k)) for i, j, k in places]
    drops = dict(zip(places, asked.drops(encoder.encode_items([values, *changed], Path())), strict=True))
    return [
        (names[i], [WrittenPiece(piece, drops.get((i, j, k))) for k, piece in enumerate(cut[i, j])])
        for i, j in texts
        if cut[i, j]
    ]


def _changed(values: Sequence[Sequence[Any]], i: int, j: int, text: str) -> list[list[Any]]:
    return [[text if (a, b) == (i, j) else v for b, v in enumerate(several)] for a, several in enumerate(values)]


def seen(encoder: Encoder, source: Mapping[str, Any], fields: Sequence[str], asked: Asked, media: Path) -> Picture:
    """The item's first picture, cell by cell. media: the folder that its path starts from.

    Raises BadInput where it cannot be read.
    """
    from encoders.parts.picture_files import first_picture

    values = [value for name in fields if (value := lookup(source, name)) is not None]
    picture = first_picture(values, media)
    if picture is None:
        raise BadInput("the item names no picture")
    with TemporaryDirectory() as folder:
        names = []
        for number, variant in enumerate(variants(picture)):
            names.append([f"{number}.bmp"])
            variant.save(Path(folder) / names[-1][0])
        drops = asked.drops(encoder.encode_items(names, Path(folder)))
    return mapped([drop or 0.0 for drop in drops])

"""What a hit's cosine loses without a piece of its text or of its picture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from encoders.contract import Encoded, Encoder
from encoders.parts.centring import centred
from es_mappings.errors import BadInput
from es_mappings.schema import as_values, lookup
from es_mappings.types import Centre, Vector
from query_api.why.pieces import pieces, without, words

if TYPE_CHECKING:
    from PIL import Image

MOST_WRITTEN = 48
"""Pieces of an item's text that are left out: a longer text is cut into pieces of several words."""
CELLS = 7
"""A picture has CELLS x CELLS of them."""
EDGE = 448
"""The longer side of the picture that is looked at, in pixels: twice what most networks see."""
GREY = (128, 128, 128)


@dataclass(frozen=True, slots=True)
class WrittenPiece:
    """A piece of a field's text, and what the cosine loses without it; None where that was not asked."""

    text: str
    drop: float | None


@dataclass(frozen=True, slots=True)
class Picture:
    """What the cosine loses when a cell turns grey.

    drops: (CELLS, CELLS), rows from the top. box: the strongest region as fractions of the picture's width and height
    (left, top, right, bottom); None where no cell is missed.
    """

    drops: NDArray[np.float64]
    box: tuple[float, float, float, float] | None


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
    picture.thumbnail((EDGE, EDGE))
    with TemporaryDirectory() as folder:
        names = []
        for number, variant in enumerate(_variants(picture)):
            names.append([f"{number}.bmp"])
            variant.save(Path(folder) / names[-1][0])
        drops = asked.drops(encoder.encode_items(names, Path(folder)))
    grid = np.array([drop or 0.0 for drop in drops]).reshape(CELLS, CELLS)
    return Picture(grid, _box(grid))


def _variants(picture: Image.Image) -> Iterator[Image.Image]:
    """The picture, and then without each of its cells, row by row."""
    yield picture
    across, down = (np.linspace(0, side, CELLS + 1).round().astype(int).tolist() for side in picture.size)
    for row in range(CELLS):
        for column in range(CELLS):
            variant = picture.copy()
            variant.paste(GREY, (across[column], down[row], across[column + 1], down[row + 1]))
            yield variant


def _box(grid: NDArray[np.float64]) -> tuple[float, float, float, float] | None:
    """Around the cells that are linked to the strongest one by cells of at least half its drop."""
    if grid.max() <= 0:
        return None
    strong = grid >= grid.max() / 2
    region = {tuple(map(int, np.unravel_index(int(grid.argmax()), grid.shape)))}
    edge = list(region)
    while edge:
        row, column = edge.pop()
        for near in ((row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)):
            if near not in region and all(0 <= n < CELLS for n in near) and strong[near]:
                region.add(near)
                edge.append(near)
    rows, columns = zip(*region, strict=True)
    return min(columns) / CELLS, min(rows) / CELLS, (max(columns) + 1) / CELLS, (max(rows) + 1) / CELLS

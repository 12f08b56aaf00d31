"""Pictures with one part hidden at a time, and what a cosine loses by it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL import Image

CELLS = 7
"""A picture has CELLS x CELLS of them."""
EDGE = 448
"""The longer side of the picture that is looked at, in pixels: twice what most networks see."""
GREY = (128, 128, 128)


@dataclass(frozen=True, slots=True)
class Picture:
    """What the cosine loses when a cell turns grey.

    drops: (CELLS, CELLS), rows from the top. box: the strongest region as fractions of the picture's width and height
    (left, top, right, bottom); None where no cell is missed.
    """

    drops: NDArray[np.float64]
    box: tuple[float, float, float, float] | None


def variants(picture: Image.Image) -> Iterator[Image.Image]:
    """The picture, made no larger than EDGE, and then without each of its cells, row by row."""
    picture.thumbnail((EDGE, EDGE))
    yield picture
    across, down = (np.linspace(0, side, CELLS + 1).round().astype(int).tolist() for side in picture.size)
    for row in range(CELLS):
        for column in range(CELLS):
            variant = picture.copy()
            variant.paste(GREY, (across[column], down[row], across[column + 1], down[row + 1]))
            yield variant


def mapped(drops: Sequence[float]) -> Picture:
    """drops: of each cell, row by row."""
    grid = np.array(drops).reshape(CELLS, CELLS)
    return Picture(grid, strongest(grid))


def strongest(grid: NDArray[np.float64]) -> tuple[float, float, float, float] | None:
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

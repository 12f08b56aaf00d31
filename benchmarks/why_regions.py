"""Do explanations of pictures point at what is shown? On the demo's icons, which stand before an empty background.

    python benchmarks/why_regions.py --folder demo [--items 60] [--output FILE]

For a random item and a query by its own picture, and one by its own title: how the drops of the 49 cells go with how
much of each cell the object covers (Pearson's correlation), how much of the strongest cell it covers, and of all cells,
which a cell drawn at random would have. Items that fill less than a tenth or more than seven tenths are left out.
"""

from __future__ import annotations

import argparse
import json
import random
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from encoders.parts.pictures import open_picture
from es_mappings.settings import load_settings
from query_api.service import SearchService
from query_api.why.picture import CELLS, EDGE

WHITE = 245
"""Icons are transparent where nothing is, which is read as white; a pixel is the object's with any channel below."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path("demo"))
    parser.add_argument("--items", type=int, default=60)
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    found = measured(given.folder, given.items)
    print(json.dumps(found, indent=1))  # noqa: T201
    if given.output:
        given.output.write_text(json.dumps(found, indent=1) + "\n", "utf-8")


def measured(folder: Path, most: int) -> dict[str, Any]:
    items = [json.loads(line) for line in (folder / "items.jsonl").read_text("utf-8").splitlines()]
    random.Random(0).shuffle(items)
    rows: dict[str, list[tuple[float, float, float, float]]] = {"picture": [], "words": []}
    with closing(SearchService.from_settings(load_settings(folder / "maxcos.toml"))) as service:
        for item in items:
            data = (folder / item["image"]).read_bytes()
            cover = covered(data)
            if not 0.1 <= cover.mean() <= 0.7:
                continue
            if len(rows["words"]) == most:
                break
            for name, body, image in (("picture", {}, data), ("words", {"query": item["title"]}, None)):
                told = service.why({**body, "id": item["id"]}, image)["modalities"]["image"]
                rows[name].append(figures(np.array(told["picture"]["drops"]), cover))
    names = ("correlation", "covered_of_strongest_cell", "covered_of_all_cells", "largest_drop")
    return {
        "items": len(rows["words"]),
        **{
            query: dict(zip(names, np.mean(values, axis=0).round(3).tolist(), strict=True))
            for query, values in rows.items()
        },
    }


def figures(drops: NDArray[np.float64], cover: NDArray[np.float64]) -> tuple[float, float, float, float]:
    together = float(np.corrcoef(drops.ravel(), cover.ravel())[0, 1]) if drops.std() > 0 else 0.0
    return together, float(cover.ravel()[drops.argmax()]), float(cover.mean()), float(drops.max())


def covered(data: bytes) -> NDArray[np.float64]:
    """(CELLS, CELLS): the share of each cell's pixels that show something."""
    picture = open_picture(data)
    picture.thumbnail((EDGE, EDGE))
    shown = np.asarray(picture).min(axis=2) < WHITE
    rows, columns = (np.linspace(0, side, CELLS + 1).round().astype(int) for side in shown.shape)
    cells = [
        [shown[rows[r] : rows[r + 1], columns[c] : columns[c + 1]].mean() for c in range(CELLS)] for r in range(CELLS)
    ]
    return np.array(cells)


if __name__ == "__main__":
    main()

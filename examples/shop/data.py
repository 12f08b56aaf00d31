"""A furniture shop: names in several languages, pictures, sizes, tags, and who made what.

Source: Debian's package sweethome3d-furniture, the furniture libraries of Sweet Home 3D, under CC-BY-3.0 and CC0; its
makers are named in the NOTICE that is written. There are no prices in it, so there are none here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import click

from examples.writing import Triple, report, write
from maxcos.catalogue import find_catalogue, write_catalogue
from maxcos.demo import cache_folder

DATA = Path(__file__).parent / "data"


@click.command()
@click.option("--items", type=click.IntRange(1), help="Only so many, from all over the catalogue. Default: all.")
def main(items: int | None) -> None:
    """Write the shop's items and their pictures into data/, beside this file."""
    report(partial(write_shop, items), DATA)


def write_shop(most: int | None) -> int:
    """How many there are. Raises SettingsError when they cannot be had."""
    files = write_catalogue(find_catalogue(cache_folder()), DATA / "catalogue")
    everything = [json.loads(line) for line in files.items.read_text("utf-8").splitlines()]
    step = max(1, len(everything) // (most or len(everything)))
    items = everything[::step][:most]
    kept = {item["id"] for item in items}
    triples = [row for row in _rows(files.triples) if row[0] in kept]
    entities = {entity for head, _, tail in triples for entity in (head, tail)}
    return write(
        DATA,
        map(product, items),
        triples,
        (row for row in _rows(files.names) if row[0] in entities),
        (files.items.parent / "NOTICE").read_text("utf-8"),
    )


def product(item: dict[str, Any]) -> dict[str, Any]:
    """What is searched, shown and filtered by."""
    fields = ("id", "title", "title_zh", "title_ja", "category", "tags", "width", "depth", "height", "size")
    chosen = {name: item[name] for name in fields if name in item}
    return chosen | {"brand": item["creator"], "image": f"catalogue/{item['image']}"}


def _rows(file: Path) -> Iterator[Triple]:
    for line in file.read_text("utf-8").splitlines():
        first, second, third = line.split("\t")
        yield first, second, third


if __name__ == "__main__":
    main()

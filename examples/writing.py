"""What the examples share: writing their data beside them, and the way to the packaged weights."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import click

from es_mappings.errors import MaxcosError, SettingsError
from maxcos.demo import cache_folder

Triple = tuple[str, str, str]


def write(
    folder: Path,
    items: Iterable[Mapping[str, Any]],
    triples: Iterable[Triple],
    names: Iterable[Triple],
    notice: str,
) -> int:
    """Write items.jsonl, triples.tsv, names.tsv and NOTICE into `folder`, and a link to the weights; how many items.

    names: entity, language, name. A graph that was trained of other triples goes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "graph.npz").unlink(missing_ok=True)
    lines = [json.dumps(item, ensure_ascii=False) for item in items]
    _write_lines(folder / "items.jsonl", lines)
    for name, rows in (("triples.tsv", triples), ("names.tsv", names)):
        _write_lines(folder / name, ("\t".join(row) for row in dict.fromkeys(rows)))
    (folder / "NOTICE").write_text(notice, "utf-8")
    link_models(folder)
    return len(lines)


def link_models(folder: Path) -> None:
    """Let `folder`/models lead to the packaged weights. Raises SettingsError without them."""
    models = cache_folder() / "models"
    if not models.is_dir():
        raise SettingsError(f"the weights are not in {models}: run `make models`")
    link = folder / "models"
    link.unlink(missing_ok=True)
    link.symlink_to(models)


def report(write_all: Callable[[], int], folder: Path) -> None:
    """Say how many items were written, or in one line what is missing."""
    try:
        click.echo(f"{write_all()} items in {folder / 'items.jsonl'}")
    except MaxcosError as error:
        raise click.ClickException(str(error)) from error


def _write_lines(file: Path, lines: Iterable[str]) -> None:
    file.write_text("".join(f"{line}\n" for line in lines), "utf-8")

"""The picture files of an item that is already in the index."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from es_mappings.schema import as_values, lookup
from es_mappings.settings import Settings
from es_mappings.types import StoredItem


def pictures(item: StoredItem, settings: Settings) -> Iterator[Path]:
    """Files below the page's media that the item's picture field names, or else any field that an encoder reads."""
    read = [name for modality in settings.modalities.values() for name in modality.source]
    yield from files(item, [settings.page.image] if settings.page.image else read, settings)


def files(item: StoredItem, fields: list[str], settings: Settings) -> Iterator[Path]:
    """Files below the page's media that the fields name."""
    media = settings.page.media.resolve()
    for name in fields:
        for value in as_values(lookup(item.source, name)):
            if path := _inside(media, str(value)):
                yield path


def _inside(media: Path, name: str) -> Path | None:
    """The file of that name in the folder; None where there is none, as for a text that is no name of a file at all."""
    try:
        path = (media / name).resolve()
        return path if path.is_relative_to(media) and path.is_file() else None
    except (OSError, ValueError):  # longer than names may be, or with a zero byte
        return None

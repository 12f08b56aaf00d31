"""The demo: a real furniture catalogue with names in many languages, pictures and the graph its fields imply."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from es_mappings.embedded import store_file
from es_mappings.errors import ProvenanceMismatch, SettingsError
from es_mappings.probe import is_embedded
from es_mappings.settings import Settings, load_settings
from maxcos.build import ingest_file, is_built, print_summary, train_missing
from maxcos.catalogue import demo_config, find_catalogue, write_catalogue

EMBEDDED = "embedded:./store"


def cache_folder() -> Path:
    """Where weights and engines are kept between checkouts: $MAXCOS_CACHE, else a folder of the machine or the user."""
    if given := os.environ.get("MAXCOS_CACHE"):
        return Path(given)
    # Root's own cache cannot be read by the unprivileged user that runs an engine.
    return Path("/var/cache/maxcos") if os.geteuid() == 0 else Path.home() / ".cache" / "maxcos"


def build(folder: Path, engine: str | None, say: Callable[[str], object]) -> Settings:
    """Write the catalogue and its settings into `folder`, and ingest it unless the index already holds it.

    Raises SettingsError when the weights or the catalogue are not to be had, and what ingestion raises.
    """
    models = cache_folder() / "models"
    if not models.is_dir():
        raise SettingsError(f"the demo's weights are not in {models}: run `make models`")
    files = write_catalogue(find_catalogue(cache_folder()), folder)
    config = folder / "maxcos.toml"
    config.write_text(demo_config(engine_url=engine or EMBEDDED, models=models), "utf-8")
    settings = load_settings(config)
    train_missing(settings, files.triples, files.names)
    if not _is_built(files.items, settings):
        say(f"building the index {settings.engine.index!r} on {settings.engine.url}")
        print_summary(ingest_file(files.items, settings), files.items, as_json=False)
    return settings


def _is_built(items: Path, settings: Settings) -> bool:
    """Whether the index is there and whole. A store that an older maxcos made in the demo's own folder is thrown away.

    Raises ProvenanceMismatch for such an index on a cluster: it is not ours to delete.
    """
    try:
        return is_built(items, settings)
    except ProvenanceMismatch as error:
        engine = settings.engine
        if not is_embedded(engine):
            raise ProvenanceMismatch(
                f"{error}. An old demo can go: curl -X DELETE {engine.url}/{engine.index}"
            ) from error
        store_file(engine.url, engine.index).unlink()
        return False

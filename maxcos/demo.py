"""The demo: a real furniture catalogue with names in many languages, pictures and the graph its fields imply."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from es_mappings.cluster import connect, is_embedded
from es_mappings.embedded import store_file
from es_mappings.errors import ProvenanceMismatch, SettingsError
from es_mappings.provenance import META_KEY
from es_mappings.schema import VERSION
from es_mappings.settings import EngineSettings, Settings, load_settings
from maxcos.build import Built, examine, ingest_file, print_summary, train_missing
from maxcos.calibration.run import calibrate, print_report
from maxcos.catalogue import INDEX, demo_config, find_catalogue, write_catalogue

EMBEDDED = "embedded:./store"


def cache_folder() -> Path:
    """Where weights and engines are kept between checkouts: $MAXCOS_CACHE, else a folder of the machine or the user."""
    if given := os.environ.get("MAXCOS_CACHE"):
        return Path(given)
    # Root's own cache cannot be read by the unprivileged user that runs an engine.
    return Path("/var/cache/maxcos") if os.geteuid() == 0 else Path.home() / ".cache" / "maxcos"


def build(folder: Path, engine: str | None, say: Callable[[str], object]) -> Settings:
    """Write the catalogue and its settings into `folder`, ingest it unless the index already holds it, calibrate it.

    Raises SettingsError when the weights or the catalogue are not to be had, and what ingestion and calibration raise.
    """
    models = cache_folder() / "models"
    if not models.is_dir():
        raise SettingsError(f"the demo's weights are not in {models}: run `make models`")
    files = write_catalogue(find_catalogue(cache_folder()), folder)
    config = folder / "maxcos.toml"
    config.write_text(demo_config(engine_url=engine or EMBEDDED, models=models), "utf-8")
    settings = load_settings(config)
    train_missing(settings, files.triples, files.names)
    found = _examine(files.items, settings, say)
    if not found.whole:
        say(f"building the index {settings.engine.index!r} on {settings.engine.url}")
        print_summary(ingest_file(files.items, settings), files.items, as_json=False)
    if not (found.whole and found.calibrated):
        say("calibrating it: how probable is relevance at which cosine?")
        print_report(calibrate(settings), as_json=False)
    return settings


def _examine(items: Path, settings: Settings, say: Callable[[str], object]) -> Built:
    """What there is of the demo's index, after one that another maxcos made has been thrown away.

    Raises ProvenanceMismatch where the index is not surely the demo's own.
    """
    try:
        return examine(items, settings)
    except ProvenanceMismatch as error:
        if settings.engine.index != INDEX or not _thrown_away(settings.engine):
            raise
        say(f"throwing the demo's old index away: {error}")
        return Built(whole=False, calibrated=False)


def _thrown_away(engine: EngineSettings) -> bool:
    """Delete the demo's index. In a cluster only if an older maxcos made it: others may use a newer one."""
    if is_embedded(engine):
        file = store_file(engine.url, engine.index)
        for path in (file, *(file.with_name(f"{file.name}{suffix}") for suffix in ("-wal", "-shm"))):
            path.unlink(missing_ok=True)
        return True
    with closing(connect(engine)) as cluster:
        ((index, found),) = cluster.request("GET", f"/{engine.index}/_mapping").items()
        made = found["mappings"].get("_meta", {}).get(META_KEY)
        old = made is not None and made.get("schema", VERSION) < VERSION
        if old:
            cluster.request("DELETE", f"/{index}")  # its own name, also behind an alias
        return old

"""The demo catalogue, built for the tests as `maxcos demo` builds it."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from es_mappings.cluster import connect, is_embedded
from es_mappings.settings import Settings
from maxcos.demo import build


@contextmanager
def built(folder: Path, engine: str) -> Iterator[Settings]:
    """Settings of the catalogue's index on an engine, under a name of the tests; the index is deleted afterwards."""
    os.environ["MAXCOS_ENGINE__INDEX"] = f"maxcos-test-{uuid.uuid4().hex}"
    try:
        settings = build(folder, engine, lambda _: None)
    finally:
        del os.environ["MAXCOS_ENGINE__INDEX"]
    yield settings
    if not is_embedded(settings.engine):
        with closing(connect(settings.engine)) as cluster:
            cluster.request("DELETE", f"/{settings.engine.index}")

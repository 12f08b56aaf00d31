"""Symbolic links: `NAME.sqlite` leads to the file of the index that readers shall find.

A file put in the place of another one would be wrong. SQLite keeps what was written last in `FILE-wal`, and whoever
closes the old file last deletes the log by its name: that of the new file. But SQLite follows links before it names
the log, so that behind a link every file has its own.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import orjson

from es_mappings import embedded
from es_mappings.errors import EngineUnavailable
from es_mappings.settings import EngineSettings
from ingest.places import Current, previous


class EmbeddedPlace:
    """Implements `ingest.places.Place` for `embedded:PATH`."""

    def __init__(self, engine: EngineSettings) -> None:
        self._url = engine.url
        self._name = engine.index
        self._link = embedded.store_file(engine.url, engine.index)
        self._previous = embedded.store_file(engine.url, previous(engine.index))

    def current(self) -> Current | None:
        if not self._link.is_file():
            return None
        with self._failures(), closing(embedded.open_store(self._link)) as store:
            meta = embedded.read_meta(store)
            if meta is None:
                return None
            (count,) = store.execute("SELECT count(*) FROM items").fetchone()
        return Current(self._own(self._link), loses=False, meta=orjson.loads(meta), documents=count)

    def kept(self) -> str | None:
        return self._own(self._previous) if self._previous.is_symlink() else None

    def swap(self, fresh: str) -> None:
        with self._failures():
            old = self._old(fresh)
            # In this order a process that is killed in between leaves a file too many, never one too few.
            _point(self._link, self._file(fresh))
            if old is not None:
                _point(self._previous, old)

    def discard(self, fresh: str) -> None:
        if self._own(self._link) != fresh:
            self._delete(fresh)

    def drop_kept(self) -> str | None:
        kept = self.kept()
        if kept is not None:
            if self._own(self._link) != kept:
                self._delete(kept)
            self._previous.unlink()
        return kept

    def close(self) -> None:
        """Nothing is held open."""

    def _file(self, index: str) -> Path:
        return embedded.store_file(self._url, index)

    def _own(self, file: Path) -> str:
        """The name of the index that a file or a link leads to."""
        return file.resolve().name.removesuffix(embedded.FILE_SUFFIX)

    def _old(self, fresh: str) -> Path | None:
        """The file that readers find now, under a name that it keeps."""
        if not self._link.is_file():
            return None
        if self._link.is_symlink():
            return self._link.resolve()
        # Those who have it open go on with its log under the old name, which nobody else will use.
        _settle(self._link)
        old = self._file(f"{fresh}-before")
        os.link(self._link, old)
        return old

    def _delete(self, index: str) -> None:
        file = self._file(index)
        for path in (file, *(file.with_name(f"{file.name}{suffix}") for suffix in ("-wal", "-shm"))):
            path.unlink(missing_ok=True)

    @contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise EngineUnavailable(f"the embedded store {self._link} cannot be swapped: {error}") from error


def _settle(file: Path) -> None:
    """Bring all that is in the log into the file. Raises EngineUnavailable when somebody still reads an older state."""
    with closing(embedded.open_store(file)) as store:
        _, written, settled = store.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    if written != settled:
        raise EngineUnavailable(f"the embedded store {file} is read in an older state or written to: try again")


def _point(link: Path, file: Path) -> None:
    """Let the link lead to a file beside it; who opens it meanwhile finds the old or the new one."""
    made = link.with_name(f"{link.name}.link")
    made.unlink(missing_ok=True)
    made.symlink_to(file.name)
    made.replace(link)

"""API keys: made at random, stored as hashes in a file, and read again as soon as that file changes."""

from __future__ import annotations

import hashlib
import os
import secrets
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from es_mappings.errors import SettingsError

PREFIX = "maxcos_"
"""Of every key, so that a scanner for leaked secrets knows one."""


@dataclass(frozen=True, slots=True)
class Key:
    """What is known of a key: not the key itself. id: what logs and `maxcos keys` call it. made: ISO 8601."""

    id: str
    name: str
    scopes: frozenset[str]
    made: str


class KeyRing:
    """The keys of one file, which threads may share. A file that is not there holds none."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._seen: tuple[int, int, int] | None = None
        self._keys: Mapping[str, Key] = {}

    def find(self, secret: str) -> Key | None:
        """The key that a caller shows. Raises SettingsError for a file that cannot be read.

        A plain SHA-256 is enough, and a dictionary may look it up: a key has 256 random bits, so neither its hashes
        nor the time that a comparison takes bring anybody nearer to it.
        """
        return self._current().get(digest(secret))

    def list(self) -> list[Key]:
        """All keys in the order in which they were made. Raises SettingsError for a file that cannot be read."""
        return list(self._current().values())

    def create(self, name: str, scopes: Iterable[str]) -> tuple[Key, str]:
        """Make a key; the secret itself is in this answer and nowhere else. Raises SettingsError."""
        secret = PREFIX + secrets.token_urlsafe(32)
        key = Key(secrets.token_hex(4), name, frozenset(scopes), datetime.now(UTC).isoformat(timespec="seconds"))
        self._write({**self._current(), digest(secret): key})
        return key, secret

    def revoke(self, identifier: str) -> Key:
        """Take a key back, by its id; a running service knows at its next request. Raises SettingsError."""
        keys = self._current()
        found = next((key for key in keys.values() if key.id == identifier), None)
        if found is None:
            raise SettingsError(f"{self._path}: no key has the id {identifier!r}; maxcos keys list shows them")
        self._write({hashed: key for hashed, key in keys.items() if key is not found})
        return found

    def _current(self) -> Mapping[str, Key]:
        with self._lock:
            try:
                status = self._path.stat()
                seen = (status.st_mtime_ns, status.st_size, status.st_ino)
                if seen != self._seen:
                    self._keys = _read(self._path.read_bytes())
                    self._seen = seen
            except FileNotFoundError:
                self._keys, self._seen = {}, None
            except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
                raise SettingsError(f"{self._path}: cannot be read as the file of keys: {error}") from error
            return self._keys

    def _write(self, keys: Mapping[str, Key]) -> None:
        """All or nothing, and only for the eyes of its owner."""
        made = [
            {"id": key.id, "name": key.name, "scopes": sorted(key.scopes), "made": key.made, "sha256": hashed}
            for hashed, key in keys.items()
        ]
        draft = self._path.with_name(f"{self._path.name}.{secrets.token_hex(4)}")
        try:
            with os.fdopen(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
                file.write(orjson.dumps({"keys": made}, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
            draft.replace(self._path)
        except OSError as error:
            draft.unlink(missing_ok=True)
            raise SettingsError(f"{self._path}: the file of keys cannot be written: {error}") from error


def digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _read(data: bytes) -> dict[str, Key]:
    entries: list[Any] = orjson.loads(data)["keys"]
    return {e["sha256"]: Key(e["id"], e["name"], frozenset(e["scopes"]), e["made"]) for e in entries}

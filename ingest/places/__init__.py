"""The name that readers ask for, and the index that stands behind it: how a rebuilt one takes its place.

In a cluster the name is an alias, in the embedded store a symbolic link; either changes in one step, so that a reader
finds the old index or the new one. `NAME-previous` is the old one's name until somebody drops it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from es_mappings.cluster import is_embedded
from es_mappings.settings import EngineSettings


@dataclass(frozen=True, slots=True)
class Current:
    """What stands behind the name. index: its own name; the same as the name where nothing is between them.

    loses: whether the swap deletes it, since the engine has no way to rename it. meta: its `_meta`. documents: how
    many items it holds.
    """

    index: str
    loses: bool
    meta: Mapping[str, Any]
    documents: int


class Place(Protocol):
    """Every method raises EngineUnavailable and EngineError; RebuildFailed for a name that cannot be swapped."""

    def current(self) -> Current | None:
        """What readers find under the name; None: nothing."""

    def kept(self) -> str | None:
        """The own name of the index that an earlier swap kept."""

    def swap(self, fresh: str) -> None:
        """Let the name mean the index `fresh`, in one step, and keep the old one where that is possible."""

    def discard(self, fresh: str) -> None:
        """Delete an index that has not taken the place, as far as it exists; one that has is left alone."""

    def drop_kept(self) -> str | None:
        """Delete the index that an earlier swap kept; returns its own name."""

    def close(self) -> None:
        """Release the connection."""


def fresh_name(index: str) -> str:
    """A name that no index has yet."""
    return f"{index}-{datetime.now(UTC):%Y%m%d-%H%M%S-%f}"


def previous(index: str) -> str:
    """The name of the index that a swap kept."""
    return f"{index}-previous"


def open_place(engine: EngineSettings) -> Place:
    """The place of the engine's index. Raises SettingsError for an unknown kind of URL."""
    if is_embedded(engine):
        from ingest.places.embedded import EmbeddedPlace

        return EmbeddedPlace(engine)
    from ingest.places.cluster import ClusterPlace

    return ClusterPlace(engine)

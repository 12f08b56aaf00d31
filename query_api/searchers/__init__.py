"""What executes a plan: the contract of a searcher, and the choice of one by the engine's URL."""

from __future__ import annotations

from typing import Any, Protocol

from es_mappings.probe import is_embedded
from es_mappings.schema import Schema
from es_mappings.settings import EngineSettings
from es_mappings.types import Page, Plan, StoredItem


class Searcher(Protocol):
    """Reads one index. Every method raises EngineUnavailable, EngineError, IndexMissing or ProvenanceMismatch."""

    def search(self, plan: Plan) -> Page:
        """Execute a plan exactly."""

    def item(self, identifier: str) -> StoredItem:
        """One item with its vectors. Raises ItemNotFound."""

    def explain(self, plan: Plan) -> dict[str, Any]:
        """The very request that `search` sends: {"method", "path", "body"}; for the embedded store what it computes."""

    def check(self) -> None:
        """Raise unless the engine answers and its index was made as the settings say."""

    def count(self) -> int:
        """How many items the index holds."""

    def close(self) -> None:
        """Release the connection."""


def open_searcher(engine: EngineSettings, schema: Schema) -> Searcher:
    """The searcher for the engine's URL; no request is made yet. Raises SettingsError for an unknown kind of URL."""
    if is_embedded(engine):
        from query_api.searchers.embedded import EmbeddedSearcher

        return EmbeddedSearcher(engine, schema)
    from query_api.searchers.cluster import ClusterSearcher

    return ClusterSearcher(engine, schema)

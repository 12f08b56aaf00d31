"""What executes a plan: the contract of a searcher, and the choice of one by the engine's URL."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from es_mappings.cluster import is_embedded
from es_mappings.provenance import Manifest
from es_mappings.schema import Schema
from es_mappings.settings import EngineSettings
from es_mappings.types import Calibration, Filter, Page, Plan, StoredItem, Suggestion


@dataclass(frozen=True, slots=True)
class IndexState:
    """What a planner needs to know of the index.

    engine: its name and version, for people. documents: how many items it holds. approximate: whether it is able to
    search approximately. common: the spaces in which nearly all items have a vector. shards: into how many parts the
    index is split. exact_work: see `Dialect`. calibration: by space the maps that are valid. The state of a cluster may
    be some seconds old.
    """

    engine: str
    documents: int
    approximate: bool
    manifest: Manifest
    common: frozenset[str] = frozenset()
    shards: int = 1
    exact_work: int = 0
    calibration: Mapping[str, Calibration] = field(default_factory=dict)


class Searcher(Protocol):
    """Reads one index. Every method raises EngineUnavailable, EngineError, IndexMissing or ProvenanceMismatch."""

    def state(self) -> IndexState:
        """What the index is like; also checks that it was made as the settings say."""

    def search(self, plan: Plan) -> Page:
        """Execute a plan. Raises InvalidRequest at `after` when the walk's snapshot is gone."""

    def count(self, clause: Filter | None = None) -> int:
        """How many items the filter leaves."""

    def item(self, identifier: str) -> StoredItem:
        """One item with its vectors. Raises ItemNotFound."""

    def sample(self, size: int, seed: int) -> list[StoredItem]:
        """Random items with their vectors, the same ones for the same seed while the index stays as it is."""

    def scan(self, batch: int) -> Iterator[list[StoredItem]]:
        """All items with their vectors by ascending id, at most `batch` at a time, as they were at the first batch.

        What is written meanwhile does not show. Close the iterator, or use it up: it holds a view of the index open.
        """

    def suggest(self, text: str, size: int) -> list[Suggestion]:
        """Distinct titles with words that continue the typed text, the best first."""

    def explain(self, plan: Plan) -> dict[str, Any]:
        """The very request that `search` sends: {"method", "path", "body"}; for the embedded store what it computes."""

    def check(self) -> None:
        """Raise unless the engine answers and its index was made as the settings say; nothing remembered is used."""

    def close(self) -> None:
        """Release the connection."""


def open_searcher(engine: EngineSettings, schema: Schema) -> Searcher:
    """The searcher for the engine's URL; no request is made yet. Raises SettingsError for an unknown kind of URL."""
    if is_embedded(engine):
        from query_api.searchers.embedded import EmbeddedSearcher

        return EmbeddedSearcher(engine, schema)
    from query_api.searchers.cluster import ClusterSearcher

    return ClusterSearcher(engine, schema)

"""Where encoded items go: the contract of a sink, and the choice of one by the engine's URL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from es_mappings.probe import is_embedded
from es_mappings.provenance import Receipt
from es_mappings.schema import Schema
from es_mappings.settings import EngineSettings
from es_mappings.types import EncodedItem
from ingest.records import Rejected


class Sink(Protocol):
    """Writes one index. Writing an id again replaces the item."""

    def receipt(self) -> Receipt | None:
        """What the last ingestion that ran to its end recorded; None without an index or when it was cut off.

        Raises ProvenanceMismatch when the index was built for another schema.
        """

    def prepare(self) -> None:
        """Create the index if missing, else check that it fits (ProvenanceMismatch); void the receipt."""

    def write(self, batch: Sequence[EncodedItem]) -> list[Rejected]:
        """Write a batch; returns what the engine refused. Raises EngineUnavailable when it does not answer."""

    def finish(self, receipt: Receipt) -> None:
        """Make everything searchable and record that the ingestion ran to its end."""

    def close(self) -> None:
        """Release the connection."""


def open_sink(engine: EngineSettings, schema: Schema) -> Sink:
    """The sink for the engine's URL. Raises SettingsError, EngineUnavailable or EngineError when there is none."""
    if is_embedded(engine):
        from ingest.sinks.embedded import EmbeddedSink

        return EmbeddedSink(engine, schema)
    from ingest.sinks.cluster import ClusterSink

    return ClusterSink(engine, schema)

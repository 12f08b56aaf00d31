"""Where encoded items go: the contract of a sink, and the choice of one by the engine's URL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from es_mappings.cluster import is_embedded
from es_mappings.provenance import Manifest, Receipt
from es_mappings.schema import Schema
from es_mappings.settings import EngineSettings
from es_mappings.types import Calibration, Centre, EncodedItem
from ingest.records import Rejected


class Sink(Protocol):
    """Writes one index. Writing an id again replaces the item."""

    def manifest(self) -> Manifest | None:
        """What the index tells about itself; None without an index.

        Raises ProvenanceMismatch when the index was built for another schema.
        """

    def prepare(self, centres: Mapping[str, Centre]) -> None:
        """Create the index with these centres if missing; else check that it fits (ProvenanceMismatch), void its
        receipt, and keep its own centres: the vectors it holds were centred by them.
        """

    def write(self, batch: Sequence[EncodedItem]) -> list[Rejected]:
        """Write a batch; returns what the engine refused. Raises EngineUnavailable when it does not answer.

        Two items of one batch may have the same id: the later one stays.
        """

    def finish(self, receipt: Receipt) -> None:
        """Make everything searchable and record that the ingestion ran to its end."""

    def calibrate(self, fitted: Mapping[str, Calibration]) -> None:
        """Replace the index's calibration, and nothing else of it."""

    def stop(self) -> None:
        """Let a `write` that waits for the engine give up, in whichever thread it is."""

    def close(self) -> None:
        """Release the connection."""


def open_sink(engine: EngineSettings, schema: Schema) -> Sink:
    """The sink for the engine's URL. Raises SettingsError, EngineUnavailable or EngineError when there is none."""
    if is_embedded(engine):
        from ingest.sinks.embedded import EmbeddedSink

        return EmbeddedSink(engine, schema)
    from ingest.sinks.cluster import ClusterSink

    return ClusterSink(engine, schema)

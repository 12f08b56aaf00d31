"""Where encoded items go: the contract of a sink, and the choice of one by the engine's URL."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from es_mappings.cluster import is_embedded
from es_mappings.provenance import Manifest, Receipt
from es_mappings.schema import Schema
from es_mappings.settings import EngineSettings
from es_mappings.types import Calibration, Centre, EncodedItem, Stored, Tombstone
from ingest.records import Rejected


class Sink(Protocol):
    """Writes one index. Writing an id again replaces the item."""

    def manifest(self, renewing: Collection[str] = ()) -> Manifest | None:
        """What the index tells about itself; None without an index.

        Raises ProvenanceMismatch when the index was built for another schema; of the modalities `renewing` other
        encoders are no fault, and what they have to fill anew is `stale`.
        """

    def renew(self, manifest: Manifest) -> None:
        """Take the vectors of the manifest's stale spaces out of all items, and let the index be the schema's, with
        the manifest's centres.
        """

    def prepare(self, centres: Mapping[str, Centre]) -> None:
        """Create the index with these centres if missing; else check that it fits (ProvenanceMismatch), void its
        receipt, and keep its own centres: the vectors it holds were centred by them.
        """

    def stored(self, ids: Sequence[str]) -> Mapping[str, Stored]:
        """What the index tells of those of the items that it holds, as the last write left them."""

    def write(self, batch: Sequence[EncodedItem | Tombstone]) -> list[Rejected]:
        """Write a batch; returns what the engine refused. Raises EngineUnavailable when it does not answer.

        Two of one batch may have the same id: the later one stays. Of an item that keeps modalities the index must hold
        an earlier version. To delete what is not there is no fault.
        """

    def finish(self, receipt: Receipt) -> None:
        """Make everything searchable and record that the ingestion ran to its end."""

    def calibrate(self, fitted: Mapping[str, Calibration], centres: Mapping[str, Centre] | None = None) -> None:
        """Replace the index's calibration, and with `centres` those; their items' means have to be those it has."""

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

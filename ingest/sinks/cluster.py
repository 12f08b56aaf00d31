"""The clusters' sink: bulk requests with an answer for every item."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from elasticsearch import ApiError, TransportError, helpers

from es_mappings import provenance
from es_mappings.errors import EngineError, EngineUnavailable
from es_mappings.mappings import index_body
from es_mappings.probe import connect, probe
from es_mappings.provenance import Receipt
from es_mappings.schema import VECTOR_OBJECT, Schema
from es_mappings.settings import EngineSettings
from es_mappings.types import EncodedItem
from ingest.records import Rejected

OVERLOADED = frozenset({429, 503})
RETRIES = 6
BATCH = 200
MAX_BODY = 20 * 1024 * 1024


class ClusterSink:
    """Implements `ingest.sinks.Sink` for Elasticsearch."""

    def __init__(self, engine: EngineSettings, schema: Schema) -> None:
        self._engine = engine
        self._index = engine.index
        self._schema = schema
        self._client = connect(engine)

    def receipt(self) -> Receipt | None:
        return provenance.read_receipt(self._schema, self._meta(), self._index)

    def prepare(self) -> None:
        meta = self._meta()
        with self._errors():
            if meta is None:
                body = index_body(self._schema, probe(self._client), self._engine)
                self._client.indices.create(index=self._index, **body)
                return
            provenance.check(self._schema, meta, self._index)
            self._client.indices.put_mapping(index=self._index, meta=provenance.describe(self._schema))

    def write(self, batch: Sequence[EncodedItem]) -> list[Rejected]:
        rejected = []
        with self._errors():
            answers = helpers.streaming_bulk(
                self._client,
                map(self._action, batch),
                chunk_size=BATCH,
                max_chunk_bytes=MAX_BODY,
                max_retries=RETRIES,
                initial_backoff=0.5,
                max_backoff=30,
                raise_on_error=False,
                raise_on_exception=True,
            )
            for encoded, (ok, answer) in zip(batch, answers, strict=True):
                if not ok:
                    reason = _reason(answer["index"])
                    rejected.append(Rejected(encoded.item.place, reason, dict(encoded.item.source)))
        return rejected

    def finish(self, receipt: Receipt) -> None:
        with self._errors():
            self._client.indices.refresh(index=self._index)
            self._client.indices.put_mapping(index=self._index, meta=provenance.describe(self._schema, receipt))

    def close(self) -> None:
        self._client.close()

    def _meta(self) -> dict[str, Any] | None:
        """The mapping's _meta; None when there is no such index."""
        with self._errors():
            if not self._client.indices.exists(index=self._index):
                return None
            answer = self._client.indices.get_mapping(index=self._index)
        (found,) = answer.values()
        meta: dict[str, Any] = found["mappings"].get("_meta", {})
        return meta

    def _action(self, encoded: EncodedItem) -> dict[str, Any]:
        return {
            "_op_type": "index",
            "_index": self._index,
            "_id": encoded.item.id,
            "_source": {**encoded.item.source, VECTOR_OBJECT: dict(encoded.vectors)},
        }

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except ApiError as error:
            kind = EngineUnavailable if error.status_code in OVERLOADED else EngineError
            raise kind(f"{self._engine.url}: {error}") from error
        except TransportError as error:
            raise EngineUnavailable(f"{self._engine.url}: {error}") from error


def _reason(answer: dict[str, Any]) -> str:
    error = answer.get("error", {})
    if not isinstance(error, dict):
        return f"{answer.get('status')}: {error}"
    cause = error.get("caused_by", {}).get("reason")
    return f"{error.get('type')}: {error.get('reason')}" + (f" ({cause})" if cause else "")

"""The run: records in, encoded items out, a summary at the end."""

from __future__ import annotations

import itertools
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from encoders.contract import Encoder
from encoders.parts.centring import centred
from es_mappings.errors import BadInput
from es_mappings.provenance import Receipt
from es_mappings.schema import Schema, lookup
from es_mappings.settings import ModalitySettings
from es_mappings.types import Centre, EncodedItem, Fields, Item, Vector
from ingest.centres import SAMPLE, sample_centres
from ingest.letters import DeadLetters
from ingest.records import Rejected, validate
from ingest.sinks import Sink

BATCH = 256


QUEUED = 2
"""Batches that wait for the writer, at most: memory holds so many, one that is written and one that is encoded."""


@dataclass(slots=True)
class Summary:
    """What a run did. `vectors` counts per space; `lost` counts rejected records ("item") and modalities.

    seconds: what each stage worked, and "total" by the clock; encoding and writing overlap.
    """

    read: int = 0
    encoded: int = 0
    written: int = 0
    vectors: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)
    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(("read", "encode", "write", "total"), 0.0))

    def per_second(self) -> dict[str, float]:
        """Records, or items, of each stage by the seconds that it worked."""
        counts = {"read": self.read, "encode": self.encoded, "write": self.written, "total": self.written}
        return {stage: counts[stage] / spent for stage, spent in self.seconds.items() if spent}


def ingest(
    records: Iterable[Item | Rejected],
    *,
    base: Path,
    source: str,
    schema: Schema,
    modalities: Mapping[str, ModalitySettings],
    encoders: Mapping[str, Encoder],
    sink: Sink,
    dead_letters: Path,
    on_progress: Callable[[int], object] = lambda _: None,
) -> Summary:
    """Encode the records, centre their vectors and write them, batch by batch; a batch is written while the next is
    encoded.

    A new index takes its centres from the first items, which wait until then; an index that exists keeps its own.
    Without a single item no index is made.

    base: the folder that the records' relative paths start from. source: a digest of the source, kept in the receipt.
    on_progress: told after each batch has been encoded how many records it held.
    Raises EngineError and EncoderError, which stop the run; a bad record never does.
    """
    summary = Summary()
    started = time.perf_counter()
    manifest = sink.manifest()
    with DeadLetters(dead_letters) as letters:
        batches = _encoded_batches(records, base, schema, modalities, encoders, summary, on_progress)
        if manifest is None:
            first = _first(batches, SAMPLE)
            sample = [encoded for batch in first for encoded in batch.items]
            centres = sample_centres(sample, schema, encoders)
            batches = itertools.chain(first, batches)
            if not sample:
                _bury(letters, itertools.chain.from_iterable(batch.rejected for batch in batches), summary)
                return summary
        else:
            centres = dict(manifest.centres)
        sink.prepare(centres)
        with _Writer(sink, letters, summary) as writer:
            for batch in batches:
                kept, lost = centre_items(batch.items, schema, centres)
                _bury(letters, (*batch.rejected, *lost), summary)
                writer.put(kept)
    sink.finish(Receipt(summary.written, source))
    summary.seconds["total"] = time.perf_counter() - started
    return summary


class _Writer(AbstractContextManager["_Writer"]):
    """Writes batches in their order, in a thread of its own, while the caller encodes the next.

    What a write raises is raised by a later `put`, or at the end. When the caller fails, or is interrupted, the batch
    that is being written is the last.
    """

    def __init__(self, sink: Sink, letters: DeadLetters, summary: Summary) -> None:
        self._sink = sink
        self._letters = letters
        self._summary = summary
        self._thread = ThreadPoolExecutor(1, "maxcos-writer")
        self._pending: deque[tuple[Sequence[EncodedItem], Future[tuple[list[Rejected], float]]]] = deque()

    def put(self, batch: Sequence[EncodedItem]) -> None:
        self._pending.append((batch, self._thread.submit(self._write, batch)))
        while len(self._pending) > QUEUED or (self._pending and self._pending[0][1].done()):
            self._account()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            while kind is None and self._pending:
                self._account()
        except BaseException:
            self._sink.stop()
            raise
        finally:
            if kind is not None:
                self._sink.stop()
            self._thread.shutdown(wait=True, cancel_futures=True)

    def _write(self, batch: Sequence[EncodedItem]) -> tuple[list[Rejected], float]:
        started = time.perf_counter()
        return self._sink.write(batch), time.perf_counter() - started

    def _account(self) -> None:
        """Wait for the oldest batch, and count what became of it."""
        batch, future = self._pending[0]
        refused, seconds = future.result()
        self._pending.popleft()
        _bury(self._letters, refused, self._summary)
        self._summary.seconds["write"] += seconds
        self._summary.vectors.update(space for encoded in batch for space in encoded.vectors)
        self._summary.written += len(batch) - len(refused)


@dataclass(frozen=True, slots=True)
class _Batch:
    """Encoded items, not yet centred, and what was rejected on the way there."""

    items: Sequence[EncodedItem]
    rejected: Sequence[Rejected]


def _encoded_batches(
    records: Iterable[Item | Rejected],
    base: Path,
    schema: Schema,
    modalities: Mapping[str, ModalitySettings],
    encoders: Mapping[str, Encoder],
    summary: Summary,
    on_progress: Callable[[int], object],
) -> Iterator[_Batch]:
    iterator = iter(records)
    while True:
        started = time.perf_counter()
        batch = list(itertools.islice(iterator, BATCH))
        items, rejected = _split(batch, schema)
        read = time.perf_counter()
        summary.seconds["read"] += read - started
        if not batch:
            return
        encoded, lost = _encode(items, base, modalities, encoders)
        summary.seconds["encode"] += time.perf_counter() - read
        summary.encoded += len(items)
        summary.read += len(batch)
        on_progress(len(batch))
        yield _Batch(encoded, (*rejected, *lost))


def _first(batches: Iterator[_Batch], size: int) -> list[_Batch]:
    """As many batches as hold `size` items, or all."""
    first: list[_Batch] = []
    while sum(len(batch.items) for batch in first) < size:
        batch = next(batches, None)
        if batch is None:
            break
        first.append(batch)
    return first


def _bury(letters: DeadLetters, rejected: Iterable[Rejected], summary: Summary) -> None:
    for letter in rejected:
        letters.add(letter)
        summary.lost[letter.lost] += 1


def _split(batch: Sequence[Item | Rejected], schema: Schema) -> tuple[list[Item], list[Rejected]]:
    items, rejected = [], []
    for record in batch:
        problem = record if isinstance(record, Rejected) else validate(record, schema)
        if problem is not None:
            rejected.append(problem)
        elif isinstance(record, Item):
            items.append(record)
    return items, rejected


def _encode(
    items: Sequence[Item], base: Path, modalities: Mapping[str, ModalitySettings], encoders: Mapping[str, Encoder]
) -> tuple[list[EncodedItem], list[Rejected]]:
    vectors: list[dict[str, Vector]] = [{} for _ in items]
    lost = []
    for modality, encoder in encoders.items():
        values = [source_values(item, modalities[modality]) for item in items]
        encoded = encoder.encode_items(values, base)
        for space, column in encoded.vectors.items():
            for position, vector in enumerate(column):
                if vector is not None:
                    vectors[position][space] = vector
        lost += [lost_modality(items[position], modality, error) for position, error in encoded.errors.items()]
    return [EncodedItem(item, found) for item, found in zip(items, vectors, strict=True)], lost


def centre_items(
    items: Sequence[EncodedItem], schema: Schema, centres: Mapping[str, Centre]
) -> tuple[list[EncodedItem], list[Rejected]]:
    """The items with centred vectors; one that has a vector just like the mean loses that modality."""
    modality = {space.name: space.modality for space in schema.spaces}
    kept, lost = [], []
    for encoded in items:
        vectors: dict[str, Vector] = {}
        problems: dict[str, BadInput] = {}
        for space, vector in encoded.vectors.items():
            try:
                vectors[space] = centred(vector, centres[space].items) if space in centres else vector
            except BadInput as error:
                problems[modality[space]] = error
        lost += [lost_modality(encoded.item, name, error) for name, error in problems.items()]
        kept.append(EncodedItem(encoded.item, {s: v for s, v in vectors.items() if modality[s] not in problems}))
    return kept, lost


def source_values(item: Item, modality: ModalitySettings) -> list[Any]:
    """The values of an item that a modality's encoder reads, then those of its relations; absent ones are left out."""
    values = [value for name in modality.source if (value := lookup(item.source, name)) is not None]
    related = {name: value for name in modality.relations if (value := lookup(item.source, name)) is not None}
    return [*values, Fields(related)] if related else values


def lost_modality(item: Item, modality: str, error: BadInput) -> Rejected:
    return Rejected(item.place, f"{modality}: {error}", dict(item.source), lost=modality)

"""The run: records in, encoded items out, a summary at the end."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

from es_mappings.companions import LEXICAL
from es_mappings.errors import SettingsError
from es_mappings.provenance import Manifest, Receipt
from es_mappings.schema import Schema
from es_mappings.types import Centre, EncodedItem, Item, Stored, Tombstone
from ingest.centres import SAMPLE, renewed, sample_centres
from ingest.encoding import Encoding, Hashes, content_hash
from ingest.letters import DeadLetters
from ingest.records import Entry, Rejected, validate
from ingest.sinks import Sink

BATCH = 256
QUEUED = 2
"""Batches that wait for the writer, at most: memory holds so many, one that is written and one that is encoded."""
STAGES = ("read", "compare", "encode", "write", "total")


@dataclass(slots=True)
class Summary:
    """What a run did.

    read: records. encoded: items of which at least one modality was. written: items, unchanged ones not among them.
    deleted: tombstones. vectors: per space, those that were made. lost: rejected records ("item") and modalities.
    seconds: what each stage worked, and "total" by the clock; encoding and writing overlap.
    """

    read: int = 0
    encoded: int = 0
    written: int = 0
    unchanged: int = 0
    deleted: int = 0
    vectors: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)
    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(STAGES, 0.0))

    def per_second(self) -> dict[str, float]:
        """Records, or items, of each stage by the seconds that it worked."""
        counts = {"read": self.read, "compare": self.read, "encode": self.encoded, "write": self.written}
        return {stage: counts.get(stage, self.read) / spent for stage, spent in self.seconds.items() if spent}

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] += time.perf_counter() - started


def ingest(
    records: Iterable[Entry],
    encoding: Encoding,
    sink: Sink,
    *,
    source: str | None,
    dead_letters: Path,
    on_progress: Callable[[int], object] = lambda _: None,
) -> Summary:
    """Encode the records, centre their vectors and write them, batch by batch; a batch is written while the next is
    encoded. Of an item that the index holds only those modalities are encoded that have changed, and one that is there
    just like that is left alone: a run that was cut off is gone on with.

    A new index takes its centres from the first items, which wait until then; an index that exists keeps its own. Where
    an encoder of `encoding.only` is another one than before, all its old vectors go first, so that those of two are
    never compared. Without a single item no index is made.

    source: a digest of the source, kept in the receipt; None: the one of the run before stays.
    on_progress: told after each batch has been read how many records it held.
    Raises EngineError and EncoderError, which stop the run; a bad record never does.
    """
    summary = Summary()
    manifest = sink.manifest(encoding.only or ())
    if manifest is None and encoding.only is not None:
        raise SettingsError("--only: there is no index yet: the first run has to encode all modalities")
    with DeadLetters(dead_letters) as letters, summary.timed("total"):
        batches = _batches(records, encoding.schema, summary, on_progress)
        first: list[_Batch] = []
        encoded: list[tuple[list[EncodedItem], list[Rejected]]] = []
        if manifest is None or manifest.stale:
            first = list(_until(batches, SAMPLE))
            encoded = [_encoded(encoding, batch.items, None, summary) for batch in first]
        if manifest is None and not any(batch.items for batch in first):
            _bury(letters, (rejected for batch in first for rejected in batch.rejected), summary)
            return summary
        sampled = sample_centres([item for items, _ in encoded for item in items], encoding.schema, encoding.encoders)
        centres = sampled if manifest is None else renewed(manifest, sampled)
        if manifest is not None and manifest.stale:
            sink.renew(replace(manifest, centres=centres))
        sink.prepare(centres)
        with _Writer(sink, letters, summary) as writer:

            def changes(batch: _Batch) -> _Changes:
                with summary.timed("compare"):
                    known = _known(sink, batch, writer) if manifest is not None else {}
                    return _Changes(encoding, centres, batch, encoding.hashes(batch.items, centres), known)

            for batch, (items, lost) in zip(first, encoded, strict=True):
                writer.put(changes(batch).applied(items, lost, summary))
            for batch in batches:
                changed = changes(batch)
                items, lost = _encoded(encoding, batch.items, changed.stale, summary)
                writer.put(changed.applied(items, lost, summary))
        sink.finish(Receipt(summary.written + summary.unchanged, source or _source_before(manifest)))
    return summary


def _source_before(manifest: Manifest | None) -> str:
    return manifest.receipt.source if manifest is not None and manifest.receipt is not None else ""


# --- reading


@dataclass(frozen=True, slots=True)
class _Batch:
    """Of each id only what was read last."""

    items: Sequence[Item]
    tombstones: Sequence[Tombstone]
    rejected: Sequence[Rejected]

    @property
    def ids(self) -> list[str]:
        return [*(item.id for item in self.items), *(tombstone.id for tombstone in self.tombstones)]


def _batches(
    records: Iterable[Entry], schema: Schema, summary: Summary, on_progress: Callable[[int], object]
) -> Iterator[_Batch]:
    iterator = iter(records)
    while True:
        with summary.timed("read"):
            read = list(islice(iterator, BATCH))
            batch = _split(read, schema)
        if not read:
            return
        summary.read += len(read)
        yield batch
        on_progress(len(read))


def _split(read: Sequence[Entry], schema: Schema) -> _Batch:
    last: dict[str, Item | Tombstone] = {}
    rejected = []
    for record in read:
        found = (validate(record, schema) or record) if isinstance(record, Item) else record
        if isinstance(found, Rejected):
            rejected.append(found)
        else:
            last[found.id] = found
    items = [one for one in last.values() if isinstance(one, Item)]
    return _Batch(items, [one for one in last.values() if isinstance(one, Tombstone)], rejected)


def _until(batches: Iterator[_Batch], size: int) -> Iterator[_Batch]:
    """As many batches as hold `size` items, or all."""
    found = 0
    while found < size and (batch := next(batches, None)) is not None:
        found += len(batch.items)
        yield batch


# --- comparing and encoding


def _known(sink: Sink, batch: _Batch, writer: _Writer) -> Mapping[str, Stored]:
    """What the index holds of the batch."""
    if not batch.ids:
        return {}
    writer.settle(batch.ids)
    return sink.stored(batch.ids)


def _encoded(
    encoding: Encoding, items: Sequence[Item], stale: Mapping[str, Sequence[int]] | None, summary: Summary
) -> tuple[list[EncodedItem], list[Rejected]]:
    with summary.timed("encode"):
        encoded = encoding.encode(items, stale)
    summary.encoded += len(items) if stale is None else len({i for found in stale.values() for i in found})
    return encoded


class _Changes:
    """What of one batch is new to the index.

    stale: by modality the positions of the items that have to be encoded.
    """

    def __init__(
        self,
        encoding: Encoding,
        centres: Mapping[str, Centre],
        batch: _Batch,
        hashes: Sequence[Hashes],
        known: Mapping[str, Stored],
    ) -> None:
        self._encoding = encoding
        self._centres = centres
        self._batch = batch
        self._hashes = hashes
        self._known = [known.get(item.id) for item in batch.items]
        self.stale = {
            modality: [i for i, own in enumerate(hashes) if self._is_stale(i, modality, own[modality])]
            for modality in encoding.chosen
        }

    def _is_stale(self, i: int, modality: str, wanted: str | None) -> bool:
        known = self._known[i]
        return known is None or known.hashes.get(modality) != wanted

    def applied(self, encoded: Sequence[EncodedItem], lost: Sequence[Rejected], summary: Summary) -> _Work:
        """What to write, and what cannot be; encoded: the items with the vectors of what is stale."""
        items, off = self._encoding.centre(encoded, self._centres)
        lost = [*lost, *off]
        failed = {(letter.place, letter.lost) for letter in lost}
        writes = [one for i, item in enumerate(items) if (one := self._merged(i, item, failed)) is not None]
        summary.unchanged += len(items) - len(writes)
        return _Work([*writes, *self._batch.tombstones], [*self._batch.rejected, *lost])

    def _merged(self, i: int, encoded: EncodedItem, failed: set[tuple[str, str]]) -> EncodedItem | None:
        """The item with what of its old vectors stays; None when the index holds just that."""
        known = self._known[i] or Stored()
        fresh = {m: None if (encoded.item.place, m) in failed else own for m, own in self._hashes[i].items()}
        fresh[LEXICAL] = content_hash(encoded.item.source)
        if self._known[i] is not None and all(known.hashes.get(name) == own for name, own in fresh.items()):
            return None
        made = {m for m, own in self._hashes[i].items() if self._is_stale(i, m, own)}
        return replace(encoded, kept=known.modalities - made, hashes={**known.hashes, **fresh})


# --- writing


@dataclass(frozen=True, slots=True)
class _Work:
    writes: Sequence[EncodedItem | Tombstone]
    rejected: Sequence[Rejected]


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
        self._pending: deque[tuple[_Work, Future[list[Rejected]]]] = deque()
        self._ids: Counter[str] = Counter()

    def put(self, work: _Work) -> None:
        _bury(self._letters, work.rejected, self._summary)
        self._pending.append((work, self._thread.submit(self._write, work)))
        self._ids.update(map(_id, work.writes))
        while len(self._pending) > QUEUED or (self._pending and self._pending[0][1].done()):
            self._account()

    def settle(self, ids: Iterable[str]) -> None:
        """Wait until none of these items is on its way to the index."""
        while any(identifier in self._ids for identifier in ids):
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

    def _write(self, work: _Work) -> list[Rejected]:
        with self._summary.timed("write"):
            return self._sink.write(work.writes)

    def _account(self) -> None:
        """Wait for the oldest batch, and count what became of it."""
        work, future = self._pending[0]
        refused = future.result()
        self._pending.popleft()
        self._ids -= Counter(map(_id, work.writes))
        _bury(self._letters, refused, self._summary)
        items = [one for one in work.writes if isinstance(one, EncodedItem)]
        self._summary.vectors.update(space for encoded in items for space in encoded.vectors)
        self._summary.deleted += len(work.writes) - len(items)
        self._summary.written += len(items) - len(refused)


def _id(one: EncodedItem | Tombstone) -> str:
    return one.id if isinstance(one, Tombstone) else one.item.id


def _bury(letters: DeadLetters, rejected: Iterable[Rejected], summary: Summary) -> None:
    for letter in rejected:
        letters.add(letter)
        summary.lost[letter.lost] += 1

"""The run: records in, encoded items out, a summary at the end."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import orjson

from encoders.contract import Encoder
from encoders.parts.centring import centred
from es_mappings.errors import BadInput
from es_mappings.provenance import Receipt
from es_mappings.schema import Schema, lookup
from es_mappings.settings import ModalitySettings
from es_mappings.types import Centre, EncodedItem, Item, Vector
from ingest.centres import SAMPLE, sample_centres
from ingest.records import Rejected, validate
from ingest.sinks import Sink

BATCH = 256


@dataclass(slots=True)
class Summary:
    """What a run did. `vectors` counts per space; `lost` counts rejected records ("item") and modalities."""

    read: int = 0
    written: int = 0
    vectors: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)
    seconds: dict[str, float] = field(default_factory=lambda: {"encode": 0.0, "write": 0.0})


class DeadLetters(AbstractContextManager["DeadLetters"]):
    """The file of what did not get into the index: JSON lines {place, reason, lost, record}, made on the first one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: Any = None

    def __enter__(self) -> Self:
        self.path.unlink(missing_ok=True)
        return self

    def add(self, rejected: Rejected) -> None:
        if self._file is None:
            self._file = self.path.open("wb")
        letter = {"place": rejected.place, "reason": rejected.reason, "lost": rejected.lost, "record": rejected.record}
        self._file.write(orjson.dumps(letter) + b"\n")
        self._file.flush()

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()


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
    """Encode the records, centre their vectors and write them, batch by batch.

    A new index takes its centres from the first items, which wait until then; an index that exists keeps its own.
    Without a single item no index is made.

    base: the folder that the records' relative paths start from. source: a digest of the source, kept in the receipt.
    on_progress: told after each batch has been encoded how many records it held.
    Raises EngineError and EncoderError, which stop the run; a bad record never does.
    """
    summary = Summary()
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
        for batch in batches:
            kept, lost = centre_items(batch.items, schema, centres)
            started = time.perf_counter()
            refused = sink.write(kept)
            summary.seconds["write"] += time.perf_counter() - started
            _bury(letters, (*batch.rejected, *lost, *refused), summary)
            summary.vectors.update(space for encoded in kept for space in encoded.vectors)
            summary.written += len(kept) - len(refused)
    sink.finish(Receipt(summary.written, source))
    return summary


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
    for batch in _batches(records):
        items, rejected = _split(batch, schema)
        started = time.perf_counter()
        encoded, lost = _encode(items, base, modalities, encoders)
        summary.seconds["encode"] += time.perf_counter() - started
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


def _batches(records: Iterable[Item | Rejected]) -> Iterator[list[Item | Rejected]]:
    iterator = iter(records)
    while batch := list(itertools.islice(iterator, BATCH)):
        yield batch


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
    """The values of an item that a modality's encoder reads; absent ones are left out."""
    values = (lookup(item.source, name) for name in modality.source)
    return [value for value in values if value is not None]


def lost_modality(item: Item, modality: str, error: BadInput) -> Rejected:
    return Rejected(item.place, f"{modality}: {error}", dict(item.source), lost=modality)

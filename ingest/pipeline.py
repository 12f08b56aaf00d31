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
from es_mappings.errors import BadInput
from es_mappings.provenance import Receipt
from es_mappings.schema import Schema, lookup
from es_mappings.settings import ModalitySettings
from es_mappings.types import EncodedItem, Item, Vector
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
    """Encode the records and write them, batch by batch.

    base: the folder that the records' relative paths start from. source: a digest of the source, kept in the receipt.
    on_progress: told after each batch how many records it held.
    Raises EngineError and EncoderError, which stop the run; a bad record never does.
    """
    summary = Summary()
    sink.prepare()
    with DeadLetters(dead_letters) as letters:
        for batch in _batches(records):
            items, rejected = _split(batch, schema)
            encoded, lost = _encode(items, base, modalities, encoders, summary)
            started = time.perf_counter()
            refused = sink.write(encoded)
            summary.seconds["write"] += time.perf_counter() - started
            for letter in (*rejected, *lost, *refused):
                letters.add(letter)
                summary.lost[letter.lost] += 1
            summary.read += len(batch)
            summary.written += len(encoded) - len(refused)
            on_progress(len(batch))
    sink.finish(Receipt(summary.written, source))
    return summary


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
    items: Sequence[Item],
    base: Path,
    modalities: Mapping[str, ModalitySettings],
    encoders: Mapping[str, Encoder],
    summary: Summary,
) -> tuple[list[EncodedItem], list[Rejected]]:
    vectors: list[dict[str, Vector]] = [{} for _ in items]
    lost = []
    started = time.perf_counter()
    for modality, encoder in encoders.items():
        values = [_values(item, modalities[modality].source) for item in items]
        encoded = encoder.encode_items(values, base)
        for space, column in encoded.vectors.items():
            for position, vector in enumerate(column):
                if vector is not None:
                    vectors[position][space] = vector
                    summary.vectors[space] += 1
        lost += [_lost(items[position], modality, error) for position, error in encoded.errors.items()]
    summary.seconds["encode"] += time.perf_counter() - started
    return [EncodedItem(item, found) for item, found in zip(items, vectors, strict=True)], lost


def _values(item: Item, fields: Sequence[str]) -> list[Any]:
    values = (lookup(item.source, name) for name in fields)
    return [value for value in values if value is not None]


def _lost(item: Item, modality: str, error: BadInput) -> Rejected:
    return Rejected(item.place, f"{modality}: {error}", dict(item.source), lost=modality)

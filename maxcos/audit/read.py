"""The index, read once: of every item a few numbers, of a bounded number of items the vectors as well."""

from __future__ import annotations

import hashlib
import heapq
import unicodedata
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from encoders.parts.scripts import script
from es_mappings.schema import Schema, as_values, lookup
from es_mappings.settings import Settings
from es_mappings.types import StoredItem, Vector
from maxcos.audit.vectors import fault
from maxcos.media import files

Digests = NDArray[np.uint64]

KEPT = 1000
"""So many of the items with a value in one script of one field are remembered."""


@dataclass(frozen=True, slots=True)
class Gathered:
    """What an audit knows of n items, in the order of their ids.

    texts, pictures: (n,) digests, 0 for none. sources: by modality (n,) digests of what its encoder reads.
    vectors: by space (n,) digests of the vectors, 0 for none. faults: positions by space and fault.
    written: by text field and script how many items have such a value; holders: positions of the first KEPT of them.
    compared: ascending positions of the items whose vectors are kept: all, or a random sample.
    kept: by space the position and the vector of those that have one, without faulty ones.
    """

    ids: Sequence[str]
    texts: Digests
    pictures: Digests
    sources: Mapping[str, Digests]
    vectors: Mapping[str, Digests]
    faults: Mapping[tuple[str, str], Sequence[int]]
    written: Mapping[str, Counter[str]]
    holders: Mapping[tuple[str, str], Sequence[int]]
    compared: Sequence[int]
    kept: Mapping[str, Mapping[int, Vector]]


@dataclass(slots=True)
class _Sample:
    """The `size` items with the smallest digests of their ids: random, but the same ones at every audit."""

    size: int
    heap: list[tuple[int, int]] = field(default_factory=list)
    vectors: dict[int, Mapping[str, Vector]] = field(default_factory=dict)

    def offer(self, position: int, item: StoredItem, valid: Mapping[str, Vector]) -> None:
        entry = (-_digest(item.id), position)
        if len(self.heap) < self.size:
            heapq.heappush(self.heap, entry)
        elif entry > self.heap[0]:
            del self.vectors[heapq.heapreplace(self.heap, entry)[1]]
        else:
            return
        self.vectors[position] = valid


def gather(batches: Iterable[Sequence[StoredItem]], schema: Schema, settings: Settings, most: int) -> Gathered:
    """Read all items; keep the vectors of at most `most` of them."""
    ids: list[str] = []
    # Eight bytes per item and number: a million items with four spaces take 100 MB.
    texts, pictures = array("Q"), array("Q")
    sources = {modality: array("Q") for modality in settings.modalities}
    vectors = {space.name: array("Q") for space in schema.spaces}
    faults: dict[tuple[str, str], list[int]] = defaultdict(list)
    written: dict[str, Counter[str]] = {field.name: Counter() for field in schema.text}
    holders: dict[tuple[str, str], list[int]] = defaultdict(list)
    sample = _Sample(most)
    read = list(dict.fromkeys(name for modality in settings.modalities.values() for name in modality.source))
    for position, item in enumerate(item for batch in batches for item in batch):
        ids.append(item.id)
        texts.append(_digest(*(_plain(value) for name in written for value in _values(item, name))))
        shown = [settings.page.image] if settings.page.image else read
        pictures.append(_digest(*(_bytes(path) for path in files(item, shown, settings))))
        for modality in settings.modalities:
            sources[modality].append(_source(item, settings.fields_of(modality), settings))
        valid: dict[str, Vector] = {}
        for space in schema.spaces:
            vector = item.vectors.get(space.name)
            vectors[space.name].append(0 if vector is None else _digest(vector.tobytes()))
            if vector is not None and (wrong := fault(vector, space.dims)):
                faults[space.name, wrong].append(position)
            elif vector is not None:
                valid[space.name] = vector
        for name, counts in written.items():
            for kind in {script(value) for value in _values(item, name)}:
                counts[kind] += 1
                if len(holders[name, kind]) < KEPT:
                    holders[name, kind].append(position)
        sample.offer(position, item, valid)
    compared = sorted(sample.vectors)
    kept = {
        space.name: {at: sample.vectors[at][space.name] for at in compared if space.name in sample.vectors[at]}
        for space in schema.spaces
    }
    return Gathered(
        ids=ids,
        texts=_numbers(texts),
        pictures=_numbers(pictures),
        sources={name: _numbers(found) for name, found in sources.items()},
        vectors={name: _numbers(found) for name, found in vectors.items()},
        faults=dict(faults),
        written=written,
        holders=dict(holders),
        compared=compared,
        kept=kept,
    )


def _values(item: StoredItem, name: str) -> Iterator[str]:
    return (str(value) for value in as_values(lookup(item.source, name)))


def _plain(text: str) -> str:
    """The text without what a reader hardly sees: case, width, and how words are set apart."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _source(item: StoredItem, fields: Sequence[str], settings: Settings) -> int:
    """A digest of what an encoder reads: of a picture's file its bytes, else the value itself."""
    parts: list[str | bytes] = []
    for name in fields:
        found = [_bytes(path) for path in files(item, [name], settings)]
        parts += found or [_plain(value) for value in _values(item, name)]
    return _digest(*parts)


@lru_cache(maxsize=4096)
def _bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _digest(*parts: str | bytes) -> int:
    """64 bits, never 0 but for nothing: among a million items two meet by chance once in 30 million audits."""
    texts = [part if isinstance(part, bytes) else part.encode("utf-8", "surrogatepass") for part in parts]
    if not any(texts):
        return 0
    joined = b"".join(len(text).to_bytes(8, "little") + text for text in texts)
    return int.from_bytes(hashlib.blake2b(joined, digest_size=8).digest(), "little") or 1


def _numbers(found: array[int]) -> Digests:
    return np.frombuffer(found, dtype=np.uint64)

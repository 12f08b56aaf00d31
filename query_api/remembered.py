"""Query vectors that were made before."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from cachetools import LRUCache

from encoders.contract import Encoded, Encoder
from es_mappings.types import ImageTerm, Provenance, Space, Term, Vector
from query_api.stages import happened, stage

MOST = 4096
"""Terms times modalities. A vector of 512 numbers takes 2 KB, a picture's 1792 take 7: some 30 MB at most."""


class QueryVectors:
    """The vectors of the terms that were asked last, by what made them. Threads may share it.

    Two threads that miss the same term at once both encode it, and one answer stays: both are the same.
    """

    def __init__(self, most: int = MOST) -> None:
        self._lock = threading.Lock()
        self._kept: LRUCache[Any, Mapping[str, Vector]] = LRUCache(most)

    def get(self, key: Any) -> Mapping[str, Vector] | None:
        with self._lock:
            return self._kept.get(key)

    def put(self, key: Any, vectors: Mapping[str, Vector]) -> None:
        with self._lock:
            self._kept[key] = vectors

    def __len__(self) -> int:
        with self._lock:
            return len(self._kept)


class RememberingEncoder:
    """An encoder that makes a term's vectors once. What it cannot encode it is asked again: that may pass."""

    def __init__(self, modality: str, encoder: Encoder, vectors: QueryVectors) -> None:
        self._modality = modality
        self._encoder = encoder
        self._vectors = vectors

    @property
    def spaces(self) -> tuple[Space, ...]:
        return self._encoder.spaces

    @property
    def provenance(self) -> Mapping[str, Provenance]:
        return self._encoder.provenance

    def encode_items(self, values: Sequence[Sequence[Any]], base: Path) -> Encoded:
        return self._encoder.encode_items(values, base)

    def encode_query(self, term: Term) -> Mapping[str, Vector]:
        with stage("encode", self._modality):
            key = (self._modality, self._fingerprints, _content(term))
            found = self._vectors.get(key)
            happened("vectors remembered" if found is not None else "vectors made", self._modality)
            if found is None:
                found = self._encoder.encode_query(term)
                self._vectors.put(key, found)
            return found

    @cached_property
    def _fingerprints(self) -> tuple[str, ...]:
        return tuple(made.fingerprint for made in self._encoder.provenance.values())


def _content(term: Term) -> Any:
    """What decides a term's vectors: neither its weight nor whom it speaks to; of a picture a digest is enough."""
    if isinstance(term, ImageTerm):
        return hashlib.sha256(term.data).digest()
    return replace(term, weight=1.0, modalities=None)

"""A map of what people ask, towards the items that they mean, fitted by `maxcos align` for a text encoder: its file.

An encoder may know what a text says, and not that laypersons say "big fingers" for "macrodactyly". The catalogue's own
other names teach it some of that. Items stay where they are, only queries are moved: nothing has to be encoded again.

The file is a `.npz` of numpy arrays (no pickle):

weights    (dims, dims) float32: a query's unit vector q becomes W q, at unit length
learnt     (n,) uint64, ascending: keys of the texts that it was fitted to, which it understands too well to tell how
           well it understands others
settings   a JSON text: `made_of`, the fingerprint of the encoder that it was fitted for, and how it was fitted
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from encoders.contract import unit
from encoders.parts.arrays import mapped_arrays
from encoders.parts.weights import fingerprint
from es_mappings.errors import EncoderError
from es_mappings.settings import ModalitySettings
from es_mappings.types import Matrix, Provenance, Vector

VERSION = "queries-1"
"""Part of the fingerprint: raise it when the same file gives other vectors."""


@dataclass(frozen=True, slots=True, eq=False)
class QueryMap:
    """weights: (dims, dims). learnt: (n,), see above. fingerprint: of the file's contents."""

    weights: Matrix
    learnt: NDArray[np.uint64]
    fingerprint: str

    def __call__(self, query: Vector) -> Vector:
        """The unit vector that the map makes of a query's. Raises BadInput when nothing is left of it."""
        moved: Vector = unit(self.weights @ query, "text")
        return moved

    def has_learnt(self, text: str) -> bool:
        """Whether it was fitted to this very text."""
        key = key_of_text(text)
        place = int(np.searchsorted(self.learnt, key))
        return place < len(self.learnt) and bool(self.learnt[place] == key)


def key_of_text(text: str) -> np.uint64:
    """64 bits of a text, whatever its case and width."""
    plain = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
    digest = hashlib.blake2b(plain.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return np.uint64(int.from_bytes(digest, "little"))


def query_map(settings: ModalitySettings, made_by: Provenance) -> QueryMap | None:
    """What the option `align` of a text modality names; None without it. Raises what reading it raises."""
    align = (settings.model_extra or {}).get("align")
    return read_query_map(Path(str(align)), made_by) if align else None


def read_query_map(path: Path, made_by: Provenance) -> QueryMap:
    """Raises EncoderError when the file is missing, is no such file, or was fitted for another encoder."""
    if not path.is_file():
        raise EncoderError(
            f"{path}: no such alignment; fit it with `maxcos align`, or take `align` out of the settings"
        )
    try:
        arrays = mapped_arrays(path)
        made_of = json.loads(str(arrays["settings"]))["made_of"]
        weights, learnt = arrays["weights"], arrays["learnt"]
        square = weights.shape == (made_by.dims, made_by.dims)
    except (OSError, ValueError, LookupError, EOFError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        raise EncoderError(f"{path}: not a map of queries that `maxcos align` wrote ({error})") from error
    if made_of != made_by.fingerprint:
        again = "take `align` out of the settings, and fit it again with `maxcos align`"
        raise EncoderError(f"{path}: fitted for another encoder or other weights than the settings name; {again}")
    if not square:
        raise EncoderError(f"{path}: {weights.shape} weights, expected {made_by.dims} by {made_by.dims}")
    return QueryMap(weights, learnt, fingerprint([path], VERSION))

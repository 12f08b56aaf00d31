"""What a text encoder has learnt of queries by `maxcos align`, towards the items that they mean: its files.

An encoder may know what a text says, and not that laypersons say "big fingers" for "macrodactyly". The catalogue's own
other names teach it some of that. Items stay where they are, only queries are moved: nothing has to be encoded again.

A map of queries is a `.npz` of numpy arrays (no pickle):

weights    (dims, dims) float32: a query's unit vector q becomes W q, at unit length
learnt     (n,) uint64, ascending: keys of the texts that it was fitted to, which it understands too well to tell how
           well it understands others
settings   a JSON text: `made_of`, the fingerprint of the encoder that it was fitted for, and how it was fitted

LoRA adapters (Hu et al. 2021, arXiv:2106.09685) of the network itself are a folder as peft reads it, CONFIG and
ADAPTERS, with LEARNT beside them: the same arrays without `weights`.
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from encoders.parts.arrays import mapped_arrays
from encoders.parts.weights import fingerprint
from es_mappings.errors import EncoderError
from es_mappings.settings import ModalitySettings
from es_mappings.types import Matrix, Provenance

VERSION = "queries-1"
"""Part of the fingerprint: raise it when the same files give other vectors."""
CONFIG, ADAPTERS, LEARNT = "adapter_config.json", "adapter_model.safetensors", "learnt.npz"

Embed = Callable[[Sequence[str]], Matrix]
"""n non-empty texts to an (n, dims) matrix whose rows need not be of unit length."""
Keys = NDArray[np.uint64]


class Queries(Protocol):
    """What has been learnt of queries."""

    @property
    def learnt(self) -> Keys:
        """(n,) of the texts that were learnt from, see above."""

    @property
    def fingerprint(self) -> str:
        """Of the contents of the files."""

    def embed(self, texts: Sequence[str], bare: Embed) -> Matrix:
        """(n, dims) of n queries, not unit. bare: the encoder as it is for items."""


@dataclass(frozen=True, slots=True, eq=False)
class QueryMap:
    """weights: (dims, dims), see above."""

    weights: Matrix
    learnt: Keys
    fingerprint: str

    def embed(self, texts: Sequence[str], bare: Embed) -> Matrix:
        moved: Matrix = bare(texts) @ self.weights.T
        return moved


@dataclass(frozen=True, slots=True, eq=False)
class Adapted:
    """network: the encoder with its adapters merged into its weights. It is a second one: items keep theirs."""

    network: Embed
    learnt: Keys
    fingerprint: str

    def embed(self, texts: Sequence[str], bare: Embed) -> Matrix:
        return self.network(texts)


def has_learnt(queries: Queries, text: str) -> bool:
    """Whether they were fitted to this very text."""
    key = key_of_text(text)
    place = int(np.searchsorted(queries.learnt, key))
    return place < len(queries.learnt) and bool(queries.learnt[place] == key)


def key_of_text(text: str) -> np.uint64:
    """64 bits of a text, whatever its case and width."""
    plain = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
    digest = hashlib.blake2b(plain.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return np.uint64(int.from_bytes(digest, "little"))


def learnt_queries(
    settings: ModalitySettings, made_by: Provenance, adapted: Callable[[Path], Embed] | None = None
) -> Queries | None:
    """What the option `align` of a text modality names; None without it.

    adapted: makes a network of the encoder and the adapters of a folder, at its first use; None where it cannot.
    Raises EncoderError when the files are missing, are no such files, or were fitted for another encoder.
    """
    align = (settings.model_extra or {}).get("align")
    if not align:
        return None
    path = Path(str(align))
    if not path.is_dir():
        return _query_map(path, made_by)
    if adapted is None:
        raise EncoderError(f"{path}: a folder of LoRA adapters, which `align` takes with the encoder transformers only")
    files = [path / name for name in (CONFIG, ADAPTERS, LEARNT)]
    for file in files:
        if not file.is_file():
            raise EncoderError(f"{file}: missing; {_AGAIN}")
    return Adapted(adapted(path), _read(path / LEARNT, made_by, "learnt")["learnt"], fingerprint(files, VERSION))


_AGAIN = "fit it with `maxcos align`, or take `align` out of the settings"


def _query_map(path: Path, made_by: Provenance) -> QueryMap:
    if not path.is_file():
        raise EncoderError(f"{path}: no such alignment; {_AGAIN}")
    arrays = _read(path, made_by, "weights", "learnt")
    if arrays["weights"].shape != (made_by.dims, made_by.dims):
        raise EncoderError(f"{path}: {arrays['weights'].shape} weights, expected {made_by.dims} by {made_by.dims}")
    return QueryMap(**arrays, fingerprint=fingerprint([path], VERSION))


def _read(path: Path, made_by: Provenance, *names: str) -> Mapping[str, NDArray[Any]]:
    """These arrays of the file."""
    try:
        arrays = mapped_arrays(path)
        made_of = json.loads(str(arrays["settings"]))["made_of"]
        found = {name: arrays[name] for name in names}
    except (OSError, ValueError, LookupError, EOFError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        raise EncoderError(f"{path}: not what `maxcos align` wrote of queries ({error})") from error
    if made_of != made_by.fingerprint:
        again = "take `align` out of the settings, and fit it again with `maxcos align`"
        raise EncoderError(f"{path}: fitted for another encoder or other weights than the settings name; {again}")
    return found

"""Heads that place what an encoder sees among texts, fitted by `maxcos align`: their file, and what they do.

The file is a `.npz` of numpy arrays (no pickle), for k heads from `width` features to the `dims` numbers of a text:

weights, bias, share    (k, dims, width), (k, dims) and (k,) float32, see `Alignment.place`
mean                    (width,) float32: what all features have in common
base_mean, query_mean   (dims,) float32: the same of the base vectors, and of the texts that people ask by
keys, folds             (n,) uint64, ascending, and (n,) uint8: of each item that was learnt from, by a key of what its
                        features are made of, the number of the head that has not seen it
settings                a JSON text: `made_of`, the fingerprint of what the heads stand on, and how they were fitted
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from encoders.contract import Encoded, Encoder, unit
from encoders.parts.arrays import mapped_arrays
from encoders.parts.weights import fingerprint
from es_mappings.errors import EncoderError
from es_mappings.types import Matrix, Vector

VERSION = "alignment-1"
"""Part of the fingerprint: raise it when the same file gives other vectors."""

Keys = NDArray[np.uint64]
Folds = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Ground:
    """What heads stand on.

    features: what `Alignable.features` calls the vectors that they read. base: what it calls those that they correct,
    None where there are none. method: how those are made, for people. texts: the encoder among whose vectors they place
    things. made_of: a fingerprint of all of them.
    """

    features: str
    base: str | None
    method: str
    texts: Encoder
    made_of: str


@runtime_checkable
class Alignable(Protocol):
    """An encoder whose settings may name a file of heads as `align`."""

    @property
    def alignment(self) -> Alignment | None:
        """The heads that its settings name."""

    @property
    def ground(self) -> Ground | None:
        """None without a text encoder beside it."""

    def features(self, values: Sequence[Sequence[Any]], base: Path) -> Encoded:
        """The unit vectors that heads are made of, under the names of `ground`; the arguments are `encode_items`'."""

    def keys(self, values: Sequence[Sequence[Any]], base: Path) -> Keys:
        """(n,) digests of what the items' features are made of, 0 for nothing; the arguments are `encode_items`'."""


@dataclass(frozen=True, slots=True, eq=False)
class Alignment:
    """A file of heads, as described above; `fingerprint` is that of its contents."""

    weights: Matrix
    bias: Matrix
    share: Vector
    mean: Vector
    base_mean: Vector
    query_mean: Vector
    keys: Keys
    folds: Folds
    fingerprint: str

    def place(self, features: Matrix, base: Matrix, keys: Keys) -> Matrix:
        """(n, dims), not unit, of features (n, width), base vectors (n, dims) and keys (n,).

            share * b + W x + bias      x, b: features and base at unit length, without their mean, at unit length again

        by the head that has not seen the item. A head knows the titles of the items that it has seen: their vectors
        would repeat these, and outrank what is new. All heads are strangers to an item without a known key, so it has
        the mean of all of them, which is as good as one head that has seen everything (docs/alignment.md).
        """
        x = directions(directions(features) - self.mean)
        b = directions(directions(base) - self.base_mean)
        folds = self._folds(keys)
        placed = np.empty((len(x), self.bias.shape[1]), dtype=np.float32)
        for fold in np.unique(folds).tolist():
            rows = folds == fold
            which = slice(None) if fold < 0 else slice(fold, fold + 1)
            weights, bias, share = (part[which].mean(axis=0) for part in (self.weights, self.bias, self.share))
            placed[rows] = share * b[rows] + x[rows] @ weights.T + bias
        return placed

    def query(self, text: Vector) -> Vector:
        """The unit vector of a text's unit vector: without what all texts have in common. No head is needed.

        Raises BadInput when nothing is left.
        """
        found: Vector = unit(text - self.query_mean, "text")
        return found

    def _folds(self, keys: Keys) -> NDArray[np.int64]:
        """(n,) whose head has not seen the items; -1 for those that none has."""
        if not len(self.keys):
            return np.full(len(keys), -1)
        places = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where(self.keys[places] == keys, self.folds[places].astype(np.int64), -1)


def key_of(digest: str | None) -> int:
    """64 bits of a digest in hex; 0 of none."""
    return int(digest[:16], 16) if digest else 0


def directions(matrix: Matrix) -> Matrix:
    """The rows at unit length; those that have no direction become zero."""
    norms = np.linalg.norm(matrix, axis=-1, keepdims=True)
    scaled: Matrix = np.where(norms > 1e-12, matrix / np.maximum(norms, 1e-12), 0).astype(np.float32)
    return scaled


def write_alignment(path: Path, arrays: Mapping[str, NDArray[Any]], settings: Mapping[str, Any]) -> None:
    """Write the file, replacing an older one in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            np.savez(file, settings=np.array(json.dumps(dict(settings), sort_keys=True)), **dict[str, Any](arrays))
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def read_alignment(path: Path, ground: Ground, width: int, dims: int) -> Alignment:
    """Read heads from `width` features to `dims` numbers that were fitted on this ground.

    Raises EncoderError when the file is missing, is no such file, or was fitted on something else.
    """
    if not path.is_file():
        raise EncoderError(
            f"{path}: no such alignment; fit it with `maxcos align`, or take `align` out of the settings"
        )
    try:
        arrays = mapped_arrays(path)
        made_of = json.loads(str(arrays.pop("settings")))["made_of"]
        found = Alignment(**arrays, fingerprint=fingerprint([path], VERSION))
        many = len(found.share)
        shapes = (
            found.weights.shape,
            found.bias.shape,
            found.mean.shape,
            found.base_mean.shape,
            found.query_mean.shape,
        )
        whole = found.keys.shape == found.folds.shape and many > 0 and bool((found.folds < many).all())
    except (OSError, ValueError, LookupError, EOFError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        raise EncoderError(f"{path}: not an alignment that `maxcos align` wrote ({error})") from error
    if made_of != ground.made_of:
        again = "take `align` out of the settings, ingest, and fit it again with `maxcos align`"
        raise EncoderError(f"{path}: fitted to other encoders or other weights than the settings name; {again}")
    if shapes != ((many, dims, width), (many, dims), (width,), (dims,), (dims,)) or not whole:
        raise EncoderError(f"{path}: not {width} features to {dims} numbers: {', '.join(map(str, shapes))}")
    return found

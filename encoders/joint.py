"""Several modalities of an item as one: their vectors side by side, placed among texts by heads that see all of them.

What a picture and a graph say alone may be too little to find an item by, and a maximum over both is the better one of
two weak guesses. Heads that read both make one guess of all there is. It needs no field of its own: it sees what the
modalities see that it is made of.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from encoders.contract import Encoded, Encoder, ReadsFiles, unit
from encoders.parts.alignment import Alignable, Alignment, Ground, Keys, key_of, read_alignment
from encoders.parts.texts import TextEncoder, text_peer
from encoders.parts.weights import HEX_DIGITS
from es_mappings.errors import SettingsError
from es_mappings.settings import ModalitySettings
from es_mappings.types import Matrix, Provenance, Space, Term, TextTerm, Vector

VERSION = "joint-1"
"""Part of the fingerprint: raise it when the same modalities give other vectors."""
FEATURES = "features"


def load(modality: str, settings: ModalitySettings, peers: Mapping[str, Encoder]) -> JointEncoder:
    """The modalities that `of` names, which stand before it, as one.

    Options: words, the text modality among whose vectors `maxcos align` places it (default: the first one); align, the
    file of that. Raises SettingsError for wrong options, EncoderError when the heads are missing or do not fit.
    """
    options = settings.options("of", "words", "align")
    texts = text_peer(modality, options, peers)
    if texts is None:
        raise SettingsError(f"modalities.{modality}: there is no text modality before it")
    members = {name: _member(modality, name, peers) for name in settings.of}
    if len(members) < 2:
        raise SettingsError(f"modalities.{modality}.of: name two modalities or more, such as image and graph")
    align = options.get("align")
    return JointEncoder(modality, members, texts, Path(str(align)) if align else None)


def _member(modality: str, name: str, peers: Mapping[str, Encoder]) -> Encoder:
    where = f"modalities.{modality}.of"
    if name not in peers:
        raise SettingsError(f"{where}: no modality {name!r} stands before it, only {', '.join(peers) or 'none'}")
    peer = peers[name]
    if isinstance(peer, TextEncoder) or not isinstance(peer, Alignable):
        raise SettingsError(f"{where}: {name!r} cannot be placed among texts; the encoders torchvision and graph can")
    return peer


class JointEncoder:
    """One space, of the items' places among texts; without heads no item has one.

    align: a file of heads, None for none. An item's values are a list of each member's. An item that a member knows
    nothing of has zeros there. What a member cannot read it tells itself, so nothing is an error here.
    """

    def __init__(
        self, modality: str, members: Mapping[str, Encoder], texts: Encoder, align: Path | None = None
    ) -> None:
        self._members, self._texts = tuple(members.values()), texts
        self._own = [member.spaces[0] for member in self._members]
        words = texts.spaces[0]
        self._space = Space(modality, modality, words.dims, items=False)
        self.spaces: tuple[Space, ...] = (self._space,)
        made = (m.provenance[space.name].fingerprint for m, space in zip(self._members, self._own, strict=True))
        version = "/".join([VERSION, *made, texts.provenance[words.name].fingerprint])
        self.ground: Ground | None = Ground(FEATURES, None, "", texts, _short(version))
        self.alignment: Alignment | None = None
        if align is not None:
            self.alignment = read_alignment(align, self.ground, sum(space.dims for space in self._own), words.dims)
            version = f"{version}/{self.alignment.fingerprint}"
        self.provenance: Mapping[str, Provenance] = {modality: Provenance("joint", _short(version), words.dims)}

    def encode_items(self, values: Sequence[Sequence[Any]], base: Path) -> Encoded:
        """See the contract and the class."""
        vectors: list[Vector | None] = [None] * len(values)
        if self.alignment is not None:
            (seen,) = self.features(values, base).vectors.values()
            rows = [row for row, vector in enumerate(seen) if vector is not None]
            features = np.array([vector for vector in seen if vector is not None], dtype=np.float32)
            for row, vector in zip(rows, self._placed(self.alignment, features, values, rows, base), strict=True):
                vectors[row] = vector
        return Encoded({self._space.name: vectors})

    def _placed(
        self, heads: Alignment, features: Matrix, values: Sequence[Sequence[Any]], rows: Sequence[int], base: Path
    ) -> Matrix:
        if not rows:
            return features
        nothing = np.zeros((len(rows), self._space.dims), dtype=np.float32)
        return unit(heads.place(features, nothing, self.keys([values[row] for row in rows], base)), "joint")

    def features(self, values: Sequence[Sequence[Any]], base: Path) -> Encoded:
        """See `encoders.parts.alignment.Alignable`: the members' vectors side by side."""
        found = self._side_by_side(values, base)
        return Encoded({FEATURES: [unit(vector[None], "joint")[0] if vector.any() else None for vector in found]})

    def _side_by_side(self, values: Sequence[Sequence[Any]], base: Path) -> Matrix:
        """(n, dims), zero where a member has no vector."""
        parts = []
        for at, (member, space) in enumerate(zip(self._members, self._own, strict=True)):
            column = member.encode_items([item[at] if item else () for item in values], base).vectors[space.name]
            nothing = np.zeros(space.dims, dtype=np.float32)
            parts.append([nothing if vector is None else vector for vector in column])
        return np.array([np.concatenate(row) for row in zip(*parts, strict=True)], dtype=np.float32)

    def digest_items(self, values: Sequence[Sequence[Any]], base: Path) -> list[Any]:
        """See `encoders.contract.ReadsFiles`."""
        columns = []
        for at, member in enumerate(self._members):
            own = [item[at] if item else () for item in values]
            columns.append(member.digest_items(own, base) if isinstance(member, ReadsFiles) else own)
        return [list(digests) for digests in zip(*columns, strict=True)]

    def keys(self, values: Sequence[Sequence[Any]], base: Path) -> Keys:
        """See `encoders.parts.alignment.Alignable`: of all that the members read."""
        columns = [
            member.keys([item[at] if item else () for item in values], base)
            for at, member in enumerate(self._members)
            if isinstance(member, Alignable)
        ]
        together = (row.tolist() for row in np.stack(columns, axis=1))
        return np.array([key_of(_digest(repr(row)) if any(row) else None) for row in together], dtype=np.uint64)

    def encode_query(self, term: Term) -> Mapping[str, Vector]:
        """A text's place among the items, where there are heads. What is no text the members understand themselves."""
        if self.alignment is None or not isinstance(term, TextTerm):
            return {}
        text = self._texts.encode_query(term).get(self._texts.spaces[0].name)
        return {} if text is None else {self._space.name: self.alignment.query(text)}


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _short(text: str) -> str:
    return _digest(text)[:HEX_DIGITS]

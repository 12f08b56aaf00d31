"""A graph whose items stand among texts too, where `maxcos align` has fitted heads: for texts that name no entity."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from encoders.contract import Encoded, Encoder, unit
from encoders.graph import GraphEncoder
from encoders.parts.alignment import Alignment, Ground, Keys, key_of, read_alignment
from encoders.parts.graph_file import GraphFile
from encoders.parts.texts import text_peer
from encoders.parts.weights import HEX_DIGITS
from es_mappings.errors import SettingsError
from es_mappings.settings import ModalitySettings
from es_mappings.types import Fields, Provenance, Space, Term, TextTerm, Vector

VERSION = "graph-words-1"
"""Part of the fingerprint: raise it when the same files give other vectors."""


def beside_texts(
    modality: str, graph: GraphFile, settings: ModalitySettings, peers: Mapping[str, Encoder]
) -> GraphEncoder:
    """The graph's encoder, with the text modality that its option `words` names (default: the first one).

    Raises SettingsError for a wrong name, and for `align` without a text modality; EncoderError for wrong heads.
    """
    options = settings.options("relations", "words", "align")
    texts, align = text_peer(modality, options, peers), options.get("align")
    if texts is not None:
        heads = Path(str(align)) if align else None
        return GraphAmongTexts(modality, graph, texts, heads, settings.source, settings.relations)
    if align:
        raise SettingsError(f"modalities.{modality}.align: there is no text modality to align the graph with")
    return GraphEncoder(modality, graph, settings.source, settings.relations)


class GraphAmongTexts(GraphEncoder):
    """A graph with a text modality beside it. Without heads it is the graph alone; with them it has a second space."""

    def __init__(
        self,
        modality: str,
        graph: GraphFile,
        texts: Encoder,
        align: Path | None = None,
        source: tuple[str, ...] = ("id",),
        relations: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """texts: among whose vectors the items are placed. align: a file of heads. The others are `GraphEncoder`'s.

        Raises EncoderError when the heads are missing or do not fit.
        """
        super().__init__(modality, graph, source, relations)
        own, space = self.provenance[modality].fingerprint, texts.spaces[0]
        both = f"{VERSION}/{own}/{texts.provenance[space.name].fingerprint}"
        self.ground: Ground | None = Ground(modality, None, "", texts, _short(both))
        self.alignment: Alignment | None = None
        self._texts, self._words = texts, Space(f"{modality}_words", modality, space.dims)
        if align is not None:
            self.alignment = read_alignment(align, self.ground, self.spaces[0].dims, space.dims)
            made = Provenance("graph", _short(f"{both}/{self.alignment.fingerprint}"), space.dims)
            self.spaces = (*self.spaces, self._words)
            self.provenance = {**self.provenance, self._words.name: made}

    def encode_items(self, values: Sequence[Sequence[Any]], base: Path) -> Encoded:
        """The vectors of `GraphEncoder`, and their places among texts."""
        found = super().encode_items(values, base)
        (own,) = found.vectors.values()
        rows = [row for row, vector in enumerate(own) if vector is not None]
        if self.alignment is None:
            return found
        placed: list[Vector | None] = [None] * len(own)
        if rows:
            features = np.stack([vector for vector in own if vector is not None])
            nothing = np.zeros((len(rows), self._words.dims), dtype=np.float32)
            keys = self.keys([values[row] for row in rows], base)
            for row, vector in zip(rows, self.alignment.place(features, nothing, keys), strict=True):
                placed[row] = unit(vector[None, :], "graph")[0]
        return Encoded({**found.vectors, self._words.name: placed}, found.errors)

    def encode_query(self, term: Term) -> Mapping[str, Vector]:
        """The vector of `GraphEncoder`; a text that names no entity has its place among the items instead."""
        found = super().encode_query(term)
        if found or self.alignment is None or not isinstance(term, TextTerm):
            return found
        text = self._texts.encode_query(term).get(self._texts.spaces[0].name)
        return {} if text is None else {self._words.name: self.alignment.query(text)}

    def features(self, values: Sequence[Sequence[Any]], base: Path) -> Encoded:
        """See `encoders.parts.alignment.Alignable`: the nodes."""
        return super().encode_items(values, base)

    def keys(self, values: Sequence[Sequence[Any]], base: Path) -> Keys:
        """See `encoders.parts.alignment.Alignable`: of each item's entity."""
        named = ([value for value in item if not isinstance(value, Fields)] for item in values)
        return np.array([key_of(_digest(repr(own)) if own else None) for own in named], dtype=np.uint64)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _short(text: str) -> str:
    return _digest(text)[:HEX_DIGITS]

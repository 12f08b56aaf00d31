"""What every encoder is: the contract between a modality and the rest of maxcos.

A new modality is one module in this package that defines `load(name, settings, peers) -> Encoder`, and one
`[modalities.NAME]` entry in the settings whose `encoder` is the module's name.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from es_mappings.errors import BadInput, EncoderError, SettingsError
from es_mappings.types import EntityMatch, GraphPath, Matrix, Provenance, Space, Term, Vector

if TYPE_CHECKING:
    from es_mappings.settings import ModalitySettings


@dataclass(frozen=True, slots=True)
class Encoded:
    """The vectors of a batch of n values.

    vectors: per space name a list of n vectors, None where the value has no vector in that space.
    errors:  per index into the batch why that one value could not be encoded. A value that is merely absent
             (no picture, an empty text, an unknown entity) has no vectors and no error.
    """

    vectors: Mapping[str, Sequence[Vector | None]]
    errors: Mapping[int, BadInput] = field(default_factory=dict)


@runtime_checkable
class Encoder(Protocol):
    """Turns the values of an item's source fields, or one term of a query, into unit vectors of one modality."""

    @property
    def spaces(self) -> tuple[Space, ...]:
        """The vector fields it fills."""

    @property
    def provenance(self) -> Mapping[str, Provenance]:
        """Per space name what made its vectors."""

    def encode_items(self, values: Sequence[Sequence[Any]], base: Path) -> Encoded:
        """Encode a batch.

        values: for each item the values of the modality's source fields, in the order of the settings, absent ones
                left out; a value may be a list. Where the settings name `relations`, the last may be a `Fields` of
                those. base: the folder that relative paths start from.
        """

    def encode_query(self, term: Term) -> Mapping[str, Vector]:
        """Vectors of one term, by space name; empty when this modality does not understand such a term.

        Raises BadInput when it should understand the term but cannot (a picture that is none).
        """


@runtime_checkable
class ReadsFiles(Protocol):
    """An encoder whose values name files, or nodes of a graph: the same values may mean something else tomorrow."""

    def digest_items(self, values: Sequence[Sequence[Any]], base: Path) -> Sequence[Any]:
        """For each item what its vectors would be made of, as JSON: names, and digests of files' bytes or of vectors.

        The arguments are those of `encode_items`. What cannot be read counts as none; nothing is raised.
        """


@runtime_checkable
class Graph(Protocol):
    """What an encoder over a knowledge graph tells beside its vectors. `languages` are those of the names it gives."""

    def search(self, text: str, size: int, languages: Sequence[str]) -> list[EntityMatch]:
        """Entities that a text may mean, whole or while it is typed, the likeliest first."""

    def seen(self, user: str) -> tuple[str, ...]:
        """The ids of the items that a user has interacted with.

        Raises BadTerm for an unknown user, and where the graph knows items by something else than their ids.
        """

    def named(self, term: Term, item: Mapping[str, Any] | None) -> tuple[str, ...]:
        """The entities that a term is about.

        item: of a term that is an item its fields, with its `id`; None where they are not known.
        """

    def paths(
        self, origins: Sequence[str], items: Sequence[Mapping[str, Any]], languages: Sequence[str]
    ) -> list[tuple[GraphPath, ...]]:
        """For each item, given by its fields with its `id`, the best few paths to it from these entities."""


def unit(matrix: Matrix, what: str) -> Matrix:
    """Scale the rows of an (n, dims) matrix to unit length, as contiguous float32.

    Raises BadInput when a row is not finite or has no length: such a vector has no direction, and an engine would
    refuse it or rank it at random.
    """
    matrix = np.ascontiguousarray(matrix, dtype=np.float32)
    norms = np.linalg.norm(matrix, axis=-1, keepdims=True)
    if not np.isfinite(norms).all() or not (norms > 1e-12).all():
        raise BadInput(f"{what}: the vector has no direction (zero, infinite or not a number)")
    return np.ascontiguousarray(matrix / norms, dtype=np.float32)


def load_encoder(modality: str, settings: ModalitySettings, peers: Mapping[str, Encoder]) -> Encoder:
    """Load the encoder that the settings name for a modality; weights may stay unread until they are needed.

    peers: the encoders of the modalities that stand before this one in the settings.
    Raises SettingsError for an unknown encoder or a wrong option, EncoderError when packages or weights are missing.
    """
    if settings.encoder not in available():
        raise SettingsError(
            f"modalities.{modality}.encoder: {settings.encoder!r} is not one of {', '.join(available())}"
        )
    try:
        module = importlib.import_module(f"encoders.{settings.encoder}")
        encoder: Encoder = module.load(modality, settings, peers)
    except ImportError as error:
        raise EncoderError(
            f"modalities.{modality}: the encoder {settings.encoder!r} needs the package {error.name!r}; "
            "install the extra that brings it (text, image, graph or all)"
        ) from error
    return encoder


def load_encoders(modalities: Mapping[str, ModalitySettings]) -> dict[str, Encoder]:
    """The encoders of all modalities, in the order of the settings. Raises what `load_encoder` raises."""
    encoders: dict[str, Encoder] = {}
    for modality, settings in modalities.items():
        encoders[modality] = load_encoder(modality, settings, encoders)
    return encoders


def available() -> tuple[str, ...]:
    """Names of the encoders in this package: its modules, but for this one."""
    package = importlib.import_module("encoders")
    return tuple(m.name for m in pkgutil.iter_modules(package.__path__) if not m.ispkg and m.name != "contract")

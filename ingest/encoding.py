"""What of an item has to be encoded, and the encoding of it: the part that ingesting and attaching have in common."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from encoders.contract import Encoder, ReadsFiles
from encoders.parts.centring import centred
from es_mappings.errors import BadInput
from es_mappings.provenance import items_fingerprint
from es_mappings.schema import Schema, lookup
from es_mappings.settings import ModalitySettings
from es_mappings.types import Centre, EncodedItem, Fields, Item, Vector
from ingest.records import Rejected

Hashes = dict[str, str | None]


@dataclass(frozen=True, slots=True)
class Encoding:
    """How items are encoded.

    base: the folder that their relative paths start from. only: the modalities to look at; None: all of them.
    """

    schema: Schema
    modalities: Mapping[str, ModalitySettings]
    encoders: Mapping[str, Encoder]
    base: Path
    only: frozenset[str] | None = None

    @property
    def chosen(self) -> tuple[str, ...]:
        return tuple(name for name in self.encoders if self.only is None or name in self.only)

    def values(self, item: Item, modality: str) -> list[Any]:
        """The values of an item that its encoder reads, then those of its relations; absent ones are left out.

        Of a modality that is made of others a list of each one's values; none where all of them are empty.
        """
        settings = self.modalities[modality]
        if settings.of:
            each = [self.values(item, name) for name in settings.of]
            return each if any(each) else []
        values = [value for name in settings.source if (value := lookup(item.source, name)) is not None]
        related = {name: value for name in settings.relations if (value := lookup(item.source, name)) is not None}
        return [*values, Fields(related)] if related else values

    def encode(
        self, items: Sequence[Item], asked: Mapping[str, Iterable[int]] | None = None
    ) -> tuple[list[EncodedItem], list[Rejected]]:
        """The items with vectors, not yet centred, and what could not be encoded.

        asked: by modality which of the items to encode, None: all of them; the others have no vectors of it here.
        """
        vectors: list[dict[str, Vector]] = [{} for _ in items]
        lost: list[Rejected] = []
        for modality in self.chosen:
            positions = list(range(len(items)) if asked is None else asked[modality])
            if not positions:
                continue
            values = [self.values(items[i], modality) for i in positions]
            encoded = self.encoders[modality].encode_items(values, self.base)
            for space, column in encoded.vectors.items():
                for i, vector in zip(positions, column, strict=True):
                    if vector is not None:
                        vectors[i][space] = vector
            lost += [_lost(items[positions[at]], modality, error) for at, error in encoded.errors.items()]
        return [EncodedItem(item, found) for item, found in zip(items, vectors, strict=True)], lost

    def hashes(self, items: Sequence[Item], centres: Mapping[str, Centre]) -> list[Hashes]:
        """Of each item and chosen modality a digest of all that decides its vectors; None where nothing is given.

        That is what the encoder reads (of a file its bytes), the encoder itself, and the means that are subtracted.
        """
        found: list[Hashes] = [{} for _ in items]
        for modality in self.chosen:
            spaces = [space.name for space in self.schema.spaces if space.modality == modality]
            made_by = "".join(items_fingerprint(self.schema, centres, space) for space in spaces)
            values = [self.values(item, modality) for item in items]
            encoder = self.encoders[modality]
            read = encoder.digest_items(values, self.base) if isinstance(encoder, ReadsFiles) else values
            for own, value, content in zip(found, values, read, strict=True):
                own[modality] = content_hash([made_by, content]) if value else None
        return found

    def centre(
        self, items: Sequence[EncodedItem], centres: Mapping[str, Centre]
    ) -> tuple[list[EncodedItem], list[Rejected]]:
        """The items with centred vectors; one that has a vector just like the mean loses that modality."""
        modality = {space.name: space.modality for space in self.schema.spaces}
        kept, lost = [], []
        for encoded in items:
            vectors: dict[str, Vector] = {}
            problems: dict[str, BadInput] = {}
            for space, vector in encoded.vectors.items():
                try:
                    vectors[space] = centred(vector, centres[space].items) if space in centres else vector
                except BadInput as error:
                    problems[modality[space]] = error
            lost += [_lost(encoded.item, name, error) for name, error in problems.items()]
            kept.append(EncodedItem(encoded.item, {s: v for s, v in vectors.items() if modality[s] not in problems}))
        return kept, lost


def content_hash(content: Any) -> str:
    """A digest of JSON values, whatever the order of their names."""
    return hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]


def _lost(item: Item, modality: str, error: BadInput) -> Rejected:
    return Rejected(item.place, f"{modality}: {error}", dict(item.source), lost=modality)

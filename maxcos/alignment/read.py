"""To learn from: the index's items as the frozen encoders see them, and the titles that belong to them."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from encoders.contract import Encoder, load_encoder, load_encoders
from encoders.parts.alignment import Alignable, Ground, Keys, directions
from encoders.parts.texts import TextEncoder
from encoders.training.alignment import FOLDS, Pairs
from es_mappings.errors import AlignmentError, BadInput, SettingsError
from es_mappings.schema import Schema, as_values, build_schema, lookup
from es_mappings.settings import ModalitySettings, Settings
from es_mappings.types import Item, StoredItem, TextTerm, Vector
from ingest.encoding import Encoding
from maxcos.alignment.groups import grouped
from query_api.searchers import Searcher, open_searcher

MOST = 10_000
"""About so many items are learnt from; of more, a random sample is."""
LEAST = 100
"""With fewer items that have both, nothing is learnt."""
MOST_SHARED = 2.0
"""A field whose values are shared by more items on average tells kinds of items, not items."""
LONGEST = 100
"""A field whose values have more characters on average is a description, and nothing that people ask by."""
SCANNED, BATCH = 256, 64
"""Items that are read at a time, and that are encoded."""


@dataclass(frozen=True, slots=True, eq=False)
class Title:
    """A text by which people may ask for an item: the number of its field, and its vector."""

    field: int
    text: str
    vector: Vector


@dataclass(frozen=True, slots=True, eq=False)
class Gathered:
    """Items with a title and a picture, or whatever else the modality sees, and `pairs`, which are not yet centred.

    earlier: (n, dims) where the heads that the settings name put the items; None where they name none.
    """

    modality: str
    schema: Schema
    items: Sequence[StoredItem]
    pairs: Pairs
    keys: Keys
    ground: Ground
    earlier: NDArray[np.float32] | None


def gather(settings: Settings, modality: str | None, seed: int) -> Gathered:
    """Read the index and encode its pictures, whose paths start from `page.media`.

    modality: None: the first one that can be aligned. Raises AlignmentError where there is none, or too little to learn
    from, and what loading the encoders and reading the index raise.
    """
    encoders = load_encoders(settings.modalities)
    schema = build_schema(settings.lexical, encoders.values())
    name, encoder, ground = _chosen(encoders, modality)
    given = settings.modalities[name].model_dump()
    given.pop("align", None)
    bare = load_encoder(name, ModalitySettings(**given), encoders)
    with closing(open_searcher(settings.engine, schema)) as searcher:
        items = _items(searcher, seed)
    fields = _titles(schema, items)
    titles = encoded_titles(items, fields, ground.texts)
    titled = [position for position, own in enumerate(titles) if own]
    seen, keys = _encoded(settings, schema, name, bare, [items[position] for position in titled])
    kept = [row for row, vectors in enumerate(seen) if ground.features in vectors]
    _refuse_little(settings, ground, len(kept), len(items))
    found = [titled[row] for row in kept]
    features = np.stack([seen[row][ground.features] for row in kept])
    if ground.base is None:
        base = np.zeros((len(kept), ground.texts.spaces[0].dims), dtype=np.float32)
    else:
        base = np.stack([seen[row][ground.base] for row in kept])
    groups = grouped(
        directions(features - features.mean(axis=0)), [{plain(title.text) for title in titles[at]} for at in found]
    )
    if len(np.unique(groups)) < FOLDS:
        raise AlignmentError(f"all items look alike: {len(np.unique(groups))} groups of different ones, {FOLDS} needed")
    pairs = _pairs(features, base, [titles[at] for at in found], groups, fields)
    own_keys = keys[kept]
    heads = encoder.alignment
    earlier = heads.place(features, base, own_keys) if heads is not None else None
    return Gathered(name, schema, [items[at] for at in found], pairs, own_keys, ground, earlier)


def _items(searcher: Searcher, seed: int) -> list[StoredItem]:
    """All items, or about MOST of them, without their vectors; the same ones for the same seed."""
    share = MOST / max(searcher.count(), 1)
    batches = searcher.scan(SCANNED)
    return [StoredItem(item.id, item.source, {}) for batch in batches for item in batch if lot(item, seed) < share]


def lot(item: StoredItem, seed: int) -> float:
    """A number from 0 to 1 that the item draws."""
    digest = hashlib.blake2b(f"{seed}/{item.id}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little") / 2**64


def _titles(schema: Schema, items: Sequence[StoredItem]) -> tuple[str, ...]:
    """The text fields that name items, in all languages; where there is none those that are suggested."""
    return tuple(field.name for field in schema.text if names_items(field.name, items)) or schema.suggest


def names_items(field: str, items: Sequence[StoredItem]) -> bool:
    values = [text for item in items for text in _values(item, field)]
    return 0 < len(values) <= MOST_SHARED * len(set(values)) and sum(map(len, values)) <= LONGEST * len(values)


def _chosen(encoders: Mapping[str, Encoder], modality: str | None) -> tuple[str, Alignable, Ground]:
    """The modality, its encoder, and what heads would stand on."""
    if modality is not None and modality not in encoders:
        raise SettingsError(f"--modality: {modality!r} is not one of {', '.join(encoders)}")
    for name, encoder in encoders.items():
        if modality in (None, name) and isinstance(encoder, Alignable) and encoder.ground is not None:
            return name, encoder, encoder.ground
    what = f"the modality {modality!r} cannot" if modality else "no modality can"
    raise AlignmentError(
        f"{what} be aligned: it takes the encoder torchvision, graph or joint, and a text encoder before it"
    )


def _encoded(
    settings: Settings, schema: Schema, name: str, encoder: Encoder, items: Sequence[StoredItem]
) -> tuple[list[Mapping[str, Vector]], Keys]:
    assert isinstance(encoder, Alignable)  # it has just been chosen for that
    encoding = Encoding(schema, settings.modalities, {name: encoder}, settings.page.media)
    vectors: list[Mapping[str, Vector]] = []
    keys = [np.empty(0, dtype=np.uint64)]
    with tqdm(total=len(items), desc=f"align: {name}", unit=" items", disable=None) as bar:
        for start in range(0, len(items), BATCH):
            batch = [Item(item.id, item.source) for item in items[start : start + BATCH]]
            values = [encoding.values(item, name) for item in batch]
            columns = encoder.features(values, settings.page.media).vectors
            vectors += [
                {k: v for k, own in columns.items() if (v := own[row]) is not None} for row in range(len(batch))
            ]
            keys.append(encoder.keys(values, settings.page.media))
            bar.update(len(batch))
    return vectors, np.concatenate(keys)


def _refuse_little(settings: Settings, ground: Ground, many: int, items: int) -> None:
    if many >= LEAST:
        return
    where = f"files are looked for from {settings.page.media} on (page.media)"
    raise AlignmentError(
        f"only {many} of {items} items have a title and a vector of {ground.features!r}, {LEAST} are needed; {where}"
    )


def encoded_titles(items: Sequence[StoredItem], fields: Sequence[str], encoder: Encoder) -> list[list[Title]]:
    """Of each item the titles that the text encoder understands."""
    flat = [
        (row, number, text)
        for row, item in enumerate(items)
        for number, field in enumerate(fields)
        for text in _values(item, field)
    ]
    found: list[list[Title]] = [[] for _ in items]
    with tqdm(total=len(flat), desc="align: titles", unit=" texts", disable=None) as bar:
        for start in range(0, len(flat), BATCH):
            batch = flat[start : start + BATCH]
            for (row, number, text), vector in zip(batch, _texts(encoder, [t for _, _, t in batch]), strict=True):
                if vector is not None:
                    found[row].append(Title(number, text, vector))
            bar.update(len(batch))
    return found


def _texts(encoder: Encoder, texts: Sequence[str]) -> list[Vector | None]:
    if isinstance(encoder, TextEncoder):
        return encoder.encode_texts(texts)
    space = encoder.spaces[0].name
    return [_text(encoder, space, text) for text in texts]


def _text(encoder: Encoder, space: str, text: str) -> Vector | None:
    try:
        return encoder.encode_query(TextTerm(text)).get(space)
    except BadInput:
        return None


def _pairs(
    features: NDArray[np.float32],
    base: NDArray[np.float32],
    titles: Sequence[Sequence[Title]],
    groups: NDArray[np.int64],
    fields: tuple[str, ...],
) -> Pairs:
    flat = [(row, title) for row, own in enumerate(titles) for title in own]
    return Pairs(
        features=features,
        base=base,
        texts=np.stack([title.vector for _, title in flat]),
        owner=np.array([row for row, _ in flat]),
        field=np.array([title.field for _, title in flat]),
        fields=fields,
        groups=groups,
    )


def _values(item: StoredItem, name: str) -> Iterator[str]:
    return (text for value in as_values(lookup(item.source, name)) if (text := str(value).strip()))


def plain(text: str) -> str:
    """The title without what a reader hardly sees: case, width, and how words are set apart."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())

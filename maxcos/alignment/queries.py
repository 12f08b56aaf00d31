"""`maxcos align --modality TEXT`: learn from an index's other names what people mean, and keep that only if it wins."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from encoders.parts.alignment import directions, write_alignment
from encoders.parts.queries import LEARNT, key_of_text
from encoders.parts.texts import TextEncoder, asked
from encoders.training.alignment import Pairs
from encoders.training.alignment.queries import EPOCHS, FEWEST, STAYING, QueryFit, Tell, fit_queries
from es_mappings.errors import AlignmentError, SettingsError
from es_mappings.schema import Schema
from es_mappings.settings import Settings
from es_mappings.types import StoredItem, Vector
from maxcos.alignment import compare
from maxcos.alignment.groups import grouped
from maxcos.alignment.read import SCANNED, encoded_titles, lot, names_items, plain
from maxcos.alignment.report import ADAPTED, MOVED, Choice, Report
from query_api.searchers import Searcher, open_searcher

MOST = 20_000
"""About so many items are learnt from; of more, a random sample is."""
AS_THEY_ARE = "as they are"


@dataclass(frozen=True, slots=True, eq=False)
class _Names:
    """The index's vectors with names as queries, these names, and the (dims,) mean that their vectors are without."""

    pairs: Pairs
    texts: Sequence[str]
    mean: Vector


def align_queries(
    settings: Settings, schema: Schema, encoder: TextEncoder, output: Path, seed: int, lora: int | None
) -> Report:
    """Fit a map of queries for a text encoder, and write it if with it unseen names find their items better.

    lora: instead of the map LoRA adapters of this rank, written if with them unseen names find their items better than
    with the map too. Raises SettingsError where the encoder takes none, AlignmentError when there is too little to
    learn from, and what reading the index raises.
    """
    modality = encoder.spaces[0].modality
    uses = settings.modalities[modality].encoder
    if lora and uses != "transformers":
        raise SettingsError(f"--lora: modalities.{modality}.encoder is {uses!r}, only transformers takes adapters")
    names = _names(settings, schema, encoder.bare, seed)
    fits: dict[str, QueryFit[Any]] = {}
    with closing(
        tqdm(total=EPOCHS * (2 if lora else 1), desc=f"align: {modality}", unit=" epochs", disable=None)
    ) as bar:

        def tell(scalars: Mapping[str, float]) -> None:
            bar.set_postfix({name: f"{value:.3f}" for name, value in scalars.items()}, refresh=False)
            bar.update()

        fits[MOVED] = fit_queries(names.pairs, seed=seed, tell=tell)
        if lora:
            fits[ADAPTED] = _adapters(settings, modality, lora, names, seed, tell)
    report, wins = _judge(modality, names.pairs, fits)
    if not wins:
        return report
    fitted = fits[report.method]
    made_of = encoder.bare.provenance[encoder.spaces[0].name].fingerprint
    about = {"modality": modality, "items": report.items, "texts": dict(report.texts), "seed": seed, "made_of": made_of}
    learnt = {"learnt": np.unique(np.array([key_of_text(names.texts[n]) for n in fitted.learnt], dtype=np.uint64))}
    if lora:
        fitted.weights.write(output)
        write_alignment(output / LEARNT, learnt, {"rank": lora, **about})
    else:
        write_alignment(output, {"weights": fitted.weights, **learnt}, about)
    return report.keeping(output)


def _adapters(settings: Settings, modality: str, rank: int, names: _Names, seed: int, tell: Tell) -> QueryFit[Any]:
    from encoders.training.alignment.adapters import fit_adapters
    from encoders.transformers import open_network

    network = open_network(modality, settings.modalities[modality])
    texts = [asked(text) or "" for text in names.texts]
    return fit_adapters(network, rank, names.pairs, texts, names.mean, seed=seed, tell=tell)


def _names(settings: Settings, schema: Schema, encoder: TextEncoder, seed: int) -> _Names:
    space = encoder.spaces[0].name
    with closing(open_searcher(settings.engine, schema)) as searcher:
        items = list(_items(searcher, space, seed))
    read = settings.modalities[encoder.spaces[0].modality].fields
    fields = tuple(f.name for f in schema.text if f.name not in read and names_items(f.name, items))
    titles = encoded_titles(items, fields, encoder)
    many = sum(map(bool, titles))
    if many < FEWEST * 10:
        raise AlignmentError(
            f"only {many} of {len(items)} items have a name that the modality {encoder.spaces[0].modality!r} does not "
            f"read, {FEWEST * 10} are needed: a field of lexical.fields with other names, such as synonyms"
        )
    vectors = np.stack([item.vectors[space] for item in items])
    flat = [(row, title) for row, own in enumerate(titles) for title in own]
    found = np.stack([title.vector for _, title in flat])
    mean: Vector = found.mean(axis=0, dtype=np.float64).astype(np.float32)
    pairs = Pairs(
        features=vectors,  # as they are in the index: centred
        base=vectors,
        texts=directions(found - mean),
        owner=np.array([row for row, _ in flat]),
        field=np.array([title.field for _, title in flat]),
        fields=fields,
        groups=grouped(vectors, [{plain(title.text) for title in own} for own in titles]),
    )
    return _Names(pairs, [title.text for _, title in flat], mean)


def _items(searcher: Searcher, space: str, seed: int) -> Iterator[StoredItem]:
    """The items with a vector, or about MOST of them; the same ones for the same seed. Other vectors are let go."""
    share = MOST / max(searcher.count(), 1)
    for item in (item for batch in searcher.scan(SCANNED) for item in batch if lot(item, seed) < share):
        if space in item.vectors:
            yield StoredItem(item.id, item.source, {space: item.vectors[space]})


def _judge(modality: str, pairs: Pairs, fits: Mapping[str, QueryFit[Any]]) -> tuple[Report, bool]:
    """Whether the last is better than all others and than doing nothing; they are judged by the same texts."""
    method, fitted = list(fits.items())[-1]
    rows = fitted.judged
    if len(rows) < FEWEST:
        raise AlignmentError(f"only {len(rows)} texts to judge by, {FEWEST} are needed")
    judged = Pairs(
        features=pairs.features,
        base=pairs.base,
        texts=pairs.texts[rows],
        owner=pairs.owner[rows],
        field=pairs.field[rows],
        fields=pairs.fields,
        groups=pairs.groups,
    )
    found = {AS_THEY_ARE: fitted.before} | {name: one.after for name, one in fits.items()}
    rivals = [name for name in found if name != method]
    differences = compare.against(judged, {name: 1 / own for name, own in found.items()}, method, rivals)
    report = Report(
        modality=modality,
        items=len(pairs.features),
        groups=len(np.unique(pairs.groups)),
        texts={name: int((pairs.field == number).sum()) for number, name in enumerate(pairs.fields)},
        methods={name: compare.by_field(judged, own) for name, own in found.items()},
        differences=differences,
        chosen=[Choice(STAYING if method == MOVED else 0.0, 1.0, fitted.epochs)],
        classes=None,
        kept=None,
        method=method,
    )
    return report, fitted.epochs > 0 and compare.wins(differences)

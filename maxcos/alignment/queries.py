"""`maxcos align --modality TEXT`: learn from an index's other names what people mean, and keep that only if it wins."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from encoders.parts.alignment import directions, write_alignment
from encoders.parts.queries import key_of_text
from encoders.parts.texts import TextEncoder
from encoders.training.alignment import Pairs
from encoders.training.alignment.queries import EPOCHS, FEWEST, STAYING, QueryFit, fit_queries
from es_mappings.errors import AlignmentError
from es_mappings.schema import Schema
from es_mappings.settings import Settings
from es_mappings.types import StoredItem
from maxcos.alignment import compare
from maxcos.alignment.groups import grouped
from maxcos.alignment.read import SCANNED, encoded_titles, lot, names_items, plain
from maxcos.alignment.report import Choice, Report
from query_api.searchers import Searcher, open_searcher

MOST = 20_000
"""About so many items are learnt from; of more, a random sample is."""
AS_THEY_ARE, MOVED = "as they are", "moved"


def align_queries(settings: Settings, schema: Schema, encoder: TextEncoder, output: Path, seed: int) -> Report:
    """Fit a map of queries for a text encoder, and write it if with it unseen names find their items better.

    Raises AlignmentError when there is too little to learn from, and what reading the index raises.
    """
    modality = encoder.spaces[0].modality
    pairs, texts = _pairs(settings, schema, encoder.bare, seed)
    with closing(tqdm(total=EPOCHS, desc=f"align: {modality}", unit=" epochs", disable=None)) as bar:

        def tell(scalars: Mapping[str, float]) -> None:
            bar.set_postfix({name: f"{value:.3f}" for name, value in scalars.items()}, refresh=False)
            bar.update()

        fitted = fit_queries(pairs, seed=seed, tell=tell)
    report, wins = _judge(modality, pairs, fitted)
    if not wins:
        return report
    made_of = encoder.bare.provenance[encoder.spaces[0].name].fingerprint
    about = {"modality": modality, "items": report.items, "texts": dict(report.texts), "seed": seed}
    learnt = np.unique(np.array([key_of_text(texts[number]) for number in fitted.learnt], dtype=np.uint64))
    write_alignment(output, {"weights": fitted.weights, "learnt": learnt}, {"made_of": made_of, **about})
    return report.keeping(output)


def _pairs(settings: Settings, schema: Schema, encoder: TextEncoder, seed: int) -> tuple[Pairs, list[str]]:
    """The index's vectors with names as queries, and these names."""
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
    pairs = Pairs(
        features=vectors,  # as they are in the index: centred
        base=vectors,
        texts=_centred(np.stack([title.vector for _, title in flat])),
        owner=np.array([row for row, _ in flat]),
        field=np.array([title.field for _, title in flat]),
        fields=fields,
        groups=grouped(vectors, [{plain(title.text) for title in own} for own in titles]),
    )
    return pairs, [title.text for _, title in flat]


def _items(searcher: Searcher, space: str, seed: int) -> Iterator[StoredItem]:
    """The items with a vector, or about MOST of them; the same ones for the same seed. Other vectors are let go."""
    share = MOST / max(searcher.count(), 1)
    for item in (item for batch in searcher.scan(SCANNED) for item in batch if lot(item, seed) < share):
        if space in item.vectors:
            yield StoredItem(item.id, item.source, {space: item.vectors[space]})


def _centred(texts: NDArray[np.float32]) -> NDArray[np.float32]:
    rest: NDArray[np.float32] = texts - texts.mean(axis=0, dtype=np.float64).astype(np.float32)
    return directions(rest)


def _judge(modality: str, pairs: Pairs, fitted: QueryFit) -> tuple[Report, bool]:
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
    found = {AS_THEY_ARE: fitted.before, MOVED: fitted.after}
    differences = compare.against(judged, {name: 1 / own for name, own in found.items()}, MOVED, [AS_THEY_ARE])
    report = Report(
        modality=modality,
        items=len(pairs.features),
        groups=len(np.unique(pairs.groups)),
        texts={name: int((pairs.field == number).sum()) for number, name in enumerate(pairs.fields)},
        methods={name: compare.by_field(judged, own) for name, own in found.items()},
        differences=differences,
        chosen=[Choice(STAYING, 1.0, fitted.epochs)],
        classes=None,
        kept=None,
        queries=True,
    )
    return report, fitted.epochs > 0 and compare.wins(differences)

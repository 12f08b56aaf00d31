"""`maxcos align`: fit heads on the catalogue, judge them by what they have not seen, keep them only where they win."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from encoders.contract import load_encoders
from encoders.parts.alignment import write_alignment
from encoders.parts.texts import TextEncoder
from encoders.training.alignment import CrossFit, Means, centred, cross_fit
from encoders.training.alignment.fit import EPOCHS
from es_mappings.errors import SettingsError
from es_mappings.schema import build_schema
from es_mappings.settings import Settings
from maxcos.alignment import compare
from maxcos.alignment.classes import class_field, classification
from maxcos.alignment.compare import EARLIER, NOTHING, RIDGE
from maxcos.alignment.queries import align_queries
from maxcos.alignment.read import Gathered, gather
from maxcos.alignment.report import HEADS, Choice, Report


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """A report that nothing has been kept of yet, whether the heads win, and all that their file is made of."""

    report: Report
    wins: bool
    fitted: CrossFit
    means: Means


def align(
    settings: Settings,
    output: Path,
    *,
    modality: str | None = None,
    classes: str | None = None,
    checkpoint: Path | None = None,
    seed: int = 0,
    lora: int | None = None,
) -> Report:
    """Fit heads for a modality of the index, and write them to `output` if they beat all that there is without them.

    A text modality gets a map of queries instead, or adapters of the rank `lora`, see `maxcos.alignment.queries`.
    Raises SettingsError for `lora` of anything else, AlignmentError when there is too little to learn from, and what
    reading the index and encoding raise.
    """
    encoders = load_encoders(settings.modalities)
    texts = encoders.get(modality or "")
    if isinstance(texts, TextEncoder):
        return align_queries(settings, build_schema(settings.lexical, encoders.values()), texts, output, seed, lora)
    if lora:
        raise SettingsError("--lora: name a text modality whose encoder is transformers by --modality")
    found = gather(settings, modality, seed)
    outcome = judge(found, classes=classes, checkpoint=checkpoint, seed=seed)
    if not outcome.wins:
        return outcome.report
    _write(output, found, outcome, seed)
    return outcome.report.keeping(output)


def judge(found: Gathered, *, classes: str | None = None, checkpoint: Path | None = None, seed: int = 0) -> Outcome:
    """Fit heads and compare them with all other ways, by items that they have not seen.

    They win if they are better than each way that needs no heads, and than the heads that the settings name.
    """
    field = class_field(found.schema, found.items, classes)
    pairs, means = centred(found.pairs)
    with closing(tqdm(total=EPOCHS, desc="align: heads", unit=" epochs", disable=None)) as bar:

        def tell(scalars: Mapping[str, float]) -> None:
            bar.set_postfix({name: f"{value:.3f}" for name, value in scalars.items()}, refresh=False)
            bar.update()

        fitted = cross_fit(pairs, seed=seed, checkpoint=checkpoint, tell=tell)
    ranks = compare.methods(pairs, fitted, found.ground.method, found.earlier)
    nothing, reciprocal = compare.chance(pairs)
    rivals = [name for name in (NOTHING, found.ground.method, EARLIER) if name in ranks or name == NOTHING]
    reciprocals = {NOTHING: reciprocal} | {name: 1 / own for name, own in ranks.items()}
    differences = compare.against(pairs, reciprocals, HEADS, [*rivals, RIDGE])
    placed = {name: own for name, own in ((found.ground.method, pairs.base), (HEADS, fitted.placed)) if own.any()}
    report = Report(
        modality=found.modality,
        items=len(found.items),
        groups=len(np.unique(pairs.groups)),
        texts={name: int((pairs.field == number).sum()) for number, name in enumerate(pairs.fields)},
        methods={NOTHING: {"all": nothing}} | {name: compare.by_field(pairs, own) for name, own in ranks.items()},
        differences=differences,
        chosen=[Choice(one.penalty, one.head.share, one.epochs) for one in fitted.chosen],
        classes=classification(found.items, field, placed, found.ground.texts, means.texts) if field else None,
        kept=None,
    )
    return Outcome(report, compare.wins([one for one in differences if one.against in rivals]), fitted, means)


def _write(output: Path, found: Gathered, outcome: Outcome, seed: int) -> None:
    report, fitted, means = outcome.report, outcome.fitted, outcome.means
    keys, first = np.unique(found.keys, return_index=True)
    known = keys != 0
    heads = [one.head for one in fitted.chosen]
    arrays = {
        "weights": np.stack([head.weights for head in heads]),
        "bias": np.stack([head.bias for head in heads]),
        "share": np.array([head.share for head in heads], dtype=np.float32),
        "mean": means.features,
        "base_mean": means.base,
        "query_mean": means.texts,
        "keys": keys[known],
        "folds": fitted.folds[first][known].astype(np.uint8),
    }
    mrr = {name: own["all"].mrr for name, own in report.methods.items()}
    about = {"modality": found.modality, "items": report.items, "texts": dict(report.texts), "mrr": mrr, "seed": seed}
    write_alignment(output, arrays, {"made_of": found.ground.made_of, **about})

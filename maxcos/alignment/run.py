"""`maxcos align`: fit heads on the catalogue, judge them by what they have not seen, keep them only where they win."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import click
import numpy as np
import orjson
from tqdm import tqdm

from encoders.parts.alignment import write_alignment
from encoders.training.alignment import CrossFit, Means, Metrics, centred, cross_fit
from encoders.training.alignment.fit import EPOCHS
from es_mappings.settings import Settings
from maxcos.alignment import compare
from maxcos.alignment.classes import class_field, classification
from maxcos.alignment.compare import EARLIER, HEADS, NOTHING, RIDGE
from maxcos.alignment.read import Gathered, gather
from maxcos.evaluation.metrics import Difference


@dataclass(frozen=True, slots=True)
class Choice:
    """What the texts of the other folds chose for one fold's head, see `encoders.training.alignment`."""

    penalty: float
    share: float
    epochs: int


@dataclass(frozen=True, slots=True)
class Report:
    """methods: by way of placing the items, over all texts and by field. differences: of the heads, in MRR by group.

    kept: the file; None where the heads did not win. classes: what scikit-learn reports on the nearest class names.
    """

    modality: str
    items: int
    groups: int
    texts: Mapping[str, int]
    methods: Mapping[str, Mapping[str, Metrics]]
    differences: Sequence[Difference]
    chosen: Sequence[Choice]
    classes: Mapping[str, Any] | None
    kept: str | None


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
) -> Report:
    """Fit heads for a modality of the index, and write them to `output` if they beat all that there is without them.

    Raises AlignmentError when there is too little to learn from, and what reading the index and encoding raise.
    """
    found = gather(settings, modality, seed)
    outcome = judge(found, classes=classes, checkpoint=checkpoint, seed=seed)
    if not outcome.wins:
        return outcome.report
    _write(output, found, outcome, seed)
    return replace(outcome.report, kept=str(output))


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


def print_report(report: Report, config: Path, as_json: bool) -> None:
    """Say what was compared, what won, and what to do now."""
    if as_json:
        click.echo(orjson.dumps(asdict(report)).decode())
        return
    texts = ", ".join(f"{many} of {name}" for name, many in report.texts.items())
    click.echo(
        f"{report.items} items in {report.groups} groups of the same or nearly the same, found by their texts: {texts}"
    )
    click.echo(f"{'':<16}{'mrr':>8}{'r@1':>8}{'r@10':>8}   mrr, r@10 by field")
    for name, parts in report.methods.items():
        fields = "   ".join(f"{n} {m.mrr:.3f} {m.recall_at_10:.3f}" for n, m in parts.items() if n != "all")
        own = parts["all"]
        click.echo(f"{name:<16}{own.mrr:>8.4f}{own.recall_at_1:>8.3f}{own.recall_at_10:>8.3f}   {fields}")
    for one in report.differences:
        by = f"{one.mean:+.4f} in mrr by group ({one.low:+.4f} to {one.high:+.4f}, p = {one.p:.2g})"
        click.echo(f"heads against {one.against}: {by}")
    if report.classes:
        told = (
            f"{name} {own['accuracy']:.3f} and {own['macro avg']['f1-score']:.3f}"
            for name, own in report.classes["methods"].items()
        )
        about = f"{report.classes['field']} of {report.classes['items']} items"
        click.echo(f"nearest name of the {about}, accuracy and macro F1: {', '.join(told)}")
    if report.kept is None:
        click.echo("the heads are not surely better than what there is: nothing was written, nothing is to be done")
        return
    name = Path(report.kept).name if Path(report.kept).parent.resolve() == config.parent.resolve() else report.kept
    click.echo(f"written to {report.kept}. Now set, under [modalities.{report.modality}] in {config}:")
    click.echo(f'    align = "{name}"')
    click.echo(f"and run `maxcos ingest SOURCE --only {report.modality}` and `maxcos calibrate`")

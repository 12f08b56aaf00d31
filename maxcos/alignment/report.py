"""What an alignment found, and how it is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import click
import orjson

from encoders.training.alignment import Metrics
from maxcos.evaluation.metrics import Difference

HEADS, MOVED, ADAPTED = "heads", "moved", "adapted"


@dataclass(frozen=True, slots=True)
class Choice:
    """What the texts of the other folds chose for one fold's head, see `encoders.training.alignment`.

    Of what moves queries: what moving costs, and the epochs.
    """

    penalty: float
    share: float
    epochs: int


@dataclass(frozen=True, slots=True)
class Report:
    """methods: by way of placing the items, over all texts and by field. differences: of the method, in MRR by group.

    kept: the file; None where the method did not win. classes: what scikit-learn reports on the nearest class names.
    method: HEADS, or of queries, where items stay where they are, a map, MOVED, or LoRA adapters, ADAPTED.
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
    method: str = HEADS

    @property
    def queries(self) -> bool:
        """Whether queries are moved, and items stay where they are."""
        return self.method != HEADS

    def keeping(self, output: Path) -> Report:
        return replace(self, kept=str(output))


def print_report(report: Report, config: Path, as_json: bool) -> None:
    """Say what was compared, what won, and what to do now."""
    if as_json:
        click.echo(orjson.dumps({**asdict(report), "queries": report.queries}).decode())
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
    what, verb = {HEADS: ("the heads", "are"), MOVED: ("the map", "is"), ADAPTED: ("the adapters", "are")}[
        report.method
    ]
    for one in report.differences:
        by = f"{one.mean:+.4f} in mrr by group ({one.low:+.4f} to {one.high:+.4f}, p = {one.p:.2g})"
        click.echo(f"{report.method} against {one.against}: {by}")
    if report.classes:
        told = (
            f"{name} {own['accuracy']:.3f} and {own['macro avg']['f1-score']:.3f}"
            for name, own in report.classes["methods"].items()
        )
        about = f"{report.classes['field']} of {report.classes['items']} items"
        click.echo(f"nearest name of the {about}, accuracy and macro F1: {', '.join(told)}")
    if report.kept is None:
        click.echo(f"{what} {verb} not surely better than what there is: nothing was written, nothing is to be done")
        return
    name = Path(report.kept).name if Path(report.kept).parent.resolve() == config.parent.resolve() else report.kept
    click.echo(f"written to {report.kept}. Now set, under [modalities.{report.modality}] in {config}:")
    click.echo(f'    align = "{name}"')
    again = "" if report.queries else f"`maxcos ingest SOURCE --only {report.modality}` and "
    click.echo(f"and run {again}`maxcos calibrate`")

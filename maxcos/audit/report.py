"""`maxcos audit` as a whole: read the index, find, print."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import click
import orjson
from tqdm import tqdm

from encoders.contract import load_encoders
from es_mappings.schema import build_schema
from es_mappings.settings import Settings
from maxcos.audit.findings import NEAR, Case, Finding, coverage, findings
from maxcos.audit.read import gather
from query_api.searchers import open_searcher

BATCH = 256
COMPARED = 20_000
"""So many items are compared with each other; of more, a random sample is.

With the demo's four spaces (2,432 numbers an item) it takes 40 s on two cores and 700 MB, of 100,000 items also.
"""
SHOWN = 4
"""How many ids of one group the table shows."""


@dataclass(frozen=True, slots=True)
class Report:
    """items: all of the index. compared: how many were compared with each other; fewer than all: a random sample.

    coverage: by modality, how many items have it. scripts: by text field, how many items have a value in which script.
    """

    index: str
    items: int
    compared: int
    seconds: float
    coverage: Mapping[str, int]
    scripts: Mapping[str, Mapping[str, int]]
    findings: Sequence[Finding]


def audit(settings: Settings, *, near_from: float = NEAR, compared: int = COMPARED) -> Report:
    """Look at every item of the index. Raises what reading the settings' encoders and the index raises."""
    started = time.perf_counter()
    schema = build_schema(settings.lexical, load_encoders(settings.modalities).values())
    searcher = open_searcher(settings.engine, schema)
    try:
        total = searcher.count()
        with tqdm(
            searcher.scan(BATCH), desc="audit", total=-(-total // BATCH), unit=" batches", disable=None
        ) as batches:
            gathered = gather(batches, schema, settings, compared)
    finally:
        searcher.close()
    return Report(
        index=settings.engine.index,
        items=len(gathered.ids),
        compared=len(gathered.compared),
        coverage=coverage(gathered, schema),
        scripts={name: dict(counts.most_common()) for name, counts in gathered.written.items()},
        findings=findings(gathered, schema, near_from),
        seconds=time.perf_counter() - started,
    )


def print_report(report: Report, limit: int, as_json: bool) -> None:
    """Say what an audit found. limit: how many cases of each finding."""
    if as_json:
        short = [replace(finding, cases=finding.cases[:limit]) for finding in report.findings]
        click.echo(orjson.dumps(replace(report, findings=short)).decode())
        return
    click.echo(f"{report.index}: {report.items} items, {_compared(report)}, {report.seconds:.1f} s")
    click.echo("modalities: " + (", ".join(f"{name} {count}" for name, count in report.coverage.items()) or "none"))
    for name, counts in report.scripts.items():
        click.echo(f"{name}: " + (", ".join(f"{script} {count}" for script, count in counts.items()) or "no values"))
    if not report.findings:
        click.echo("nothing to complain of")
    for finding in report.findings:
        detail = f"  ({finding.detail})" if finding.detail else ""
        share = finding.items / finding.of
        click.echo(f"\n{finding.items:>7} {share:>6.1%}  {finding.kind}: {finding.about}{detail}")
        for case in finding.cases[:limit]:
            click.echo(f"{'':17}{_line(case)}")
        if len(finding.cases) > limit:
            click.echo(f"{'':17}... and {len(finding.cases) - limit} more")


def _compared(report: Report) -> str:
    if report.compared == report.items:
        return "all compared with each other"
    # A pair is in the sample when both of its items are.
    share = (report.compared / report.items) ** 2
    return f"a random {report.compared} of them compared with each other, hence {share:.1%} of near pairs are seen"


def _line(case: Case) -> str:
    number = "" if case.value is None else f"{case.value:.3f}  "
    more = f" and {len(case.ids) - SHOWN} more" if len(case.ids) > SHOWN else ""
    return f"{number}{'  '.join(case.ids[:SHOWN])}{more}"

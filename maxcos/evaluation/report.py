"""An evaluation: the report, how it is made, and how it is printed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import click
import numpy as np
import orjson
from numpy.typing import NDArray
from tqdm import tqdm

from es_mappings.cluster import connect, is_embedded, probe
from es_mappings.settings import EngineSettings, Settings
from maxcos.evaluation.metrics import METRICS, Difference, Floats, Mean, differences, mean, per_query
from maxcos.evaluation.run import FIRST, Answers, ask
from maxcos.evaluation.systems import DEFAULT, systems
from maxcos.judgments import Judged, read_judged
from query_api.searchers import open_searcher
from query_api.service import SearchService

ALL = "all"
COMPARED = (DEFAULT, "max")
"""The systems that are compared with all others."""


@dataclass(frozen=True, slots=True)
class Row:
    """One system on one group of queries.

    metrics: means by metric. ms: the median milliseconds of a query whose vectors are known. answered: how many queries
    reached anything.
    differences: by metric, from the systems it is compared with.
    """

    system: str
    metrics: Mapping[str, Mean]
    ms: float
    answered: int
    differences: Mapping[str, Sequence[Difference]]


@dataclass(frozen=True, slots=True)
class Group:
    """Queries of one language, or all of them. encoding_ms: the median milliseconds that making all vectors takes."""

    language: str
    queries: int
    encoding_ms: float
    rows: Sequence[Row]


@dataclass(frozen=True, slots=True)
class QueryResult:
    """relevant: the items that answer it. values: by system, in the order of METRICS. first: by system its hits."""

    id: str
    query: object
    language: str | None
    relevant: Sequence[str]
    values: Mapping[str, Sequence[float]]
    first: Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Report:
    """winners: by system how many of the first hits each modality decided. fitted: whether the index has maps."""

    index: str
    engine: str
    items: int
    fitted: bool
    winners: Mapping[str, Mapping[str, int]]
    groups: Sequence[Group]
    queries: Sequence[QueryResult]


def evaluate(settings: Settings, queries: Path, qrels: Path, *, ablate: bool = False) -> Report:
    """Ask judged queries in every way that the index can be asked.

    Raises JudgmentsError for queries or judgments that cannot be read or asked, and what loading and searching raise.
    """
    with closing(SearchService.from_settings(settings)) as service:
        judged = read_judged(queries, qrels, service.schema)
        items = service.check()
        with closing(open_searcher(settings.engine, service.schema)) as searcher:
            fitted = bool(searcher.state().manifest.valid_calibration(service.schema))
        service.warm()
        chosen = systems(service.schema.modalities, calibrated=fitted, ablate=ablate)
        with tqdm(desc="eval", total=len(chosen) * len(judged), unit=" queries", disable=None) as bar:
            answers = ask(service, chosen, judged, bar.update)
    return make_report(settings, judged, answers, items=items, fitted=fitted)


def make_report(
    settings: Settings, judged: Sequence[Judged], answers: Sequence[Answers], *, items: int, fitted: bool
) -> Report:
    """Metrics, intervals and comparisons of what was answered."""
    values = {answer.system.name: per_query(answer.rankings, judged) for answer in answers}
    languages = sorted({query.language for query in judged if query.language})
    members = {ALL: np.ones(len(judged), dtype=bool)}
    if len(languages) > 1:
        members |= {name: np.array([query.language == name for query in judged]) for name in languages}
    return Report(
        index=settings.engine.index,
        engine=engine_name(settings.engine),
        items=items,
        fitted=fitted,
        winners={answer.system.name: answer.winners for answer in answers},
        groups=[_group(name, inside, judged, answers, values) for name, inside in members.items()],
        queries=[_result(position, query, answers, values) for position, query in enumerate(judged)],
    )


def engine_name(engine: EngineSettings) -> str:
    """What answers, with its version. Raises what asking it raises."""
    if is_embedded(engine):
        return "embedded"
    with closing(connect(engine)) as cluster:
        return probe(cluster)[1]


def _group(
    language: str,
    inside: NDArray[np.bool_],
    judged: Sequence[Judged],
    answers: Sequence[Answers],
    values: Mapping[str, Mapping[str, Floats]],
) -> Group:
    queries = [query for query, is_inside in zip(judged, inside, strict=True) if is_inside]
    chosen = {name: {metric: found[inside] for metric, found in by.items()} for name, by in values.items()}
    rows = [_row(answer, queries, chosen) for answer in answers]
    encoding = [sum(answer.encoding.get(query.id, 0.0) for answer in answers) for query in queries]
    return Group(language, len(queries), _median(encoding), rows)


def _row(answer: Answers, queries: Sequence[Judged], values: Mapping[str, Mapping[str, Floats]]) -> Row:
    name = answer.system.name
    others = [other for other in values if other != name] if name in COMPARED else []
    times = [answer.milliseconds[query.id] for query in queries if query.id in answer.milliseconds]
    return Row(
        system=name,
        metrics={metric: mean(values[name][metric]) for metric in METRICS},
        ms=_median(times),
        answered=len(times),
        differences={
            metric: differences(values[name][metric], {other: values[other][metric] for other in others})
            for metric in METRICS
            if others
        },
    )


def _median(times: Sequence[float]) -> float:
    return round(median(times), 2) if times else 0.0


def _result(
    position: int, query: Judged, answers: Sequence[Answers], values: Mapping[str, Mapping[str, Floats]]
) -> QueryResult:
    return QueryResult(
        id=query.id,
        query=query.query,
        language=query.language,
        relevant=[item for item, grade in query.grades.items() if grade > 0],
        values={name: [round(float(found[m][position]), 4) for m in METRICS] for name, found in values.items()},
        first={a.system.name: a.rankings.get(query.id, ())[:FIRST] for a in answers},
    )


def as_json(report: Report) -> str:
    return orjson.dumps(report, option=orjson.OPT_INDENT_2).decode()


def print_report(report: Report) -> None:
    """A table for each group, the differences of what users get, and who decided the first hits."""
    of = f"{report.items} items of {report.index!r} on {report.engine}"
    click.echo(f"{of}, {'calibrated' if report.fitted else 'not calibrated'}")
    wide = 2 + max(len(system) for system in report.winners)
    for group in report.groups:
        click.echo(f"\n{group.language}: {group.queries} queries, whose vectors take {group.encoding_ms:.1f} ms more")
        click.echo(f"{'':<{wide}}" + "".join(f"{metric:>9}{'95 % interval':>16}" for metric in METRICS) + f"{'ms':>8}")
        for row in group.rows:
            shown = "".join(f"{m.mean:>9.3f}{f'{m.low:.3f} to {m.high:.3f}':>16}" for m in row.metrics.values())
            silent = f"   {group.queries - row.answered} reach nothing" if row.answered < group.queries else ""
            click.echo(f"{row.system:<{wide}}{shown}{row.ms:>8.1f}{silent}")
        for row in group.rows:
            for found in row.differences.get(METRICS[0], ()):
                interval = f"{found.low:+.3f} to {found.high:+.3f}"
                against = f"{row.system} against {found.against}"
                click.echo(f"  {against:<40}{METRICS[0]} {found.mean:+.3f} ({interval}), p = {found.p:.2g}")
    click.echo(f"\nwho decided the first {FIRST} hits")
    for system, winners in report.winners.items():
        total = sum(winners.values())
        shares = ", ".join(f"{name} {won / total:.0%}" for name, won in sorted(winners.items(), key=lambda w: -w[1]))
        click.echo(f"{system:<{wide}}{shares}")

"""The report as one HTML file: tables, plots, and the queries that gain and lose the most, with their pictures."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from encoders.contract import load_encoders
from es_mappings.errors import BadInput
from es_mappings.schema import build_schema
from es_mappings.settings import Settings
from es_mappings.types import StoredItem
from maxcos.evaluation import plots
from maxcos.evaluation.metrics import METRICS
from maxcos.evaluation.report import QueryResult, Report
from maxcos.evaluation.systems import DEFAULT
from maxcos.media import pictures
from query_api.searchers import open_searcher

MOST_SHOWN = 8
"""Queries that gain, and as many that lose."""
HITS = 6
EDGE = 64
"""Of a thumbnail, in pixels."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A hit as the page shows it. picture: a data URL. relevant: whether it answers the query."""

    title: str
    picture: str | None
    relevant: bool = False


@dataclass(frozen=True, slots=True)
class Case:
    """A query, and what both systems found."""

    query: str
    difference: float
    lists: Mapping[str, Sequence[Shown]]


def write_page(report: Report, settings: Settings, file: Path) -> None:
    """The items of the queries that are shown are asked of the index. Raises what opening and asking it raise."""
    schema = build_schema(settings.lexical, load_encoders(settings.modalities).values())
    with closing(open_searcher(settings.engine, schema)) as searcher:
        file.write_text(render(report, _shower(settings, searcher.item)), "utf-8")


def render(report: Report, show: Callable[[str], Shown]) -> str:
    """show: a hit by its id."""
    from jinja2 import Environment, PackageLoader

    best = best_part(report)
    place = METRICS.index(METRICS[0])
    changes = [(query.values[DEFAULT][place] - query.values[best][place], query) for query in report.queries]
    changes.sort(key=lambda change: -change[0])
    environment = Environment(loader=PackageLoader("maxcos.evaluation", "."), autoescape=True)
    return environment.get_template("page.html").render(
        report=report,
        metrics=METRICS,
        default=DEFAULT,
        best=best,
        plots=plots,
        gains=[change for change, _ in changes],
        won=list(_cases((c for c in changes if c[0] > 0), best, show)),
        lost=list(_cases((c for c in reversed(changes) if c[0] < 0), best, show)),
    )


def best_part(report: Report) -> str:
    """The best of words alone and each modality alone, over all queries."""
    rows = report.groups[0].rows
    parts = rows[: [row.system for row in rows].index("max")]
    return max(parts, key=lambda row: row.metrics[METRICS[0]].mean).system


def _cases(changes: Iterator[tuple[float, QueryResult]], best: str, show: Callable[[str], Shown]) -> Iterator[Case]:
    for (difference, query), _ in zip(changes, range(MOST_SHOWN), strict=False):
        lists = {
            system: [replace(show(item), relevant=item in query.relevant) for item in query.first[system][:HITS]]
            for system in (DEFAULT, best)
        }
        yield Case(_words(query.query), difference, lists)


def _words(query: Any) -> str:
    """A query of several terms by what its terms say; pictures and vectors by their kind."""
    if isinstance(query, str):
        return query
    kinds = ("text", "item", "entity", "user")
    return " + ".join(
        next((str(term[kind]) for kind in kinds if kind in term), "a picture or vector") for term in query
    )


def _shower(settings: Settings, item: Callable[[str], StoredItem]) -> Callable[[str], Shown]:
    shown: dict[str, Shown] = {}

    def show(identifier: str) -> Shown:
        if identifier not in shown:
            stored = item(identifier)
            picture = next(filter(None, map(_thumbnail, pictures(stored, settings))), None)
            shown[identifier] = Shown(str(stored.source.get(settings.page.title, identifier)), picture)
        return shown[identifier]

    return show


def _thumbnail(path: Path) -> str | None:
    """None for a file that is no picture, and without Pillow."""
    try:
        from encoders.parts.pictures import open_picture

        picture = open_picture(path)
    except (BadInput, ImportError):
        return None
    picture.thumbnail((EDGE, EDGE))
    out = io.BytesIO()
    picture.save(out, "WEBP", quality=70)
    return f"data:image/webp;base64,{base64.b64encode(out.getvalue()).decode()}"

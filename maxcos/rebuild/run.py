"""From a source to a fresh index that has taken the place of the old one, or to nothing having happened."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import orjson

from encoders.contract import load_encoders
from es_mappings.errors import CalibrationError, MaxcosError, RebuildFailed
from es_mappings.provenance import META_KEY
from es_mappings.schema import Schema, build_schema
from es_mappings.settings import Settings
from ingest.pipeline import Summary
from ingest.places import Current, Place, fresh_name, open_place, previous
from maxcos.build import ingest_file, print_summary
from maxcos.calibration.run import calibrate
from maxcos.rebuild.compare import Comparison, compare, old_schema
from query_api.searchers import open_searcher

SAMPLE = 100
WORSE = 0.05
"""So much smaller may the share of items be that their own title finds: ties among equal titles fall by chance."""


@dataclass(frozen=True, slots=True)
class Report:
    """index: the new index's own name. kept: the old one's from now on; None when there is none any more.

    comparison: None without an old index that can be searched. calibrated: whether the new index has maps.
    """

    index: str
    kept: str | None
    items_before: int
    items: int
    summary: Summary
    comparison: Comparison | None
    calibrated: bool


def rebuild(
    source: Path,
    settings: Settings,
    *,
    triples: Path | None = None,
    names: Path | None = None,
    interactions: Path | None = None,
    replace: bool = False,
    fewer: bool = False,
    before_swap: Callable[[str], object] = lambda _: None,
) -> Report:
    """Build the index anew and let it take the old one's place.

    replace: an old index that the engine cannot keep may be deleted by the swap. fewer: the new index may hold fewer
    items. before_swap: told the new index's name when all checks have passed.
    Raises RebuildFailed when it must not be, and what `ingest_file` raises; the new index is gone then, and the old
    one is as it was.
    """
    name = settings.engine.index
    with closing(open_place(settings.engine)) as place:
        current = place.current()
        if kept := place.kept():
            raise RebuildFailed(f"an earlier rebuild has kept {kept}: run maxcos rebuild --drop-old first")
        if current is not None and not _is_ours(current.meta):
            raise RebuildFailed(
                f"{name!r} was not made by maxcos ingest, so its documents are not in SOURCE alone: choose another "
                "engine.index, or give it vectors in place by maxcos attach"
            )
        if current is not None and current.loses and not replace:
            raise RebuildFailed(
                f"{name!r} is an index, not an alias: the swap puts an alias in its place and deletes the index, as "
                "engines cannot rename one. With --replace it does so, in one step"
            )
        fresh = fresh_name(name)
        try:
            report = _built(source, _on(settings, fresh), current, triples, names, interactions, fewer=fewer)
            before_swap(fresh)
            place.swap(fresh)
        except BaseException:
            _undo(place, fresh)
            raise
        return dataclasses.replace(report, kept=place.kept())


def _is_ours(meta: Mapping[str, Any]) -> bool:
    return META_KEY in meta and "layout" not in meta[META_KEY]


def drop_old(settings: Settings) -> str | None:
    """Delete the index that a rebuild has kept; returns its own name, None when there is none."""
    with closing(open_place(settings.engine)) as place:
        return place.drop_kept()


def print_report(report: Report, settings: Settings, source: Path, as_json: bool) -> None:
    """Say what a rebuild did."""
    if as_json:
        click.echo(orjson.dumps(report).decode())
        return
    name = settings.engine.index
    print_summary(report.summary, source, as_json=False)
    if found := report.comparison:
        shares = ", ".join(f"{what} {share:.2f}" for what, share in found.agreement.items())
        click.echo(
            f"{found.asked} items asked for by their own title: found {found.found_old:.0%} before, "
            f"{found.found_new:.0%} now; the same hits: {shares or 'nothing to compare'}"
        )
    click.echo(f"{name} is now {report.index} with {report.items} items ({report.items_before} before)")
    if report.kept:
        click.echo(f"the old index stays as {previous(name)} ({report.kept}) until maxcos rebuild --drop-old")
    if not report.calibrated and settings.modalities:
        click.echo("it is not calibrated: run maxcos calibrate")


def _built(
    source: Path,
    fresh: Settings,
    current: Current | None,
    triples: Path | None,
    names: Path | None,
    interactions: Path | None,
    *,
    fewer: bool,
) -> Report:
    """The fresh index, filled, calibrated if the old one was, and checked."""
    summary = ingest_file(source, fresh, triples, names, interactions=interactions)
    schema = build_schema(fresh.lexical, load_encoders(fresh.modalities).values())
    if not summary.written:
        raise RebuildFailed("no record could be indexed")
    had_maps = current is not None and bool(current.meta.get(META_KEY, {}).get("calibration"))
    calibrated = had_maps and _calibrated(fresh)
    items, comparison = _checked(fresh, schema, current, summary, fewer=fewer)
    return Report(
        index=fresh.engine.index,
        kept=None,
        items_before=current.documents if current else 0,
        items=items,
        summary=summary,
        comparison=comparison,
        calibrated=calibrated,
    )


def _checked(
    fresh: Settings, schema: Schema, current: Current | None, summary: Summary, *, fewer: bool
) -> tuple[int, Comparison | None]:
    with closing(open_searcher(fresh.engine, schema)) as new:
        items = new.count()
        # An id that stands twice in the source is one item.
        if not 0 < items <= summary.written:
            raise RebuildFailed(f"{summary.written} items were written, but the new index holds {items}")
        if current is None:
            return items, None
        if items < current.documents and not fewer:
            raise RebuildFailed(
                f"the new index holds {items} items, the old one {current.documents}: with --fewer it may"
            )
        before = old_schema(current.meta, schema)
        if before is None:
            return items, None
        with closing(open_searcher(_on(fresh, current.index).engine, before)) as old:
            found = compare(old, new, (before, schema), SAMPLE, seed=0)
    if found.found_new < found.found_old - WORSE:
        raise RebuildFailed(
            f"of {found.asked} items {found.found_new:.0%} are found by their own title, in the old index it is "
            f"{found.found_old:.0%}"
        )
    return items, found


def _calibrated(fresh: Settings) -> bool:
    try:
        calibrate(fresh)
    except CalibrationError as error:
        click.echo(f"maxcos: not calibrated: {error}", err=True)
        return False
    return True


def _undo(place: Place, fresh: str) -> None:
    """Delete the fresh index unless the swap has been carried out, though its answer was lost."""
    try:
        place.discard(fresh)
    except MaxcosError as error:
        click.echo(f"maxcos: {fresh} could not be deleted: {error}", err=True)


def _on(settings: Settings, index: str) -> Settings:
    return settings.model_copy(update={"engine": settings.engine.model_copy(update={"index": index})})

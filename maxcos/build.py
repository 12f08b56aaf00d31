"""Building an index from files: train the graph if its model is missing, encode, write, and say what happened."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import click
import orjson
from tqdm import tqdm

from encoders.contract import load_encoders
from encoders.training.update import UpdateReport, update_graph
from es_mappings.errors import EncoderError, SettingsError
from es_mappings.provenance import Manifest
from es_mappings.schema import Schema, build_schema
from es_mappings.settings import Settings
from ingest import check
from ingest.encoding import Encoding
from ingest.letters import read_letters
from ingest.pipeline import Summary, ingest
from ingest.records import Entry
from ingest.sinks import open_sink
from ingest.sources import SUFFIXES, base_of, digest, read

if TYPE_CHECKING:
    from encoders.training.graph import LinkReport, TrainingReport

SHOWN_PROBLEMS = 20


def train(triples: Path | None, names: Path | None, output: Path, **how: Any) -> TrainingReport:
    """Train the graph's vectors, see `train_graph`. Raises EncoderError without the extra `graph`."""
    say = partial(click.echo, err=True)
    report: TrainingReport = _graph_training().train_graph(triples, names, output, say=say, **how)
    _show_problems(report.problems)
    return report


def update(model: Path, **what: Path | None) -> UpdateReport:
    """Bring a trained graph up to date, see `update_graph`."""
    report = update_graph(model, **what)
    _show_problems(report.problems)
    return report


def evaluate(model: Path, test: Path, known: Sequence[Path]) -> LinkReport:
    """Link prediction by a trained graph, see `evaluate_links`. Raises EncoderError without the extra `graph`."""
    report: LinkReport = _graph_training().evaluate_links(model, test, known)
    _show_problems(report.problems)
    return report


def _graph_training() -> ModuleType:
    try:
        return importlib.import_module("encoders.training.graph")
    except ImportError as error:
        raise EncoderError(f"training a graph needs the package {error.name!r}: install the extra 'graph'") from error


def _show_problems(problems: Sequence[tuple[str, str]]) -> None:
    for place, reason in problems[:SHOWN_PROBLEMS]:
        click.echo(f"{place}: {reason}", err=True)
    if len(problems) > SHOWN_PROBLEMS:
        click.echo(f"... and {len(problems) - SHOWN_PROBLEMS} more lines that were left out", err=True)


def train_missing(
    settings: Settings, triples: Path | None, names: Path | None, interactions: Path | None = None
) -> None:
    """Train every graph of the settings whose model file does not exist yet.

    Raises SettingsError where there is one, but neither triples nor interactions.
    """
    for name, modality in settings.modalities.items():
        if modality.encoder != "graph" or modality.model is None or Path(modality.model).is_file():
            continue
        if triples is None and interactions is None:
            how = "give --triples or --interactions to train it"
            raise SettingsError(f"modalities.{name}: {modality.model} does not exist; {how}")
        train(triples, names, Path(modality.model), interactions=interactions)


def ingest_file(
    source: Path,
    settings: Settings,
    triples: Path | None = None,
    names: Path | None = None,
    only: Sequence[str] = (),
    *,
    interactions: Path | None = None,
) -> Summary:
    """Everything that serving these settings needs: graph vectors and the index. Raises what `ingest` raises.

    only: the modalities to encode; none: all of them. What the index has of the others stays.
    """
    if unknown := sorted({*only} - settings.modalities.keys()):
        raise SettingsError(f"--only: {unknown[0]!r} is not one of {', '.join(settings.modalities)}")
    train_missing(settings, triples, names, interactions)
    # What holds some modalities only is not yet the index of this source.
    receipt = None if only else digest(source)
    return _ingest(source, settings, lambda schema: read(source, schema), base_of(source), receipt, only)


def replay(letters: Path, settings: Settings) -> Summary:
    """Put dead letters in again. Their file stays as it is; what fails again goes to the file of the next number.

    Relative paths start from the folder of the file, or, when the letters are those of a folder, from that.
    """
    folder = letters.with_name(re.sub(r"\.dead-letters(-\d+)?\.jsonl$", "", letters.name))
    base = folder if folder.is_dir() else letters.parent
    return _ingest(letters, settings, lambda _: read_letters(letters), base, receipt=None)


def _ingest(
    source: Path,
    settings: Settings,
    records: Callable[[Schema], Iterable[Entry]],
    base: Path,
    receipt: str | None,
    only: Sequence[str] = (),
) -> Summary:
    encoders = load_encoders(settings.modalities)
    schema = build_schema(settings.lexical, encoders.values())
    with (
        closing(open_sink(settings.engine, schema)) as sink,
        tqdm(desc=settings.engine.index, unit=" items", disable=None) as bar,
    ):
        return ingest(
            records(schema),
            Encoding(schema, settings.modalities, encoders, base, frozenset(only) or None),
            sink,
            source=receipt,
            dead_letters=dead_letters(source),
            on_progress=bar.update,
        )


@dataclass(frozen=True, slots=True)
class Built:
    """whole: the index holds the source, from an ingestion that ran to its end. calibrated: it has valid maps."""

    whole: bool
    calibrated: bool


def examine(source: Path, settings: Settings) -> Built:
    """What there is of an index of this very source. Raises ProvenanceMismatch when it was built differently."""
    encoders = load_encoders(settings.modalities)
    schema = build_schema(settings.lexical, encoders.values())
    with closing(open_sink(settings.engine, schema)) as sink:
        manifest = sink.manifest() or Manifest()
    whole = manifest.receipt is not None and manifest.receipt.source == digest(source)
    return Built(whole, calibrated=bool(manifest.valid_calibration(schema)))


def dead_letters(source: Path) -> Path:
    """The file beside a source that what cannot be indexed goes to; of such a file itself the one of the next number.

    items.csv: items.dead-letters.jsonl, then items.dead-letters-2.jsonl.
    """
    if again := re.fullmatch(r"(.*\.dead-letters)(?:-(\d+))?\.jsonl", source.name):
        return source.with_name(f"{again[1]}-{int(again[2] or 1) + 1}.jsonl")
    endings = (ending for ending in SUFFIXES if source.name.lower().endswith(ending))
    longest = max(endings, key=len, default="")
    return source.with_name(f"{source.name[: len(source.name) - len(longest)]}.dead-letters.jsonl")


def check_file(source: Path, settings: Settings) -> check.Report:
    """What `ingest_file` would lose of a source, without loading an encoder. Raises BadInput for an unreadable one."""
    schema = build_schema(settings.lexical, [])
    with tqdm(desc=source.name, unit=" records", disable=None) as bar:
        return check.check(read(source, schema), schema, bar.update)


def print_report(report: check.Report, as_json: bool) -> None:
    """Say what a check found, the commonest problem first."""
    if as_json:
        click.echo(orjson.dumps(report).decode())
        return
    click.echo(f"{report.read} records, {report.lost} would be lost")
    for problem in sorted(report.problems.values(), key=lambda problem: -problem.count):
        more = ", ..." if problem.count > len(problem.places) else ""
        click.echo(f"{problem.count:>8} x {problem.example:.200}\n           at {', '.join(problem.places)}{more}")


def print_summary(summary: Summary, source: Path, as_json: bool) -> None:
    """Say what a run did, and where its dead letters are."""
    rates = summary.per_second()
    if as_json:
        click.echo(orjson.dumps({**_fields(summary), "per_second": rates}).decode())
        return
    vectors = ", ".join(f"{count} {space}" for space, count in summary.vectors.items())
    click.echo(
        f"{summary.read} records read, {summary.written} items written, {summary.unchanged} unchanged, "
        f"{summary.deleted} deleted; vectors: {vectors or 'none'}"
    )
    stages = (f"{stage} {summary.seconds[stage]:.1f} s ({rate:.0f}/s)" for stage, rate in rates.items())
    click.echo(f"{', '.join(stages)}; encoding and writing overlap")
    if summary.lost:
        lost = ", ".join(f"{count} x {what}" for what, count in summary.lost.items())
        click.echo(f"not indexed: {lost}; the reasons are in {dead_letters(source)}")


def _fields(summary: Summary) -> dict[str, Any]:
    # dataclasses.asdict makes other counts of a Counter.
    return {field.name: getattr(summary, field.name) for field in fields(summary)}

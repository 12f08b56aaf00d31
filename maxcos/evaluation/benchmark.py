"""`maxcos eval --benchmark NAME`: public data with judgments, fetched, indexed and calibrated like anybody's own.

Nothing that a query is made of is in the index or in the graph. Queries are split in two halves by a hash of their
words: what is tuned is tuned on `dev`, what is reported is `test`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import click

from es_mappings.errors import AlignmentError, CalibrationError, SettingsError
from es_mappings.settings import Settings, load_settings
from maxcos.alignment.report import print_report as print_alignment
from maxcos.alignment.run import align
from maxcos.build import examine, ingest_file, print_summary, train_missing
from maxcos.calibration.run import calibrate, print_report
from maxcos.demo import cache_folder
from maxcos.evaluation.datasets import appstream, emoji, hpo
from maxcos.evaluation.datasets.files import Files

Write = Callable[[Files, Path, Path], None]
"""Writes a data set: to these files, with the cache's and the weights' folders."""


@dataclass(frozen=True, slots=True)
class Benchmark:
    """write: its files. held_out: fields whose values a calibration asks for; no encoder and no word finds them.

    aligned: the modalities that `maxcos align` learns something for, one after the other.
    """

    about: str
    notice: str
    write: Write
    held_out: tuple[str, ...] = ()
    aligned: tuple[str, ...] = ()


def _emoji(*languages: str) -> Benchmark:
    others = [other for other in emoji.LANGUAGES if other not in languages] or emoji.OTHER_LANGUAGES
    return Benchmark(
        about=f"1,852 emoji with a label in {' and '.join(languages)}, asked for by Unicode's keywords",
        notice=emoji.NOTICE,
        write=lambda files, cache, models: emoji.write_emoji(files, cache, models, languages),
        held_out=tuple(f"label_{other}" for other in others),
        aligned=("image", "graph", "joint"),
    )


BENCHMARKS: Mapping[str, Benchmark] = {
    "emoji-zh": _emoji("zh"),
    "emoji-en": _emoji("en"),
    "emoji": _emoji("en", "zh"),
    "appstream": Benchmark(
        about="1,985 desktop applications, asked for by the themes of Debian's Blends",
        notice=appstream.NOTICE,
        write=appstream.write_appstream,
        aligned=("image", "graph"),
    ),
    "hpo": Benchmark(
        about="19,034 medical terms, asked for in the words of laypersons",
        notice=hpo.NOTICE,
        write=hpo.write_hpo,
        aligned=("text",),
    ),
}


def build(name: str, folder: Path, engine: str | None, say: Callable[[str], object]) -> tuple[Settings, Files]:
    """Write the data set into `folder`, ingest it unless the index holds it already, align and calibrate it.

    Raises SettingsError when the data or the weights are not to be had, and what ingestion and calibration raise.
    """
    if name not in BENCHMARKS:
        raise SettingsError(f"--benchmark: {name!r} is not one of {', '.join(BENCHMARKS)}")
    benchmark = BENCHMARKS[name]
    models = cache_folder() / "models"
    if not models.is_dir():
        raise SettingsError(f"the weights are not in {models}: run `make models`")
    files = Files(folder / name)
    say(f"{name}: {benchmark.about}\n{benchmark.notice.rstrip()}")
    benchmark.write(files, cache_folder(), models)
    return prepare(benchmark, files, engine), files


def prepare(benchmark: Benchmark, files: Files, engine: str | None) -> Settings:
    """The settings of an index that holds what stands in the files. Raises what ingestion and calibration raise.

    What the queries of the dev half have in common is taken off queries. No judgment has a part in anything.
    """
    settings = _settings(benchmark, files, engine)
    train_missing(settings, files.triples, files.names)
    found = examine(files.items, settings)
    if found.whole and found.calibrated:
        return settings
    if not found.whole:
        for modality in benchmark.aligned:
            _learnt(files, modality).unlink(missing_ok=True)
        settings = _settings(benchmark, files, engine)
        print_summary(ingest_file(files.items, settings), files.items, as_json=False)
        for modality in benchmark.aligned:
            settings = _aligned(benchmark, files, settings, modality, engine)
    try:
        print_report(calibrate(settings, asked=files.queries("dev"), held_out=benchmark.held_out), as_json=False)
    except CalibrationError as error:
        click.echo(f"not calibrated: {error}")
    return settings


def _aligned(benchmark: Benchmark, files: Files, settings: Settings, modality: str, engine: str | None) -> Settings:
    """The settings with what was learnt for the modality, if that won, and the index as they say."""
    try:
        report = align(settings, _learnt(files, modality), modality=modality)
    except AlignmentError as error:
        click.echo(f"{modality}: {error}")
        return settings
    print_alignment(report, files.config, as_json=False)
    if report.kept is None:
        return settings
    settings = _settings(benchmark, files, engine)
    if not report.queries:
        print_summary(ingest_file(files.items, settings, only=[modality]), files.items, as_json=False)
    return settings


def _learnt(files: Files, modality: str) -> Path:
    return files.folder / f"align-{modality}.npz"


def _settings(benchmark: Benchmark, files: Files, engine: str | None) -> Settings:
    """The settings as they were written, naming each alignment whose file there is."""
    written = re.sub(r"^align = .*\n", "", files.config.read_text("utf-8"), flags=re.MULTILINE)
    for modality in benchmark.aligned:
        if (file := _learnt(files, modality)).is_file():
            section = f"[modalities.{modality}]\n"
            written = written.replace(section, f'{section}align = "{file.name}"\n')
    files.config.write_text(written, "utf-8")
    settings = load_settings(files.config)
    url = engine or settings.engine.url
    return settings.model_copy(update={"engine": settings.engine.model_copy(update={"url": url})})

"""`maxcos eval --benchmark NAME`: public data with judgments, fetched, indexed and calibrated like anybody's own.

Nothing that a query is made of is in the index or in the graph. Queries are split in two halves by a hash of their
words: what is tuned is tuned on `dev`, what is reported is `test`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from es_mappings.errors import SettingsError
from es_mappings.settings import Settings, load_settings
from maxcos.alignment.run import align
from maxcos.build import examine, ingest_file, print_summary, train_missing
from maxcos.calibration.run import calibrate, print_report
from maxcos.demo import cache_folder
from maxcos.evaluation.datasets import appstream, emoji, hpo
from maxcos.evaluation.datasets.files import Files

ALIGNMENT = "align.npz"
ALIGNED = f'align = "{ALIGNMENT}"\n'

Write = Callable[[Files, Path, Path], None]
"""Writes a data set: to these files, with the cache's and the weights' folders."""


@dataclass(frozen=True, slots=True)
class Benchmark:
    """write: its files. held_out: fields whose values a calibration asks for; no encoder and no word finds them.

    pictures: it has a modality `image` whose pictures are aligned with the words.
    """

    about: str
    notice: str
    write: Write
    held_out: tuple[str, ...] = ()
    pictures: bool = False


def _emoji(*languages: str) -> Benchmark:
    others = (other for other in (*emoji.LANGUAGES, *emoji.OTHER_LANGUAGES) if other not in languages)
    return Benchmark(
        about=f"1,852 emoji with a label in {' and '.join(languages)}, asked for by Unicode's keywords",
        notice=emoji.NOTICE,
        write=lambda files, cache, models: emoji.write_emoji(files, cache, models, languages),
        held_out=tuple(f"label_{other}" for other in others),
        pictures=True,
    )


BENCHMARKS: Mapping[str, Benchmark] = {
    "emoji-zh": _emoji("zh"),
    "emoji-en": _emoji("en"),
    "emoji": _emoji("en", "zh"),
    "appstream": Benchmark(
        about="1,985 desktop applications, asked for by the themes of Debian's Blends",
        notice=appstream.NOTICE,
        write=appstream.write_appstream,
        pictures=True,
    ),
    "hpo": Benchmark(
        about="19,034 medical terms, asked for in the words of laypersons",
        notice=hpo.NOTICE,
        write=hpo.write_hpo,
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
    """The settings of an index that holds what stands in the files. Raises what ingestion and calibration raise."""
    heads = files.folder / ALIGNMENT
    settings = _settings(files, engine, aligned=heads.is_file())
    train_missing(settings, files.triples, files.names)
    found = examine(files.items, settings)
    if found.whole and found.calibrated:
        return settings
    if not found.whole:
        heads.unlink(missing_ok=True)
        settings = _settings(files, engine, aligned=False)
        print_summary(ingest_file(files.items, settings), files.items, as_json=False)
        if benchmark.pictures and align(settings, heads).kept:
            settings = _settings(files, engine, aligned=True)
            print_summary(ingest_file(files.items, settings, only=["image"]), files.items, as_json=False)
    print_report(calibrate(settings, held_out=benchmark.held_out), as_json=False)
    return settings


def _settings(files: Files, engine: str | None, *, aligned: bool) -> Settings:
    written = files.config.read_text("utf-8").replace(ALIGNED, "")
    if aligned:
        written = re.sub(r"^words = .*\n", rf"\g<0>{ALIGNED}", written, flags=re.MULTILINE)
    files.config.write_text(written, "utf-8")
    settings = load_settings(files.config)
    url = engine or settings.engine.url
    return settings.model_copy(update={"engine": settings.engine.model_copy(update={"url": url})})

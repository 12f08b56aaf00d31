"""`maxcos eval --benchmark NAME`: public data with judgments, fetched, indexed and calibrated like anybody's own.

Nothing that a query is made of is in the index or in the graph. Queries are split in two halves by a hash of their
words: what is tuned is tuned on `dev`, what is reported is `test`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from es_mappings.errors import SettingsError
from es_mappings.settings import Settings, load_settings
from maxcos.build import examine, ingest_file, print_summary, train_missing
from maxcos.calibration.run import calibrate, print_report
from maxcos.demo import cache_folder
from maxcos.evaluation.datasets import emoji
from maxcos.evaluation.datasets.files import Files

Write = Callable[[Files, Path, Path], None]
"""Writes a data set: to these files, with the cache's and the weights' folders."""


@dataclass(frozen=True, slots=True)
class Benchmark:
    """held_out: fields whose values a calibration asks for; no encoder reads them, and words do not find them."""

    about: str
    notice: str
    held_out: tuple[str, ...]
    write: Write


def _emoji(*languages: str) -> Benchmark:
    others = (other for other in (*emoji.LANGUAGES, *emoji.OTHER_LANGUAGES) if other not in languages)
    return Benchmark(
        about=f"1,852 emoji with a label in {' and '.join(languages)}, asked for by Unicode's keywords",
        notice=emoji.NOTICE,
        held_out=tuple(f"label_{other}" for other in others),
        write=lambda files, cache, models: emoji.write_emoji(files, cache, models, languages),
    )


BENCHMARKS: Mapping[str, Benchmark] = {
    "emoji-zh": _emoji("zh"),
    "emoji-en": _emoji("en"),
    "emoji": _emoji("en", "zh"),
}


def build(name: str, folder: Path, engine: str | None, say: Callable[[str], object]) -> tuple[Settings, Files]:
    """Write the data set into `folder`, ingest it unless the index holds it already, and calibrate it.

    Raises SettingsError when the data or the weights are not to be had, and what ingestion and calibration raise.
    """
    benchmark = BENCHMARKS[name]
    models = cache_folder() / "models"
    if not models.is_dir():
        raise SettingsError(f"the weights are not in {models}: run `make models`")
    files = Files(folder / name)
    say(f"{name}: {benchmark.about}\n{benchmark.notice.rstrip()}")
    benchmark.write(files, cache_folder(), models)
    settings = load_settings(files.config)
    settings = settings.model_copy(
        update={"engine": settings.engine.model_copy(update={"url": engine or settings.engine.url})}
    )
    train_missing(settings, files.triples, files.names)
    found = examine(files.items, settings)
    if not found.whole:
        print_summary(ingest_file(files.items, settings), files.items, as_json=False)
    if not (found.whole and found.calibrated):
        print_report(calibrate(settings, held_out=benchmark.held_out), as_json=False)
    return settings, files

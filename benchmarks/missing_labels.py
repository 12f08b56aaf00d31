"""What the other modalities are worth where labels are missing: the emoji with a share of them taken away.

    python benchmarks/missing_labels.py --folder benchmark --output FILE --plot FILE.png
    python benchmarks/missing_labels.py --from FILE --plot FILE.png

For each language and share: words alone, each modality alone, and everything together, on the test half of the queries:
by raw cosines, calibrated without judgments, and calibrated (`judged`) by those of the dev half. Masks are drawn at
random: three where half of the labels are gone, else one. FILE keeps what has been measured, and the same command goes
on from there. Needs the extras text, image, graph, eval, train.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import click
import numpy as np

from encoders import ensemble, torchvision
from encoders.parts.texts import Embed, Reading, TextEncoder
from es_mappings.settings import Settings
from es_mappings.types import Matrix
from maxcos.calibration.run import calibrate
from maxcos.demo import cache_folder
from maxcos.evaluation.benchmark import BENCHMARKS, prepare
from maxcos.evaluation.datasets.emoji import write_emoji
from maxcos.evaluation.datasets.files import Files
from maxcos.evaluation.metrics import Floats, differences, mean, per_query
from maxcos.evaluation.run import ask
from maxcos.evaluation.systems import System
from maxcos.judgments import read_judged
from query_api.service import SearchService

TEXT = {"en": "english", "zh": "chinese"}
LANGUAGES = {"en": "English", "zh": "Chinese"}
SHARES = (0.5, 0.0, 1.0, 0.75, 0.25)
MASKS = {0.5: 3}
TOGETHER = ("hybrid", "hybrid raw", "hybrid judged")
SHOWN = {
    "lexical": ("words", "#7f7f7f"),
    "text": ("text vectors", "#d97b29"),
    "hybrid": ("everything", "#3b6fb6"),
    "hybrid judged": ("everything, calibrated by judgments", "#1b9e77"),
}
"""Systems of the plot, with their names and colours."""
METRICS = {"nDCG@10": "nDCG@10", "R@100": "recall@100"}

Run = Mapping[str, Any]


def measure(language: str, removed: float, seed: int, folder: Path) -> Run:
    """One mask: the means of every system, and what everything together has over the text alone."""
    files = Files(folder / f"emoji-{language}-{round(removed * 100)}-{seed}")
    shutil.rmtree(files.folder, ignore_errors=True)  # what was left halfway may be calibrated by judgments already
    write_emoji(files, cache_folder(), cache_folder() / "models", (language,), removed, seed)
    settings = prepare(BENCHMARKS[f"emoji-{language}"], files, None)
    systems = [
        System("lexical", "lexical"),
        System("text", "max", "raw", (TEXT[language],)),
        System("image", "max", "raw", ("image",)),
        System("graph", "max", "raw", ("graph",)),
        System("joint", "max", "raw", ("joint",)),
        System("max raw", "max", "raw"),
        System("hybrid raw", "hybrid", "raw"),
        System("max", "max"),
        System("hybrid", "hybrid"),
    ]
    queries, values = answers(settings, files, systems)
    calibrate(settings, judged=(files.queries("dev"), files.qrels("dev")))
    _, judged = answers(settings, files, systems[-2:])
    values |= {f"{name} judged": found for name, found in judged.items()}
    return {
        "language": language,
        "removed": removed,
        "mask": seed,
        "queries": queries,
        "means": {name: {m: round(mean(v).mean, 4) for m, v in by.items()} for name, by in values.items()},
        **{f"{name} over text": gains(values[name], values["text"]) for name in TOGETHER},
    }


def answers(settings: Settings, files: Files, systems: Sequence[System]) -> tuple[int, dict[str, dict[str, Floats]]]:
    """How many queries the test half has, and by system their metrics."""
    with closing(SearchService.from_settings(settings)) as service:
        queries = read_judged(files.queries("test"), files.qrels("test"), service.schema)
        return len(queries), {a.system.name: per_query(a.rankings, queries) for a in ask(service, systems, queries)}


def gains(values: Mapping[str, Floats], others: Mapping[str, Floats]) -> dict[str, list[float]]:
    """By metric the mean of the differences, and its interval."""
    found = {metric: differences(own, {"others": others[metric]})[0] for metric, own in values.items()}
    return {metric: [round(x, 4) for x in (d.mean, d.low, d.high)] for metric, d in found.items()}


def remember_pictures() -> None:
    """All masks have the same pictures, whose way through the network is much of the time: go it once."""
    known: dict[bytes, tuple[Any, Any]] = {}
    run = torchvision._Network.run

    def remembered(network: Any, batch: Any) -> tuple[Any, Any]:
        keys = [hashlib.sha256(pixels.tobytes()).digest() for pixels in batch]
        new = [row for row, key in enumerate(keys) if key not in known]
        if new:
            known.update(zip([keys[row] for row in new], zip(*run(network, batch[new]), strict=True), strict=True))
        features, probabilities = zip(*(known[key] for key in keys), strict=True)
        return np.stack(features), np.stack(probabilities)

    torchvision._Network.run = remembered  # type: ignore[method-assign]


def remember_texts() -> None:
    """Nor do their labels and queries differ."""
    known: dict[tuple[str, str, str], Any] = {}
    load = ensemble.load

    def through(maker: str, role: str, embed: Embed) -> Embed:
        def remembered(batch: Sequence[str]) -> Matrix:
            new = [text for text in dict.fromkeys(batch) if (maker, role, text) not in known]
            if new:
                known.update(zip([(maker, role, text) for text in new], embed(new), strict=True))
            return np.stack([known[maker, role, text] for text in batch])

        return remembered

    def loaded(*given: Any) -> TextEncoder:
        encoder = load(*given)
        (made,) = encoder.provenance.values()
        bare, own = encoder.bare.reading, made.fingerprint
        reading = Reading(through(own, "item", bare.items), through(own, "query", bare.queries))
        encoder.reading = encoder.bare.reading = reading
        return encoder

    ensemble.load = loaded


def masks(languages: Sequence[str]) -> Iterator[tuple[str, float, int]]:
    for removed in SHARES:
        for language in languages:
            for seed in range(MASKS.get(removed, 1)):
                yield language, removed, seed


def plot(runs: Sequence[Run], output: Path) -> None:
    """By language and metric what is found against the share of labels that are gone; dots are masks."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5.6), layout="constrained")
    languages = [language for language in TEXT if any(run["language"] == language for run in runs)]
    axes = figure.subplots(len(METRICS), len(languages), sharex=True, sharey="row", squeeze=False)
    for row, (metric, called) in enumerate(METRICS.items()):
        for column, language in enumerate(languages):
            axis = axes[row][column]
            for system, (name, colour) in SHOWN.items():
                own = [run for run in runs if run["language"] == language and system in run["means"]]
                shares = sorted({run["removed"] for run in own})
                points = [[run["means"][system][metric] for run in own if run["removed"] == share] for share in shares]
                axis.plot([100 * s for s in shares], [np.mean(p) for p in points], "-", color=colour, label=name)
                axis.plot(
                    [100 * r["removed"] for r in own], [r["means"][system][metric] for r in own], ".", color=colour
                )
            axis.spines[["top", "right"]].set_visible(False)
            axis.grid(alpha=0.3)
            axis.set_ylim(0, None)
            if not row:
                axis.set_title(f"{LANGUAGES[language]} keywords")
            if not column:
                axis.set_ylabel(called)
            if row == len(METRICS) - 1:
                axis.set_xlabel("labels taken away, %")
    axes[0][0].legend(frameon=False, fontsize=8)
    figure.savefig(output, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--folder", type=Path, default=Path("benchmark"))
    parser.add_argument("--languages", nargs="+", choices=sorted(TEXT), default=sorted(TEXT))
    parser.add_argument("--output", type=Path)
    parser.add_argument("--from", dest="given", type=Path, help="Measure nothing, plot these figures.")
    parser.add_argument("--plot", type=Path)
    given = parser.parse_args()
    source = given.given or given.output
    found: list[Run] = json.loads(source.read_text("utf-8"))["runs"] if source and source.is_file() else []
    if given.given is None:
        remember_pictures()
        remember_texts()
        done = {(run["language"], run["removed"], run["mask"]) for run in found}
        for language, removed, seed in masks(given.languages):
            if (language, removed, seed) not in done:
                found.append(measure(language, removed, seed, given.folder))
                click.echo(json.dumps(found[-1]), err=True)
                if given.output:
                    given.output.write_text(json.dumps({"runs": found}, indent=1) + "\n", "utf-8")
    if given.plot:
        plot(found, given.plot)


if __name__ == "__main__":
    main()

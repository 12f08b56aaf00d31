"""What the other modalities are worth where labels are missing: the emoji with a share of them taken away.

    python benchmarks/missing_labels.py --folder benchmark --removed 0.5 --masks 3 --output FILE

For each language and share: words alone, text alone, and everything together, on the test half of the queries. Masks
are drawn at random; the figures of several masks stand side by side. Needs the extras text, image, graph, eval, train.
"""

from __future__ import annotations

import argparse
import json
from contextlib import closing
from pathlib import Path

import click
import numpy as np

from maxcos.demo import cache_folder
from maxcos.evaluation.benchmark import BENCHMARKS, prepare
from maxcos.evaluation.datasets.emoji import write_emoji
from maxcos.evaluation.datasets.files import Files
from maxcos.evaluation.metrics import differences, mean, per_query
from maxcos.evaluation.run import ask
from maxcos.evaluation.systems import System
from maxcos.judgments import read_judged
from query_api.service import SearchService

TEXT = {"en": "english", "zh": "chinese"}


def measure(language: str, removed: float, seed: int, folder: Path) -> dict[str, object]:
    """One mask: the means of every system, and what the hybrid has over the text alone."""
    files = Files(folder / f"emoji-{language}-{round(removed * 100)}-{seed}")
    write_emoji(files, cache_folder(), cache_folder() / "models", (language,), removed, seed)
    settings = prepare(BENCHMARKS[f"emoji-{language}"], files, None)
    text = TEXT[language]
    systems = [
        System("lexical", "lexical"),
        System("text", "max", "raw", (text,)),
        System("image", "max", "raw", ("image",)),
        System("max", "max"),
        System("hybrid", "hybrid"),
    ]
    with closing(SearchService.from_settings(settings)) as service:
        queries = read_judged(files.queries("test"), files.qrels("test"), service.schema)
        values = {system.name: per_query(ask(service, system, queries).rankings, queries) for system in systems}
    gains = {m: differences(values["hybrid"][m], {"text": values["text"][m]})[0] for m in values["text"]}
    return {
        "language": language,
        "removed": removed,
        "mask": seed,
        "queries": len(queries),
        "means": {name: {m: round(mean(v).mean, 4) for m, v in by.items()} for name, by in values.items()},
        "hybrid over text": {m: [round(x, 4) for x in (d.mean, d.low, d.high)] for m, d in gains.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--folder", type=Path, default=Path("benchmark"))
    parser.add_argument("--removed", type=float, nargs="+", default=[0.25, 0.5, 0.75, 1.0])
    parser.add_argument("--languages", nargs="+", choices=sorted(TEXT), default=sorted(TEXT))
    parser.add_argument("--masks", type=int, default=3)
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    found = []
    for language in given.languages:
        for removed in given.removed:
            for seed in range(given.masks if 0 < removed < 1 else 1):
                found.append(measure(language, removed, seed, given.folder))
                click.echo(json.dumps(found[-1]), err=True)
    gains = [run["hybrid over text"]["nDCG@10"][0] for run in found]  # type: ignore[index]
    text = json.dumps({"runs": found, "mean gain in nDCG@10": round(float(np.mean(gains)), 4)}, indent=1)
    click.echo(text)
    if given.output:
        given.output.write_text(text + "\n", "utf-8")


if __name__ == "__main__":
    main()

"""How much memory a training takes, and how much `maxcos graph train` says beforehand, for every model and some sizes.

    python benchmarks/graph_memory.py [--output FILE]

Each training is a process of its own that trains one epoch of random triples: a tenth of the entities are what the
others are linked to. peak: its largest resident memory less what it had when it had read the triples. planned: what
`encoders.training.graph.memory` says. Both in MiB.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from encoders.training.graph import train_graph
from encoders.training.graph.memory import MIB, planned
from encoders.training.graph.recipes import MODELS

SIZES = ((2_000, 10_000, 64), (20_000, 100_000, 32), (20_000, 100_000, 128))
"""Entities, triples, dimensions."""
RELATIONS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--one", nargs=4, metavar=("MODEL", "ENTITIES", "TRIPLES", "DIMS"), help="In this process.")
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    if given.one:
        sys.stdout.write(json.dumps(measured(given.one[0], *map(int, given.one[1:]))))
        return
    rows = []
    for size in SIZES:
        for model in MODELS:
            command = [sys.executable, __file__, "--one", model, *map(str, size)]
            rows.append(json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout))
            sys.stderr.write(f"{rows[-1]}\n")
    ratios = [row["planned"] / row["peak"] for row in rows]
    found = {"least_ratio": round(min(ratios), 2), "most_ratio": round(max(ratios), 2), "rows": rows}
    text = json.dumps(found, indent=2)
    sys.stdout.write(text + "\n")
    if given.output:
        given.output.write_text(text + "\n", "utf-8")


def measured(model: str, entities: int, triples: int, dims: int) -> dict[str, Any]:
    random = np.random.default_rng(0)
    columns = (
        random.integers(entities // 10, entities, triples),
        random.integers(0, RELATIONS, triples),
        random.integers(0, entities // 10, triples),
    )
    before: list[int] = []
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "triples.tsv"
        path.write_text("".join(f"n{h}\tr{r}\tn{t}\n" for h, r, t in zip(*columns, strict=True)), "utf-8")
        report = train_graph(
            path,
            None,
            Path(name) / "graph.npz",
            model=model,
            dims=dims,
            epochs=1,
            progress=False,
            say=lambda _: before.append(psutil.Process().memory_info().rss),
        )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before[0]
    expected = planned(model, report.entities, report.triples, dims)
    sizes = {"entities": report.entities, "triples": report.triples, "dims": dims}
    return {"model": model, **sizes, "peak": round(peak / MIB), "planned": round(expected / MIB)}


if __name__ == "__main__":
    main()

"""What `maxcos graph update` is worth beside training again: the demo catalogue, a tenth of its triples come later.

    python benchmarks/graph_update.py --folder demo [--output FILE]

Each fold trains without a tenth of the triples, drawn at random, and then learns of them in one of these ways:

    stale       not at all
    updated     `maxcos graph update`; and `stepwise`, by ten updates, each of a tenth of the late triples
    retrained   a training of all triples; and `again`, one with another seed: what no update can be expected to exceed

ndcg_at_10: of the items nearest to an item, by the tags and categories that both have. overlap_at_10: the share of its
ten nearest items that are those of `retrained`. Both over the items that have won a triple. concepts: of the n items
nearest to a tag, category or maker that n items have, the share that does have it; those that have won a triple.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Collection, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from graph_cold_start import DEPTH, LABELS, Catalogue, average, centred, gains, item_vectors, ndcg, nearest, read

from encoders.graph import GraphEncoder
from encoders.parts.graph_file import read_graph_file
from encoders.training.graph import train_graph
from encoders.training.update import update_graph
from es_mappings.types import EntityTerm

SHARE = 10
"""One in so many triples comes later."""
FOLDS = 3
STEPS = 10
CONCEPTS = (*LABELS, "made_by")

Triple = tuple[str, str, str]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path("demo"))
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    catalogue = read(given.folder)
    triples = [triple for own in catalogue.triples.values() for triple in own]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        retrained, again = (train(triples, folder / f"{seed}.npz", given.folder, seed) for seed in (0, 1))
        rounds = []
        for fold in range(FOLDS):
            late = np.random.default_rng(fold).permutation(len(triples))[: len(triples) // SHARE].tolist()
            early = without(triples, late)
            stale = train(early, folder / f"stale-{fold}.npz", given.folder)
            updated = shutil.copy(stale, folder / f"updated-{fold}.npz")
            report = asdict(update_graph(updated, triples=write(triples, folder / "all.tsv")))
            stepwise = shutil.copy(stale, folder / f"stepwise-{fold}.npz")
            for step in range(1, STEPS + 1):
                known = without(triples, late[len(late) * step // STEPS :])
                update_graph(stepwise, triples=write(known, folder / "some.tsv"))
            ways = {"stale": stale, "updated": updated, "stepwise": stepwise, "retrained": retrained, "again": again}
            rounds.append((report, judged(catalogue, ways, [triples[number] for number in late])))
    found = {
        "triples": len(triples),
        "late": len(triples) // SHARE,
        "folds": FOLDS,
        "nodes": {
            kind: round(average(report[kind] for report, _ in rounds)) for kind in ("new", "changed", "unchanged")
        },
        "ways": {
            way: {measure: round(average(own[way][measure] for _, own in rounds), 4) for measure in rounds[0][1][way]}
            for way in rounds[0][1]
        },
    }
    text = json.dumps(found, indent=2)
    sys.stdout.write(text + "\n")
    if given.output:
        given.output.write_text(text + "\n", "utf-8")


def without(triples: Sequence[Triple], late: Collection[int]) -> list[Triple]:
    left_out = set(late)
    return [triple for number, triple in enumerate(triples) if number not in left_out]


def write(triples: Sequence[Triple], path: Path) -> Path:
    path.write_text("".join("\t".join(row) + "\n" for row in triples), "utf-8")
    return path


def train(triples: Sequence[Triple], output: Path, folder: Path, seed: int = 0) -> Path:
    rows = write(triples, output.with_suffix(".tsv"))
    train_graph(rows, folder / "names.tsv", output, seed=seed, progress=sys.stderr.isatty())
    return output


def judged(catalogue: Catalogue, ways: dict[str, Path], late: Sequence[Triple]) -> dict[str, dict[str, float]]:
    names = list(catalogue.items)
    rows = {name: row for row, name in enumerate(names)}
    asked = sorted({rows[head] for head, _, _ in late})
    concepts = sorted({tail for _, relation, tail in late if relation in CONCEPTS})
    labels = [catalogue.labels(name, *LABELS) for name in names]
    owned = [catalogue.labels(name, *CONCEPTS) for name in names]
    spaces = {way: space(path, names) for way, path in ways.items()}
    best = {way: {row: nearest(vectors, row) for row in asked} for way, (_, vectors, _) in spaces.items()}
    return {
        way: {
            "ndcg_at_10": average(
                ndcg(gains(labels, row), best[way][row]) for row in asked if gains(labels, row).any()
            ),
            "overlap_at_10": average(np.isin(best[way][row], best["retrained"][row]).sum() / DEPTH for row in asked),
            "concepts": average(about(concept, owned, *spaces[way]) for concept in concepts),
        }
        for way in ways
    }


def space(path: Path, names: Sequence[str]) -> tuple[GraphEncoder, Any, Any]:
    encoder = GraphEncoder("graph", read_graph_file(path))
    return encoder, *item_vectors(encoder, [[name] for name in names])


def about(concept: str, owned: Sequence[frozenset[str]], encoder: GraphEncoder, vectors: Any, mean: Any) -> float:
    if concept not in encoder.graph.entities:
        return 0.0
    cosines = vectors @ centred(encoder.encode_query(EntityTerm(concept))["graph"].astype(np.float64), mean)
    has = np.array([concept in own for own in owned])
    return float(has[np.argsort(-cosines, kind="stable")[: has.sum()]].mean())


if __name__ == "__main__":
    main()

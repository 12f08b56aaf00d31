"""What the vector of an item is worth that the graph was trained without: the demo catalogue, a tenth of it held out.

    python benchmarks/graph_cold_start.py --folder demo [--output FILE]

Each fold trains without every triple of a tenth of the items, which then have their vectors by `relations`, as
ingestion gives them; the same items have theirs from a training with all triples too. Both stand among all other items,
each centred by its own mean, and are asked in both directions; an item without a vector answers nothing:

    as query    the ten nearest items of each held-out item. An item's gain is how many tags and categories it shares
    as answer   for each tag and category of a held-out item: is the item among the n nearest, n having that label?

fields: the relations are what the items' own fields say, by name: tags, category and creator. all: every triple of the
item, by id. kind: the share of the ten nearest of the same kind (the last word of the title), which no field tells.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from encoders.graph import GraphEncoder
from encoders.parts.graph_file import read_graph_file
from encoders.training.graph import train_graph
from es_mappings.types import EntityTerm, Fields

DEPTH = 10
SHARE = 10
"""One in so many items is held out."""
FOLDS = 3
FIELDS = {"tags": "has_tag", "category": "in_category", "creator": "made_by"}
LABELS = ("has_tag", "in_category")
GOAL = 0.8
"""The share of the trained items' nDCG@10."""

Triple = tuple[str, str, str]
Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Catalogue:
    """items: by id. triples: of each item."""

    items: Mapping[str, Mapping[str, Any]]
    triples: Mapping[str, Sequence[Triple]]

    def labels(self, item: str, *relations: str) -> frozenset[str]:
        return frozenset(tail for _, relation, tail in self.triples[item] if relation in relations)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path("demo"))
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    catalogue = read(given.folder)
    trained = GraphEncoder("graph", train(catalogue, set(), given.folder))
    order = np.random.default_rng(0).permutation(list(catalogue.items))
    folds = [measure(catalogue, trained, set(order[fold::SHARE].tolist()), given.folder) for fold in range(FOLDS)]
    found = summary(folds) | {"items": len(order), "held_out": len(order) // SHARE, "folds": FOLDS}
    found["reached"] = all(found["share_of_trained"][way]["ndcg_at_10"] >= GOAL for way in ("fields", "all"))
    text = json.dumps(found, indent=2)
    sys.stdout.write(text + "\n")
    if given.output:
        given.output.write_text(text + "\n", "utf-8")
    sys.exit(not found["reached"])


def read(folder: Path) -> Catalogue:
    lines = (folder / "items.jsonl").read_text("utf-8").split("\n")
    items = {item["id"]: item for item in map(json.loads, filter(None, lines))}
    triples: dict[str, list[Triple]] = {name: [] for name in items}
    for line in (folder / "triples.tsv").read_text("utf-8").splitlines():
        head, relation, tail = line.split("\t")
        triples[head].append((head, relation, tail))
    return Catalogue(items, triples)


def train(catalogue: Catalogue, without: set[str], folder: Path) -> Any:
    """The graph of all triples but those of some items."""
    with tempfile.TemporaryDirectory() as name:
        rows = (triple for item, own in catalogue.triples.items() if item not in without for triple in own)
        triples, output = Path(name) / "triples.tsv", Path(name) / "graph.npz"
        triples.write_text("".join("\t".join(row) + "\n" for row in rows), "utf-8")
        train_graph(triples, folder / "names.tsv", output, progress=sys.stderr.isatty())
        return read_graph_file(output)


def measure(catalogue: Catalogue, trained: GraphEncoder, held: set[str], folder: Path) -> dict[str, dict[str, float]]:
    graph = train(catalogue, held, folder)
    by_field = GraphEncoder("graph", graph, relations=FIELDS)
    by_triple = GraphEncoder("graph", graph, relations={name: name for name in graph.relations})
    links = {item: {r: sorted(catalogue.labels(item, r)) for r in graph.relations} for item in catalogue.items}
    ways = {"trained": (trained, {}), "fields": (by_field, catalogue.items), "all": (by_triple, links)}
    return {way: judged(catalogue, encoder, records, held) for way, (encoder, records) in ways.items()}


def judged(
    catalogue: Catalogue, encoder: GraphEncoder, records: Mapping[str, Mapping[str, Any]], held: set[str]
) -> dict[str, float]:
    names = list(catalogue.items)
    vectors, mean = item_vectors(encoder, [[name, Fields(records.get(name, {}))] for name in names])
    asked = [row for row, name in enumerate(names) if name in held]
    labels = [catalogue.labels(name, *LABELS) for name in names]
    kinds = [catalogue.labels(name, "of_kind") for name in names]
    near = {row: nearest(vectors, row) for row in asked}
    return {
        "ndcg_at_10": average(ndcg(gains(labels, row), near[row]) for row in asked if gains(labels, row).any()),
        "same_kind_at_10": average(
            float((gains(kinds, row)[near[row]] > 0).sum()) / DEPTH for row in asked if gains(kinds, row).sum() >= DEPTH
        ),
        "as_answer": average(
            answered(encoder, label, labels, row, vectors, mean)
            for row in asked
            for label in sorted(labels[row])
            if sum(label in own for own in labels) > 1
        ),
    }


def item_vectors(encoder: GraphEncoder, values: Sequence[Sequence[Any]]) -> tuple[Matrix, Matrix]:
    """The items' vectors, centred, as rows (not a number where an item has none), and the mean that was taken off."""
    encoded = encoder.encode_items(values, Path()).vectors["graph"]
    nothing = np.full(encoder.spaces[0].dims, np.nan)
    rows = np.array([nothing if vector is None else vector for vector in encoded], dtype=np.float64)
    mean = np.nanmean(rows, axis=0)
    return centred(rows, mean), mean


def centred(vectors: Matrix, mean: Matrix) -> Matrix:
    rest = vectors - mean
    return np.asarray(rest / np.linalg.norm(rest, axis=-1, keepdims=True))


def nearest(vectors: Matrix, row: int) -> NDArray[np.int64]:
    """The rows of the nearest others, none for an item without a vector."""
    cosines = vectors @ vectors[row]
    cosines[row] = np.nan
    order = np.argsort(-cosines, kind="stable")  # those that are not numbers last
    return order[: min(DEPTH, int(np.isfinite(cosines).sum()))]


def gains(labels: Sequence[frozenset[str]], row: int) -> Matrix:
    """What each item shares with one; nothing with itself."""
    shared = np.array([len(own & labels[row]) for own in labels], dtype=np.float64)
    shared[row] = 0
    return shared


def ndcg(gain: Matrix, top: NDArray[np.int64]) -> float:
    discount = 1 / np.log2(np.arange(2, DEPTH + 2))
    return float((gain[top] * discount[: len(top)]).sum() / (np.sort(gain)[::-1][:DEPTH] * discount).sum())


def answered(
    encoder: GraphEncoder, label: str, labels: Sequence[frozenset[str]], row: int, vectors: Matrix, mean: Matrix
) -> float:
    """Whether an item is among as many nearest items of a label as have it; an unknown label finds nothing."""
    if label not in encoder.graph.entities:
        return 0.0
    query = centred(encoder.encode_query(EntityTerm(label))["graph"].astype(np.float64), mean)
    cosines = vectors @ query
    return float(np.isfinite(cosines[row]) and (cosines > cosines[row]).sum() < sum(label in own for own in labels))


def average(values: Any) -> float:
    return float(np.mean(list(values)))


def summary(folds: Sequence[dict[str, dict[str, float]]]) -> dict[str, Any]:
    """Means over the folds, and what share of the trained items' quality the others reach."""
    found: dict[str, Any] = {
        way: {m: round(average(fold[way][m] for fold in folds), 4) for m in folds[0][way]} for way in folds[0]
    }
    found["share_of_trained"] = {
        way: {m: round(found[way][m] / found["trained"][m], 4) for m in found["trained"]} for way in ("fields", "all")
    }
    return found


if __name__ == "__main__":
    main()

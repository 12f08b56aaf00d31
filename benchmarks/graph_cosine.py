"""Which model's vectors make the better neighbours by cosine, which is all that a search engine compares.

    maxcos demo --build-only
    python benchmarks/graph_cosine.py demo/triples.tsv --held-out in_category has_tag [--output FILE]

Items are the heads of triples, concepts the tails. Three questions, for the vectors of every model as they are and
smoothed over neighbours, see encoders/training/graph/index_vectors.py:

shared neighbours   nDCG@10 of the items nearest to an item, the gain of an item being the sum of 1 / log(degree) over
                    the neighbours by the same relation that both have (Adamic and Adar 2003, "Friends and neighbors on
                    the Web"). It asks whether the vectors hold what the graph says.
concept             of a concept that n items point at, the share of them among the n items nearest to it
                    (R-precision), for n > 1. It asks whether a word that names a tag finds what is tagged so.
held-out relation   all triples of a relation are kept from training, smoothing included; the share of the 10 nearest
                    items that have one of the item's own values of it. It asks whether likeness carries beyond
                    what the graph says. `chance` is what a random order has.

`random` are vectors that nothing has learnt: smoothed, they are a random projection of the neighbours.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from encoders.training.graph import cosine, train_graph
from encoders.training.graph.index_vectors import directions, smooth
from encoders.training.graph.recipes import COSINE, MODELS, RECIPES
from encoders.training.graph.reproduce import reproducible
from encoders.training.triples import KnowledgeGraph, Triples, read_graph
from es_mappings.types import Matrix

DEPTH = 10
RANDOM = "random"


def learn(graph: KnowledgeGraph, model: str, dims: int, epochs: int, seed: int) -> dict[str, Matrix]:
    """The vectors (n, dims) of a model, `own` and `smoothed`."""
    entities, relations = len(graph.entities), len(graph.relations)
    if model in (RANDOM, COSINE):
        with reproducible(seed):
            if model == RANDOM:
                own = directions(torch.randn(entities, dims), centred=False)
            else:
                network = cosine.CosineDistMult(entities, relations, dims)
                network.fit(graph.triples, graph.weights, cosine.EPOCHS, tqdm(disable=True))
                own = network.directions()
            return {"own": own.numpy(), "smoothed": smooth(own, graph.triples, relations)}
    with tempfile.TemporaryDirectory() as folder:
        source, output = Path(folder) / "triples.tsv", Path(folder) / "graph.npz"
        rows = ((graph.entities[h], graph.relations[r], graph.entities[t]) for h, r, t in graph.triples)
        source.write_text("".join("\t".join(row) + "\n" for row in rows), "utf-8")
        train_graph(source, None, output, model=model, dims=dims, epochs=epochs, seed=seed, progress=False)
        with np.load(output) as file:
            if file["entities"].tolist() != list(graph.entities):
                raise SystemExit("the entities have changed their numbers")
            own = directions(torch.from_numpy(file["link_entities"]), centred=RECIPES[model].scoring.is_distance)
            return {"own": own.numpy(), "smoothed": file["vectors"]}


def without(graph: KnowledgeGraph, relation: int) -> KnowledgeGraph:
    """The graph without a relation and without the entities that only that relation named."""
    kept = graph.triples[graph.triples[:, 1] != relation]
    # In the order of their first appearance, as `read_graph` numbers them.
    entities, relations = list(dict.fromkeys(kept[:, [0, 2]].ravel())), list(dict.fromkeys(kept[:, 1]))
    entity = {old: new for new, old in enumerate(entities)}
    kinds = {old: new for new, old in enumerate(relations)}
    triples = np.array([(entity[h], kinds[r], entity[t]) for h, r, t in kept], dtype=np.int64)
    return KnowledgeGraph(
        tuple(graph.entities[i] for i in entities), tuple(graph.relations[i] for i in relations), triples
    )


def nearest(vectors: Matrix) -> NDArray[np.int64]:
    """The DEPTH nearest other rows of each row, (n, DEPTH)."""
    cosines = vectors @ vectors.T
    np.fill_diagonal(cosines, -np.inf)
    return np.argsort(-cosines, axis=1, kind="stable")[:, :DEPTH]


def incidence(triples: Triples, items: Sequence[int], entities: int, relations: int) -> NDArray[np.float64]:
    """Which item has which (relation, tail), shape (items, relations * entities without empty columns)."""
    row = {item: number for number, item in enumerate(items)}
    table = np.zeros((len(items), relations * entities))
    for head, relation, tail in triples:
        if head in row:
            table[row[head], relation * entities + tail] = 1
    return table[:, table.any(axis=0)]


def shared_neighbours(graph: KnowledgeGraph, vectors: Matrix) -> float:
    """Mean nDCG@10 over the items that share a neighbour with another one."""
    items = np.unique(graph.triples[:, 0])
    table = incidence(graph.triples, items.tolist(), len(graph.entities), len(graph.relations))
    degrees = table.sum(axis=0)
    table = table[:, degrees > 1]
    gains = (table / np.log(degrees[degrees > 1])) @ table.T
    np.fill_diagonal(gains, 0)
    discounts = 1 / np.log2(np.arange(2, DEPTH + 2))
    ideal = -np.sort(-gains, axis=1)[:, :DEPTH] @ discounts
    found = np.take_along_axis(gains, nearest(vectors[items]), axis=1) @ discounts
    return float((found[ideal > 0] / ideal[ideal > 0]).mean())


def concepts(graph: KnowledgeGraph, vectors: Matrix) -> float:
    """Mean R-precision of the items nearest to each concept."""
    items = np.unique(graph.triples[:, 0])
    found = []
    for concept in np.unique(graph.triples[:, 2]):
        members = np.unique(graph.triples[graph.triples[:, 2] == concept, 0])
        if len(members) > 1:
            order = np.argsort(-(vectors[items] @ vectors[concept]), kind="stable")[: len(members)]
            found.append(np.isin(items[order], members).mean())
    return float(np.mean(found))


def same_value(graph: KnowledgeGraph, relation: int, known: KnowledgeGraph, vectors: Matrix) -> tuple[float, float]:
    """Precision at 10 of a relation that `known`, whose vectors these are, does not have; and that of chance."""
    number = {entity: i for i, entity in enumerate(known.entities)}
    triples = graph.triples[graph.triples[:, 1] == relation]
    items = [int(item) for item in np.unique(triples[:, 0]) if graph.entities[item] in number]
    table = incidence(triples, items, len(graph.entities), len(graph.relations))
    same = (table @ table.T) > 0
    np.fill_diagonal(same, False)
    has_any = same.any(axis=1)
    hits = np.take_along_axis(same, nearest(vectors[[number[graph.entities[item]] for item in items]]), axis=1)
    return float(hits[has_any].mean()), float(same[has_any].sum(axis=1).mean() / (len(items) - 1))


def measure(graph: KnowledgeGraph, model: str, held_out: Sequence[str], how: Mapping[str, int]) -> list[dict[str, Any]]:
    """One row for the model's own vectors and one for the smoothed ones."""
    start = time.process_time()
    rows: dict[str, dict[str, Any]] = {}
    for kind, vectors in learn(graph, model, **how).items():
        rows[kind] = {
            "model": model,
            "vectors": kind,
            "shared_neighbours": round(shared_neighbours(graph, vectors), 3),
            "concepts": round(concepts(graph, vectors), 3),
        }
    for name in held_out:
        relation = graph.relations.index(name)
        known = without(graph, relation)
        for kind, vectors in learn(known, model, **how).items():
            rows[kind][name] = round(same_value(graph, relation, known, vectors)[0], 3)
            rows[kind].setdefault("chance", {})[name] = round(same_value(graph, relation, known, vectors)[1], 3)
    for row in rows.values():
        row["cpu_seconds"] = round(time.process_time() - start, 1)
    return list(rows.values())


def main() -> None:
    """Measure, print and write each row as soon as it is known, in the place of an older one of that file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("triples", type=Path)
    parser.add_argument("--held-out", nargs="+", required=True, metavar="RELATION")
    parser.add_argument("--models", nargs="+", choices=(RANDOM, *MODELS), default=(RANDOM, *MODELS))
    parser.add_argument("--dims", type=int, default=128)
    parser.add_argument("--epochs", type=int, default=20, help="of the link predictors; cosine DistMult has its own")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/graph-cosine.json"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    graph = read_graph(arguments.triples)
    how = {"dims": arguments.dims, "epochs": arguments.epochs, "seed": arguments.seed}
    rows = json.loads(arguments.output.read_text("utf-8"))["rows"] if arguments.output.is_file() else []
    for model in arguments.models:
        found = measure(graph, model, arguments.held_out, how)
        rows = [row for row in rows if row["model"] != model] + found
        for row in found:
            print(row, flush=True)  # noqa: T201
        result = {
            "command": f"python benchmarks/graph_cosine.py demo/triples.tsv --held-out {' '.join(arguments.held_out)}",
            **how,
            "items": len(np.unique(graph.triples[:, 0])),
            "rows": rows,
        }
        arguments.output.write_text(json.dumps(result, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()

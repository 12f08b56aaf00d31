"""What a typed relation in a query is worth: `{"entity": X, "relation": R}` on the demo catalogue.

    python benchmarks/graph_typed_relations.py --folder demo [--output FILE]

Asked are each item with each of its relations ("made by whoever made this"), and each concept with each relation that
arrives at it ("what has this tag"). Of the ten nearest other items the share that has a value of the relation in common
with the item, or that has the concept; only where at least ten do. In one of four ways:

    entity      the entity's own vector, without the relation
    expected    unit(w_r * v), what the model expects there
    known       unit(sum_j v_j / sqrt(deg_j)), what the graph knows to be there
    served      both, see `GraphEncoder`

The items are centred by their mean, and so are the queries.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from graph_cold_start import DEPTH, Catalogue, average, centred, item_vectors, read

from encoders.contract import unit
from encoders.graph import GraphEncoder
from encoders.parts.graph_file import read_graph_file
from encoders.parts.inductive import smoothed
from encoders.training.graph import train_graph
from es_mappings.types import EntityTerm, Vector

WAYS = ("entity", "expected", "known", "served")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path("demo"))
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    catalogue = read(given.folder)
    with tempfile.TemporaryDirectory() as name:
        output = Path(name) / "graph.npz"
        train_graph(given.folder / "triples.tsv", given.folder / "names.tsv", output, progress=sys.stderr.isatty())
        encoder = GraphEncoder("graph", read_graph_file(output))
        asked = {"items": list(by_item(catalogue)), "concepts": list(by_concept(catalogue))}
        found: dict[str, Any] = {kind: judged(catalogue, encoder, rows) for kind, rows in asked.items()}
    text = json.dumps(found, indent=2)
    sys.stdout.write(text + "\n")
    if given.output:
        given.output.write_text(text + "\n", "utf-8")


Asked = tuple[str, str, frozenset[str]]
"""Entity, relation, and the other items that are right."""


def by_item(catalogue: Catalogue) -> Iterator[Asked]:
    has = owners(catalogue)
    for item in catalogue.items:
        for relation in sorted({relation for _, relation, _ in catalogue.triples[item]}):
            values = catalogue.labels(item, relation)
            yield item, relation, frozenset().union(*(has[relation, value] for value in values)) - {item}


def by_concept(catalogue: Catalogue) -> Iterator[Asked]:
    for (relation, concept), items in sorted(owners(catalogue).items()):
        yield concept, relation, frozenset(items)


def owners(catalogue: Catalogue) -> dict[tuple[str, str], set[str]]:
    """By relation and value the items that have it."""
    found: dict[tuple[str, str], set[str]] = {}
    for item, triples in catalogue.triples.items():
        for _, relation, value in triples:
            found.setdefault((relation, value), set()).add(item)
    return found


def judged(catalogue: Catalogue, encoder: GraphEncoder, asked: list[Asked]) -> dict[str, Any]:
    names = list(catalogue.items)
    vectors, mean = item_vectors(encoder, [[name] for name in names])
    rows = {name: row for row, name in enumerate(names)}
    shares: dict[str, list[float]] = {way: [] for way in WAYS}
    for entity, relation, right in asked:
        if len(right) < DEPTH:
            continue
        is_right = np.isin(names, sorted(right))
        for way, query in queries(encoder, entity, relation).items():
            cosines = vectors @ centred(query.astype(np.float64), mean)
            if entity in rows:
                cosines[rows[entity]] = -np.inf
            shares[way].append(float(is_right[np.argsort(-cosines, kind="stable")[:DEPTH]].mean()))
    return {"asked": len(shares["served"]), **{way: round(average(found), 4) for way, found in shares.items()}}


def queries(encoder: GraphEncoder, entity: str, relation: str) -> dict[str, Vector]:
    graph, facts = encoder.graph, encoder.facts
    number, kind = facts.numbers[entity], graph.relations.index(relation)
    vector, weights = graph.vectors[number], graph.relation_weights
    edges = facts.edges(number)
    there = edges.after[edges.relation == kind]
    known = smoothed(graph.vectors, there, facts.degrees(there))
    assert weights is not None and known is not None
    return {
        "entity": vector,
        "expected": unit(weights[kind] * vector[None, :], relation)[0],
        "known": known,
        "served": encoder.encode_query(EntityTerm(entity, relation))["graph"],
    }


if __name__ == "__main__":
    main()

"""What it costs that every hit brings its exact cosines and its BM25 score: the same request with and without.

    python benchmarks/attribution.py --engine http://127.0.0.1:9209 [--items 20000] [--dims 128] [--output FILE]

Both forms of the request go to the same index in turn, in one run. The index is made, measured and deleted.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import numpy as np

from es_mappings.probe import connect, probe
from es_mappings.provenance import Receipt
from es_mappings.schema import Schema, build_schema
from es_mappings.settings import EngineSettings, LexicalSettings
from es_mappings.types import EncodedItem, Fusion, Item, Plan, Provenance, QueryVector, Space
from ingest.sinks import open_sink
from query_api.compile import search_body

ROUNDS = 60
WARM_UP = 10
BATCH = 1000
HEADERS = {"accept": "application/json", "content-type": "application/json"}


class Random:
    """Three modalities of random unit vectors: the cost of a cosine does not depend on its value."""

    def __init__(self, dims: int) -> None:
        self.spaces = tuple(Space(name, name, dims) for name in ("text", "image", "graph"))
        self.provenance = {space.name: Provenance("random", "0", dims) for space in self.spaces}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--engine", required=True)
    parser.add_argument("--items", type=int, default=20_000)
    parser.add_argument("--dims", type=int, default=128)
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    schema = build_schema(LexicalSettings(), [Random(given.dims)])
    engine = EngineSettings(url=given.engine, index=f"maxcos-bench-{uuid.uuid4().hex}")
    with connect(engine) as client:
        try:
            fill(engine, schema, given.items, given.dims)
            found = {"items": given.items, "dims": given.dims, "engine": client.info()["version"]["number"]}
            found |= compare(client, engine.index, query(schema, given.dims), schema)
        finally:
            client.options(ignore_status=404).indices.delete(index=engine.index)
    text = json.dumps(found, indent=2)
    sys.stdout.write(text + "\n")
    if given.output:
        given.output.write_text(text + "\n", "utf-8")


def unit(rng: np.random.Generator, n: int, dims: int) -> Any:
    rows = rng.normal(size=(n, dims)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def fill(engine: EngineSettings, schema: Schema, items: int, dims: int) -> None:
    rng = np.random.default_rng(0)
    sink = open_sink(engine, schema)
    sink.prepare()
    for start in range(0, items, BATCH):
        columns = {space.name: unit(rng, BATCH, dims) for space in schema.spaces}
        batch = [
            EncodedItem(
                Item(str(start + i), {"title": "lamp" if i % 3 else "oak"}), {s: c[i] for s, c in columns.items()}
            )
            for i in range(min(BATCH, items - start))
        ]
        sink.write(batch)
    sink.finish(Receipt(items, "bench"))
    sink.close()


def query(schema: Schema, dims: int) -> Plan:
    rng = np.random.default_rng(1)
    return Plan(tuple(QueryVector(s, unit(rng, 1, dims)[0]) for s in schema.spaces), "lamp", Fusion("hybrid"))


def compare(client: Any, index: str, plan: Plan, schema: Schema) -> dict[str, Any]:
    """Median milliseconds of both forms, in the engine and at the client, and their ratio round by round."""
    attributed = search_body(plan, schema, probe(client))
    bare = {name: part for name, part in attributed.items() if name != "post_filter"}
    forms = {"attributed": (attributed, {"include_named_queries_score": "true"}), "bare": (bare, {})}
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in forms}
    for _ in range(WARM_UP + ROUNDS):
        for name, (body, params) in forms.items():
            started = time.perf_counter()
            answer = client.perform_request("POST", f"/{index}/_search", params=params, headers=HEADERS, body=body).body
            taken[name].append((answer["took"], (time.perf_counter() - started) * 1000))
    kept = {name: times[WARM_UP:] for name, times in taken.items()}
    ratios = [a[1] / b[1] for a, b in zip(kept["attributed"], kept["bare"], strict=True)]
    found: dict[str, Any] = {
        name: {
            "engine_ms": statistics.median(t[0] for t in times),
            "client_ms": round(statistics.median(t[1] for t in times), 2),
        }
        for name, times in kept.items()
    }
    return found | {"client_ratio": round(statistics.median(ratios), 3)}


if __name__ == "__main__":
    main()

"""Whether a cluster answers as the embedded store does, on public data with judgments.

    python benchmarks/agreement.py emoji-zh --engine http://127.0.0.1:9209 --folder benchmark --output FILE

Takes the index that `maxcos eval --benchmark` has built in the folder, writes the same vectors into an index of the
cluster, asks both all queries of the test half in every way, and takes that index away again. The scores of vectors
should agree to 1e-4. Words are analysed and weighed by another engine, so hybrids may differ.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import click

from encoders.contract import load_encoders
from es_mappings.cluster import connect
from es_mappings.provenance import Receipt
from es_mappings.schema import build_schema
from es_mappings.settings import EngineSettings, Settings, load_settings
from es_mappings.types import EncodedItem, Item
from ingest.sinks import open_sink
from maxcos.evaluation.datasets.files import Files
from maxcos.evaluation.metrics import mean, per_query
from maxcos.evaluation.systems import System, systems
from maxcos.judgments import Judged, read_judged
from query_api.searchers import open_searcher
from query_api.service import SearchService

BATCH = 256
DEPTH = 100
FIRST = 10
NEAR = 1e-4


def copy(source: Settings, target: Settings) -> None:
    """The items with their vectors, means and maps."""
    schema = build_schema(source.lexical, load_encoders(source.modalities).values())
    with closing(open_searcher(source.engine, schema)) as searcher, closing(open_sink(target.engine, schema)) as sink:
        manifest = searcher.state().manifest
        sink.prepare(manifest.centres)
        many = 0
        for batch in searcher.scan(BATCH):
            refused = sink.write([EncodedItem(Item(item.id, item.source), item.vectors) for item in batch])
            if refused:
                raise SystemExit(f"refused: {refused[0]}")
            many += len(batch)
        sink.calibrate(manifest.calibration)
        sink.finish(Receipt(many, "agreement"))


def answers(service: SearchService, system: System, queries: list[Judged]) -> dict[str, dict[str, float]]:
    """By query the scores of its first DEPTH hits by id, best first."""
    found = {}
    for query in queries:
        body = system.body(query, DEPTH)
        if body is not None:
            hits = service.search({**body, "plan": "exact"})["hits"]
            found[query.id] = {hit["id"]: hit["score"] for hit in hits}
    return found


def compare(
    here: Mapping[str, Mapping[str, float]], there: Mapping[str, Mapping[str, float]], queries: list[Judged]
) -> dict[str, Any]:
    """The largest distance of two scores at the same rank among the first FIRST, and the metrics of both."""
    gaps = [
        max((abs(a - b) for a, b in zip(list(own.values())[:FIRST], list(there[id].values())[:FIRST], strict=False)))
        for id, own in here.items()
        if own and there.get(id)
    ]
    both = [per_query({id: tuple(scores) for id, scores in side.items()}, queries) for side in (here, there)]
    return {
        "largest distance of scores": max(gaps),
        f"queries within {NEAR:g}": sum(gap <= NEAR for gap in gaps) / len(gaps),
        "metrics": {metric: [round(mean(side[metric]).mean, 5) for side in both] for metric in both[0]},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("benchmark")
    parser.add_argument("--engine", required=True)
    parser.add_argument("--folder", type=Path, default=Path("benchmark"))
    parser.add_argument("--queries", type=int, default=500, help="So many of the test half.")
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    files = Files(given.folder / given.benchmark)
    source = load_settings(files.config)
    engine = EngineSettings(url=given.engine, index=f"maxcos-agreement-{given.benchmark}")
    target = source.model_copy(update={"engine": engine})
    client = connect(engine)
    try:
        copy(source, target)
        with (
            closing(SearchService.from_settings(source)) as here,
            closing(SearchService.from_settings(target)) as there,
        ):
            queries = read_judged(files.queries("test"), files.qrels("test"), here.schema)[: given.queries]
            found = {}
            for system in systems(list(source.modalities), calibrated=True, ablate=False):
                found[system.name] = compare(answers(here, system, queries), answers(there, system, queries), queries)
                click.echo(f"{system.name}: {json.dumps(found[system.name])}", err=True)
    finally:
        client.request("DELETE", f"/{engine.index}", params={"ignore_unavailable": "true"})
        client.close()
    text = json.dumps({"benchmark": given.benchmark, "queries": len(queries), "systems": found}, indent=1)
    click.echo(text)
    if given.output:
        given.output.write_text(text + "\n", "utf-8")


if __name__ == "__main__":
    main()

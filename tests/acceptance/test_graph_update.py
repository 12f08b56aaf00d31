"""An ingestion after an update of the graph writes what the update has touched, on the embedded store and on a cluster.

Desks, chairs and lamps: one gets a tag more, one is new, and of two outside the graph one has a tag that moves.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from encoders.contract import load_encoders
from encoders.parts.centring import LEAST_ITEMS
from encoders.training.graph import train_graph
from engines import start_engine
from es_mappings.cluster import connect
from es_mappings.schema import build_schema
from es_mappings.settings import EngineSettings, LexicalSettings, ModalitySettings, Settings
from es_mappings.types import Vector
from ingest.pipeline import Summary
from maxcos.build import ingest_file, update
from query_api.searchers import open_searcher

KINDS = ("desk", "chair", "lamp")
ITEMS = {f"{kind}-{n}": [f"colour:{n % 7}", f"kind:{kind}"] for kind in KINDS for n in range(LEAST_ITEMS // 2)}
LATE = {"late-1": ["Colour 3", "Chair"], "late-2": ["Colour 4"]}
"""Items that no triple is about: they have their vectors by the names of their tags."""


def write_triples(folder: Path, items: dict[str, list[str]]) -> Path:
    path = folder / "triples.tsv"
    path.write_text("".join(f"{item}\thas_tag\t{tag}\n" for item, tags in items.items() for tag in tags), "utf-8")
    return path


def write_items(folder: Path, items: dict[str, list[str]]) -> Path:
    path = folder / "items.jsonl"
    rows = [{"id": item, "title": item.replace("-", " "), "tags": tags} for item, tags in items.items()]
    path.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    return path


@pytest.fixture(params=["embedded", "elasticsearch-9"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Settings]:
    names = [*((f"colour:{n}", f"Colour {n}") for n in range(7)), *((f"kind:{k}", k.title()) for k in KINDS)]
    (tmp_path / "names.tsv").write_text("".join(f"{entity}\ten\t{name}\n" for entity, name in names), "utf-8")
    output = tmp_path / "graph.npz"
    train_graph(write_triples(tmp_path, ITEMS), tmp_path / "names.tsv", output, dims=8, epochs=2, progress=False)
    embedded = request.param == "embedded"
    found = Settings(
        engine=EngineSettings(
            url=f"embedded:{tmp_path}/store" if embedded else start_engine(request.param),
            index=f"maxcos-test-{uuid.uuid4().hex}",
        ),
        lexical=LexicalSettings(fields=("title",), filters=(), facets=()),
        modalities={
            "graph": ModalitySettings(encoder="graph", model=str(output), source=("id",), relations={"tags": "has_tag"})
        },
    )
    yield found
    if not embedded:
        with closing(connect(found.engine)) as cluster:
            cluster.request("DELETE", f"/{found.engine.index}")


def counts(summary: Summary) -> tuple[int, int, int, dict[str, int]]:
    return summary.read, summary.written, summary.unchanged, dict(summary.vectors)


def in_the_index(settings: Settings) -> dict[str, Vector]:
    schema = build_schema(settings.lexical, load_encoders(settings.modalities).values())
    with closing(open_searcher(settings.engine, schema)) as searcher:
        found = [item for batch in searcher.scan(500) for item in batch]
    return {item.id: item.vectors["graph"] for item in found if "graph" in item.vectors}


@pytest.mark.parametrize("only", [(), ("graph",)], ids=["all", "graph"])
def test_only_what_an_update_touches_is_written(settings: Settings, tmp_path: Path, only: tuple[str, ...]) -> None:
    source = write_items(tmp_path, ITEMS | LATE)
    model = Path(str(settings.modalities["graph"].model))
    assert ingest_file(source, settings).written == len(ITEMS) + 2
    assert counts(ingest_file(source, settings)) == (len(ITEMS) + 2, 0, len(ITEMS) + 2, {})
    before = in_the_index(settings)

    # The new triples move colour:3, which late-1 has, and colour:5, which only items of the graph have.
    now: dict[str, Any] = ITEMS | {"desk-1": [*ITEMS["desk-1"], "colour:3"], "new": ["colour:5"]}
    report = update(model, triples=write_triples(tmp_path, now))
    assert (report.new, report.changed, report.gone) == (1, 3, 0)
    more = write_items(tmp_path, ITEMS | LATE | {"new": ["colour:5"]})
    assert counts(ingest_file(more, settings, only=only)) == (len(ITEMS) + 3, 3, len(ITEMS), {"graph": 3})
    after = in_the_index(settings)
    moved = {item for item, vector in after.items() if item not in before or not np.allclose(vector, before[item])}
    assert moved == {"desk-1", "late-1", "new"}
    assert counts(ingest_file(more, settings, only=only)) == (len(ITEMS) + 3, 0, len(ITEMS) + 3, {})

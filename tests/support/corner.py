"""A corner shop: an index whose encoders are real, and which is built within a second, as they are two small graphs.

Ten items: eight are in the first graph, six of those have a kind that the second one knows; two have no vector.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from es_mappings.cluster import connect
from es_mappings.settings import Settings, load_settings
from maxcos.build import ingest_file

TITLES = [
    "red sofa",
    "blue sofa",
    "red lamp",
    "blue lamp",
    "green lamp",
    "sofa bed",
    "oak table",
    "elm table",
    "a",
    "b",
]
KINDS = ["sofa", "sofa", "lamp", "lamp", "lamp", "sofa"]
ITEMS: list[dict[str, Any]] = [
    {"id": f"item-{number}", "title": title, **({"kind": KINDS[number]} if number < len(KINDS) else {})}
    for number, title in enumerate(TITLES)
]


@contextmanager
def corner_shop(folder: Path, url: str, **log: str) -> Iterator[Settings]:
    """Settings of the shop, built on an engine; log: the section `log` but for its index, which gets a name too."""
    index = f"maxcos-test-{uuid.uuid4().hex}"
    settings = load_settings(write(folder, {"url": url, "index": index}, {"index": f"{index}-log", **log}))
    try:
        assert ingest_file(folder / "items.jsonl", settings).written == len(ITEMS)
        yield settings
    finally:
        with closing(connect(settings.engine)) as cluster:
            cluster.request("DELETE", f"/{index},{index}-log", params={"ignore_unavailable": "true"})


def write(folder: Path, engine: Mapping[str, str], log: Mapping[str, str]) -> Path:
    """The shop's files; the path of its settings."""
    _graph(folder / "graph.npz", [item["id"] for item in ITEMS[:8]], [("tag:sofa", "sofa"), ("tag:red", "red")])
    _graph(folder / "kinds.npz", ["sofa", "lamp"], [])
    (folder / "items.jsonl").write_text("".join(f"{json.dumps(item)}\n" for item in ITEMS), "utf-8")
    sections = {
        "engine": engine,
        "lexical": {"fields": ["title"], "languages": ["en"], "filters": ["kind"]},
        "modalities.graph": {"encoder": "graph", "model": "graph.npz", "source": "id"},
        "modalities.kinds": {"encoder": "graph", "model": "kinds.npz", "source": "kind"},
        "log": log,
    }
    config = folder / "maxcos.toml"
    lines = [
        f"[{s}]\n" + "".join(f"{n} = {json.dumps(v)}\n" for n, v in given.items()) for s, given in sections.items()
    ]
    config.write_text("\n".join(lines), "utf-8")
    return config


def _graph(path: Path, entities: list[str], named: list[tuple[str, str]]) -> None:
    """Entities that are their own names, then entities with a name; their directions are drawn at random."""
    names = [*((entity, entity) for entity in entities), *named]
    vectors = np.random.default_rng(len(names)).normal(size=(len(names), 8)).astype(np.float32)
    np.savez(
        path,
        entities=np.array([entity for entity, _ in names]),
        vectors=vectors / np.linalg.norm(vectors, axis=1, keepdims=True),
        relations=np.array(["like"]),
        relation_vectors=np.ones((1, 8), dtype=np.float32),
        triples=np.array([[0, 0, 1]], dtype=np.int32),
        name_entity=np.arange(len(names), dtype=np.int32),
        name_language=np.array(["en"] * len(names)),
        name_text=np.array([name for _, name in names]),
        settings=np.array("{}"),
    )

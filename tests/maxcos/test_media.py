"""The files that the fields of an item name."""

from __future__ import annotations

from pathlib import Path

import pytest

from es_mappings.settings import ModalitySettings, PageSettings, Settings
from es_mappings.types import StoredItem
from maxcos.media import pictures


@pytest.mark.parametrize(
    "value", ["no file", "../outside.png", "/etc/hostname", "x" * 300, "a\0b", "", "é" * 200, 7, None]
)
def test_what_names_no_file_of_the_media_is_passed_over(tmp_path: Path, value: object) -> None:
    media = tmp_path / "media"
    media.mkdir()
    (tmp_path / "outside.png").touch()
    (media / "a.png").touch()
    settings = Settings(
        modalities={"text": ModalitySettings(encoder="onnx", source=("title", "image"))}, page=PageSettings(media=media)
    )
    item = StoredItem("1", {"title": value, "image": ["a.png", "b.png"]}, {})
    assert list(pictures(item, settings)) == [media / "a.png"]

"""The demo catalogue: from tiny archives, and from the real ones."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from es_mappings.errors import SettingsError
from maxcos.catalogue import find_catalogue, read_properties, slug, write_catalogue
from maxcos.demo import cache_folder

ENGLISH = """
# a comment
license=Creative Commons Attribution 3.0 license
id#1=Shop#oak chair
name#1=Oak  chair
tags#1=Seat, Blend Swap, Seat,
category#1=Living room
icon#1=/icons/a.png
creator#1=Ann
creationDate#1=2010-01-02
width#1=40
depth#1=50
height#1=90.5
movable#1=true
doorOrWindow#1=false
"""


def archive(folder: Path, english: str, name: str = "a.sh3f", **languages: str) -> Path:
    with zipfile.ZipFile(folder / name, "w") as file:
        file.writestr("PluginFurnitureCatalog.properties", english.encode("latin-1"))
        for language, text in languages.items():
            file.writestr(f"PluginFurnitureCatalog_{language}.properties", text.encode("latin-1"))
        file.writestr("icons/a.png", b"picture")
    return folder / name


def test_properties_are_latin_1_with_escapes() -> None:
    assert read_properties(b"a = caf\xe9 \\u6905\\u5b50 \n!no\n#no=1\nplain\nb=x=y") == {"a": "café 椅子", "b": "x=y"}


def test_an_entry_becomes_item_icon_triples_and_names(tmp_path: Path) -> None:
    chinese = "name#1=\\u6a61\\u6728\\u6905\ncategory#1=8\\u5ba2\\u5385"
    files = write_catalogue([archive(tmp_path, ENGLISH, zh_CN=chinese, ja="name#1=Oak chair")], tmp_path / "out")
    item = json.loads(files.items.read_text("utf-8"))
    assert item == {
        "id": "shop-oak-chair",
        "catalogue_id": "Shop#oak chair",
        "title": "Oak chair",
        "title_zh": "橡木椅",
        "category": "Living room",
        "category_zh": "客厅",
        "tags": ["Seat"],
        "creator": "Ann",
        "width": 40.0,
        "depth": 50.0,
        "height": 90.5,
        "size": "medium",
        "movable": True,
        "door_or_window": False,
        "created": "2010-01-02",
        "image": "icons/shop-oak-chair.png",
        "licence": "CC-BY-3.0",
    }
    assert (tmp_path / "out" / item["image"]).read_bytes() == b"picture"
    assert files.triples.read_text("utf-8").splitlines() == [
        "shop-oak-chair\tin_category\tcategory:living-room",
        "shop-oak-chair\thas_tag\ttag:seat",
        "shop-oak-chair\tmade_by\tcreator:ann",
        "shop-oak-chair\thas_size\tsize:medium",
    ]
    assert "shop-oak-chair\tzh\t橡木椅" in files.names.read_text("utf-8").splitlines()


def test_a_second_writing_changes_nothing_and_an_interrupted_one_is_repeated(tmp_path: Path) -> None:
    archives = [archive(tmp_path, ENGLISH)]
    files = write_catalogue(archives, tmp_path / "out")
    files.items.write_text("kept")
    write_catalogue(archives, tmp_path / "out")
    assert files.items.read_text() == "kept"
    (tmp_path / "out" / "graph.npz").write_text("trained from other triples")
    (tmp_path / "out" / ".catalogue").unlink()
    write_catalogue(archives, tmp_path / "out")
    assert not (tmp_path / "out" / "graph.npz").exists()
    assert json.loads(files.items.read_text("utf-8"))["title"] == "Oak chair"


def test_two_objects_of_one_id_are_refused(tmp_path: Path) -> None:
    archives = [archive(tmp_path, ENGLISH), archive(tmp_path, ENGLISH, "b.sh3f")]
    with pytest.raises(SettingsError, match="shop-oak-chair"):
        write_catalogue(archives, tmp_path / "out")


def test_the_real_catalogue(tmp_path: Path) -> None:
    files = write_catalogue(find_catalogue(cache_folder()), tmp_path / "out")
    items = [json.loads(line) for line in files.items.read_text("utf-8").splitlines()]
    ids = {item["id"] for item in items}
    assert len(items) == len(ids) == 820
    for item in items:
        assert item["id"] == slug(item["id"])
        with Image.open(tmp_path / "out" / item["image"]) as icon:
            icon.verify()
    heads = {line.split("\t")[0] for line in files.triples.read_text("utf-8").splitlines()}
    assert heads == ids
    assert sum("title_zh" in item for item in items) > 250
    assert "CC0-1.0" in (tmp_path / "out" / "NOTICE").read_text("utf-8")

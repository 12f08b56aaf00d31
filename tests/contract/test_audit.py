"""An audit of an index with planted mistakes: it names each of them and nothing else, on every engine."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from corpus import LEXICAL, SPACES, Engine, direction, document
from es_mappings.settings import ModalitySettings, Settings
from es_mappings.types import EncodedItem, Vector
from maxcos.audit.findings import Finding, coverage, findings
from maxcos.audit.read import Gathered, gather

NUMBER = 60


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    modalities = {
        "text": ModalitySettings(encoder="contract", source=("title",)),
        "image": ModalitySettings(encoder="contract", source=("picture",)),
        "graph": ModalitySettings(encoder="contract", source=("id",)),
    }
    for name in "abc":
        (tmp_path / f"{name}.png").write_bytes(b"same" if name < "c" else b"other")
    return Settings(lexical=LEXICAL, modalities=modalities, page={"media": tmp_path})


def vectors(seed: int) -> dict[str, Vector]:
    return {space.name: direction(100 * seed + i, space.dims) for i, space in enumerate(SPACES)}


def shelf() -> list[EncodedItem]:
    return [document(f"i{i:02}", vectors(i), title=f"lamp number {i}", body="Light") for i in range(NUMBER)]


def planted(written: list[EncodedItem], settings: Settings) -> list[EncodedItem]:
    def become(at: int, own: dict[str, Vector], **source: object) -> None:
        written[at] = document(f"i{at:02}", own, **{**written[at].item.source, **source})

    become(1, {})
    become(2, {"text": vectors(2)["text"], "graph": vectors(2)["graph"]})
    become(3, vectors(3) | {"text": vectors(3)["text"] * np.float32(3)})
    become(4, vectors(4) | {"graph": np.full(4, 0.5, np.float32)})
    become(5, vectors(5), title="LAMP  number ６")  # as item 6, for a reader
    become(7, vectors(7), picture="a.png")
    become(8, vectors(8), picture="b.png")
    become(9, vectors(9), picture="c.png")
    placeholder = vectors(10)["image"]
    for at in (10, 11, 12):
        become(at, vectors(at) | {"image": placeholder}, picture=f"gone-{at}.png")
    become(13, vectors(13), body="Свет")
    return written


def read(engine: Engine, settings: Settings, most: int = 1000) -> Gathered:
    return gather(engine.searcher.scan(7), engine.schema, settings, most)


def only(found: list[Finding], kind: str) -> dict[tuple[str, str], list[tuple[str, ...]]]:
    return {(f.about, f.detail): [case.ids for case in f.cases] for f in found if f.kind == kind}


def test_planted_mistakes_are_named(fresh: Engine, settings: Settings) -> None:
    fresh.write(planted(shelf(), settings))
    gathered = read(fresh, settings)
    found = findings(gathered, fresh.schema, 0.999)
    assert coverage(gathered, fresh.schema) == {"text": 59, "image": 58, "graph": 59}
    assert only(found, "faulty vectors") == {
        ("text", "not unit length"): [("i03",)],
        ("graph", "constant"): [("i04",)],
    }
    assert list(only(found, "no vectors").values()) == [[("i01",)]]
    assert only(found, "missing modality") == {
        ("text", ""): [("i01",)],
        ("image", ""): [("i01",), ("i02",)],
        ("graph", ""): [("i01",)],
    }
    assert list(only(found, "same text").values()) == [[("i05", "i06")]]
    assert list(only(found, "same picture").values()) == [[("i07", "i08")]]
    assert {about: ids for (about, _), ids in only(found, "same vector").items()} == {"image": [("i10", "i11", "i12")]}
    assert only(found, "unexpected script") == {("body", "Cyrillic in a field for Latin"): [("i13",)]}
    kinds = [finding.kind for finding in found]
    assert kinds[:2] == ["faulty vectors", "faulty vectors"]
    assert all(0 < finding.items <= finding.of for finding in found)


def test_near_duplicates_are_clusters(fresh: Engine, settings: Settings) -> None:
    written = shelf()
    moved = vectors(1)["image"] + np.float32(0.01) * vectors(2)["image"]
    written[2] = document("i02", vectors(2) | {"image": moved / np.linalg.norm(moved)}, title="another lamp")
    fresh.write(written)
    found = findings(read(fresh, settings), fresh.schema, 0.999)
    assert {about: ids for (about, _), ids in only(found, "near-duplicates").items()}["image"] == [("i01", "i02")]


def test_a_sample_bounds_what_is_compared_and_nothing_else(fresh: Engine, settings: Settings) -> None:
    fresh.write(planted(shelf(), settings))
    whole, some, again = (read(fresh, settings, most) for most in (1000, 20, 20))
    assert len(whole.compared) == NUMBER
    assert len(some.compared) == 20
    assert some.compared == again.compared
    assert all(set(kept) <= set(some.compared) for kept in some.kept.values())
    for kind in ("faulty vectors", "missing modality", "same text", "same picture", "same vector"):
        assert only(findings(some, fresh.schema), kind) == only(findings(whole, fresh.schema), kind)


def test_an_empty_index_has_no_findings(fresh: Engine, settings: Settings) -> None:
    gathered = read(fresh, settings)
    assert findings(gathered, fresh.schema) == []
    assert coverage(gathered, fresh.schema) == {"text": 0, "image": 0, "graph": 0}

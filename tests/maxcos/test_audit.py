"""`maxcos audit` as a person types it, on the demo: what it prints, and that mistakes in the data come out on top."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from encoders.contract import load_encoders
from es_mappings.schema import Schema, build_schema
from es_mappings.settings import Settings
from es_mappings.types import StoredItem
from maxcos.audit.findings import WORST, findings
from maxcos.audit.read import gather
from maxcos.cli import main
from query_api.searchers import open_searcher


def audit(shop: Settings, folder: Path, *arguments: str) -> Result:
    variables = {"MAXCOS_ENGINE__INDEX": shop.engine.index}
    return CliRunner().invoke(main, ["audit", "--config", str(folder / "maxcos.toml"), *arguments], env=variables)


@pytest.fixture(scope="module")
def schema(shop: Settings) -> Schema:
    return build_schema(shop.lexical, load_encoders(shop.modalities).values())


@pytest.fixture(scope="module")
def items(shop: Settings, schema: Schema) -> list[StoredItem]:
    searcher = open_searcher(shop.engine, schema)
    found = [item for batch in searcher.scan(500) for item in batch]
    searcher.close()
    return found


def test_the_report_as_a_table(shop: Settings, shop_folder: Path) -> None:
    done = audit(shop, shop_folder, "--limit", "3")
    assert done.exit_code == 0, done.output
    assert "820 items, all compared with each other" in done.output
    assert "modalities: text 820, image 820, graph 820" in done.output
    assert "title_zh: Han 295, Latin 5" in done.output
    assert "0.988  kator-legaz-porch-column-01  kator-legaz-porch-column-03" in done.output
    assert "... and " in done.output


def test_the_report_as_json(shop: Settings, shop_folder: Path) -> None:
    done = audit(shop, shop_folder, "--json", "--limit", "2")
    report = json.loads(done.stdout)
    assert done.exit_code == 0
    assert (report["items"], report["compared"]) == (820, 820)
    kinds = [finding["kind"] for finding in report["findings"]]
    assert kinds == sorted(kinds, key=WORST.index)
    for finding in report["findings"]:
        assert 0 < finding["items"] <= finding["of"]
        assert 1 <= len(finding["cases"]) <= 2
    near = {f["about"]: f["items"] for f in report["findings"] if f["kind"] == "near-duplicates"}
    assert near["image"] == 8


def test_a_sample_is_said_to_be_one(shop: Settings, shop_folder: Path) -> None:
    done = audit(shop, shop_folder, "--compare", "410")
    assert "a random 410 of them compared with each other, hence 25.0% of near pairs are seen" in done.output


@pytest.mark.parametrize("wrong", [["--near", "0.2"], ["--compare", "1"], ["--limit", "-1"], ["--what"]])
def test_only_wrong_usage_is_an_error(shop: Settings, shop_folder: Path, wrong: list[str]) -> None:
    assert audit(shop, shop_folder, *wrong).exit_code == 2


def test_swapped_pictures_are_among_the_worst(shop: Settings, schema: Schema, items: list[StoredItem]) -> None:
    """Forty items are given each other's pictures; those whose picture is of another kind of thing come out."""
    swapped = np.random.default_rng(0).choice(len(items), 40, replace=False)
    damaged = list(items)
    for at, by in zip(swapped.tolist(), np.roll(swapped, 1).tolist(), strict=True):
        other = {name: items[by].vectors[name] for name in ("image", "image_words")}
        damaged[at] = StoredItem(items[at].id, items[at].source, {**items[at].vectors, **other})
    found = findings(gather([damaged], schema, shop, 1000), schema)
    (disagree,) = [f for f in found if f.kind == "modalities disagree" and f.about == "text / image"]
    wrong = {items[at].id for at in swapped.tolist()}
    worst = {case.ids[0] for case in disagree.cases[:40]}
    assert len(worst & wrong) >= 16
    odd = {f.about: {case.ids[0] for case in f.cases} for f in found if f.kind == "inconsistent"}
    assert len(odd["image"] & wrong) >= 16 and len(odd["image"] - wrong) <= 40
    # The pictures are blamed, not what they stand beside.
    assert not odd.get("text", set()) & wrong and not odd.get("graph", set()) & wrong


def test_a_good_index_has_few_inconsistent_items(shop: Settings, schema: Schema, items: list[StoredItem]) -> None:
    found = findings(gather([items], schema, shop, 1000), schema)
    odd = {f.about: f.items for f in found if f.kind == "inconsistent"}
    assert sum(odd.values()) <= 0.05 * len(items)


def test_random_vectors_are_isolated(shop: Settings, schema: Schema, items: list[StoredItem]) -> None:
    random = np.random.default_rng(1)
    damaged = list(items)
    for at in range(0, 200, 10):
        noise = {s.name: random.normal(size=s.dims).astype(np.float32) for s in schema.spaces}
        unit = {name: vector / np.linalg.norm(vector) for name, vector in noise.items()}
        damaged[at] = StoredItem(items[at].id, items[at].source, unit)
    found = findings(gather([damaged], schema, shop, 1000), schema)
    isolated = {f.about: {case.ids[0] for case in f.cases} for f in found if f.kind == "isolated"}
    wrong = {items[at].id for at in range(0, 200, 10)}
    for space in ("text", "image", "image_words"):
        assert len(isolated[space] & wrong) >= 17
        assert len(isolated[space] - wrong) <= 2

"""What `maxcos align` compares: groups, the baselines, the test, and classes."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from encoders.contract import Encoded
from encoders.parts.alignment import directions
from encoders.training.alignment import CrossFit, Pairs, centred, ranks, targets
from es_mappings.errors import SettingsError
from es_mappings.schema import Schema, build_schema
from es_mappings.settings import LexicalSettings
from es_mappings.types import Provenance, Space, StoredItem, Term, TextTerm, Vector
from maxcos.alignment import compare
from maxcos.alignment.classes import class_field, classification
from maxcos.alignment.groups import grouped
from maxcos.cli import main

ITEMS, DIMS = 40, 6


@pytest.fixture
def pairs() -> Pairs:
    random = np.random.default_rng(0)
    texts = directions(random.normal(size=(ITEMS + 10, DIMS)))
    owner = np.concatenate([np.arange(ITEMS), np.arange(10)])
    groups = np.arange(ITEMS)
    groups[1::4] = groups[::4]
    features = directions(random.normal(size=(ITEMS, 9)))
    field = np.repeat([0, 1], [ITEMS, 10])
    made = Pairs(features, directions(random.normal(size=(ITEMS, DIMS))), texts, owner, field, ("a", "b"), groups)
    return centred(made)[0]


def test_what_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy", None)
    done = CliRunner().invoke(main, ["align", "--config", str(tmp_path / "maxcos.toml")])
    assert done.exit_code == 1
    assert "aligning needs the package 'scipy': install the extra 'train'" in done.output


def test_groups_are_chains_of_titles_and_of_pictures() -> None:
    pictures = directions(np.random.default_rng(0).normal(size=(8, 50)))
    pictures[1] = pictures[0]
    pictures[3] = directions(pictures[2] + 0.01)
    titles = [{"a"}, {"b"}, {"b", "c"}, {"d"}, {"e"}, {"f", "e"}, {"g"}, set[str]()]
    assert grouped(pictures, titles).tolist() == [0, 0, 0, 0, 4, 4, 6, 7]


def test_nothing_is_as_good_as_random_orders(pairs: Pairs) -> None:
    found, reciprocal = compare.chance(pairs)
    random = np.random.default_rng(1)
    every, texts = np.arange(ITEMS), np.arange(len(pairs.owner))
    drawn = np.stack(
        [ranks(pairs, random.normal(size=(ITEMS, DIMS)).astype(np.float32), every, texts) for _ in range(500)]
    )
    assert found.mrr == pytest.approx(np.mean(1 / drawn), rel=0.05)
    assert found.recall_at_1 == pytest.approx(np.mean(drawn <= 1), rel=0.2)
    assert found.recall_at_10 == pytest.approx(np.mean(drawn <= 10), rel=0.05)
    assert reciprocal.mean() == pytest.approx(found.mrr)


def test_neighbours_come_from_other_folds(pairs: Pairs) -> None:
    folds = np.arange(ITEMS) % 5
    fitted = CrossFit((), folds, pairs.base, pairs.base)
    placed, wanted = compare.neighbours(pairs, fitted), targets(pairs)
    for row in range(ITEMS):
        cosines = {other: pairs.features[row] @ pairs.features[other] for other in np.flatnonzero(folds != folds[row])}
        nearest = sorted(cosines, key=cosines.__getitem__)[-compare.NEAREST :]
        expected = sum(max(cosines[other], 0) * wanted[other] for other in nearest)
        np.testing.assert_allclose(placed[row], expected, atol=1e-5)


def test_a_difference_counts_groups_and_not_texts(pairs: Pairs) -> None:
    better = np.full(len(pairs.owner), 0.5)
    worse = better - 0.1
    worse[pairs.groups[pairs.owner] == 0] = 0.5
    (found,) = compare.against(pairs, {"heads": better, "ConSE": worse}, "heads", ["ConSE"])
    many = len(np.unique(pairs.groups))
    assert found.mean == pytest.approx(0.1 * (many - 1) / many)
    assert compare.wins([found])
    (lost,) = compare.against(pairs, {"heads": worse, "ConSE": better}, "heads", ["ConSE"])
    assert not compare.wins([lost]) and not compare.wins([found, lost])
    noise = np.random.default_rng(2).normal(size=len(better))
    (unsure,) = compare.against(pairs, {"heads": better + noise, "ConSE": better}, "heads", ["ConSE"])
    assert not compare.wins([unsure])


def test_metrics_by_field(pairs: Pairs) -> None:
    found = compare.by_field(pairs, np.where(pairs.field == 0, 1.0, 20.0))
    assert {name: (own.mrr, own.recall_at_10, own.texts) for name, own in found.items()} == {
        "all": (pytest.approx((ITEMS + 10 / 20) / (ITEMS + 10)), ITEMS / (ITEMS + 10), ITEMS + 10),
        "a": (1.0, 1.0, ITEMS),
        "b": (1 / 20, 0.0, 10),
    }


class Words:
    """A text encoder that knows three words."""

    spaces = (Space("text", "text", 3),)
    provenance: Mapping[str, Provenance] = {}

    def encode_items(self, values: Sequence[Sequence[Any]], base: Path) -> Encoded:
        return Encoded({})

    def encode_query(self, term: Term) -> Mapping[str, Vector]:
        assert isinstance(term, TextTerm)
        known = ["bed", "chair", "lamp"]
        return {"text": np.eye(3, dtype=np.float32)[known.index(term.text)]} if term.text in known else {}


def items(*kinds: Any) -> list[StoredItem]:
    return [StoredItem(str(number), {"kind": kind, "name": str(number)}, {}) for number, kind in enumerate(kinds)]


def test_the_nearest_name_is_the_class() -> None:
    kinds = items("bed", "chair", "lamp", "lamp", ["bed", "lamp"], None, "椅子")
    placed = np.eye(3, dtype=np.float32)[[0, 1, 2, 0, 1, 1, 1]]
    found = classification(kinds, "kind", {"heads": placed}, Words(), np.zeros(3, dtype=np.float32))
    assert found is not None and (found["field"], found["items"]) == ("kind", 4)
    report = found["methods"]["heads"]
    assert report["accuracy"] == 0.75
    assert report["lamp"]["recall"] == 0.5 and report["bed"]["precision"] == 0.5
    assert report["macro avg"]["f1-score"] == pytest.approx((2 / 3 + 1 + 2 / 3) / 3)


def test_names_that_are_not_understood_are_no_classes() -> None:
    placed, mean = np.eye(3, dtype=np.float32), np.zeros(3, dtype=np.float32)
    assert classification(items("bed", "床", "椅子"), "kind", {"heads": placed}, Words(), mean) is None


def schema(*facets: str) -> Schema:
    return build_schema(LexicalSettings(filters=("kind", "name", "size:number"), facets=facets), [])


def test_classes_are_a_facet_with_a_few_values() -> None:
    found = items(*["bed", "chair"] * 60)
    assert class_field(schema("size", "name", "kind"), found, None) == "kind"
    assert class_field(schema("name"), found, None) is None
    assert class_field(schema(), found, "kind") == "kind"
    with pytest.raises(SettingsError, match="--classes: 'name' does not hold from 2 to 100"):
        class_field(schema("kind"), found, "name")

"""Training on two clear communities: kitchens and gardens, with a few tags each."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from encoders.training.graph import TrainingReport, train_graph
from es_mappings.errors import BadInput

ITEMS_PER_SIDE = 30


@pytest.fixture(scope="module")
def triples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    lines = []
    for side in ("kitchen", "garden"):
        for item in range(ITEMS_PER_SIDE):
            lines.append(f"{side}{item}\tin_category\tcategory:{side}")
            lines += (f"{side}{item}\thas_tag\ttag:{side}-{tag}" for tag in (item % 3, 3 + item % 2))
            lines.append(f"{side}{item}\tmade_by\tmaker:{item % 5}")
    path = tmp_path_factory.mktemp("graph") / "triples.tsv"
    path.write_text("\n".join(lines) + "\nbroken line\n", "utf-8")
    return path


@pytest.fixture(scope="module")
def trained(triples: Path) -> tuple[TrainingReport, Path]:
    output = triples.parent / "new" / "graph.npz"
    return train_graph(triples, None, output, dims=32, epochs=12, progress=False), output


def test_the_report_says_what_was_done(trained: tuple[TrainingReport, Path], triples: Path) -> None:
    report, _ = trained
    assert (report.entities, report.relations, report.triples) == (60 + 2 + 10 + 5, 3, 240)
    assert report.epochs == 15 and 0 < report.seconds < 100 and 0 < report.loss < 1
    assert report.mrr is not None and report.mrr > 0.5
    assert report.problems == ((f"{triples}:241", "1 columns separated by tabs instead of 3"),)


def test_cosine_separates_the_communities(trained: tuple[TrainingReport, Path]) -> None:
    vectors, number = _read(trained[1])
    kitchen, garden = (vectors[[number[f"{s}{i}"] for i in range(ITEMS_PER_SIDE)]] for s in ("kitchen", "garden"))
    within, across = (kitchen @ kitchen.T)[~np.eye(ITEMS_PER_SIDE, dtype=bool)], kitchen @ garden.T
    assert within.mean() > across.mean() + 0.3


@pytest.mark.parametrize(
    ("concept", "members"),
    [
        ("tag:kitchen-0", {f"kitchen{i}" for i in range(0, ITEMS_PER_SIDE, 3)}),
        ("tag:garden-4", {f"garden{i}" for i in range(1, ITEMS_PER_SIDE, 2)}),
        ("category:garden", {f"garden{i}" for i in range(ITEMS_PER_SIDE)}),
    ],
)
def test_a_concept_is_nearest_to_its_own_items(
    trained: tuple[TrainingReport, Path], concept: str, members: set[str]
) -> None:
    vectors, number = _read(trained[1])
    items = [f"{side}{i}" for side in ("kitchen", "garden") for i in range(ITEMS_PER_SIDE)]
    cosines = vectors[[number[item] for item in items]] @ vectors[number[concept]]
    best = {items[i] for i in np.argsort(-cosines)[:10]}
    assert len(best & members) >= 9


def test_the_file_is_plain_and_complete(trained: tuple[TrainingReport, Path]) -> None:
    with np.load(trained[1], allow_pickle=False) as file:
        assert file["vectors"].dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(file["vectors"], axis=1), 1, atol=1e-5)
        assert (file["relation_vectors"] > 0).all() and file["relation_vectors"].shape == (3, 32)
        assert file["triples"].shape == (240, 3)
        assert file["name_text"].tolist() == file["entities"].tolist(), "unnamed entities are named by their ids"
        assert json.loads(str(file["settings"]))["dims"] == 32
    assert [path.name for path in trained[1].parent.iterdir()] == ["graph.npz"]


def test_one_seed_gives_the_same_bytes_and_leaves_global_state_alone(triples: Path, tmp_path: Path) -> None:
    def train(name: str, seed: int) -> bytes:
        train_graph(triples, None, tmp_path / name, dims=8, epochs=2, seed=seed, progress=False)
        return (tmp_path / name).read_bytes()

    torch.manual_seed(1)
    np.random.seed(1)
    expected = torch.rand(1).item(), np.random.random()
    torch.manual_seed(1)
    np.random.seed(1)
    threads = torch.get_num_threads()
    first = train("first.npz", 7)
    assert (torch.rand(1).item(), np.random.random()) == expected
    assert torch.get_num_threads() == threads
    assert first == train("second.npz", 7)
    assert first != train("third.npz", 8)


def test_the_smallest_graph(tmp_path: Path) -> None:
    path, names = tmp_path / "triples.tsv", tmp_path / "names.tsv"
    path.write_text("a\tr\tb\nb\tr\tb\n", "utf-8")
    names.write_text("a\ten\tAnna\n", "utf-8")
    report = train_graph(path, names, tmp_path / "graph.npz", dims=1, epochs=1, progress=False)
    assert report.mrr is None and report.epochs == 1
    with np.load(tmp_path / "graph.npz") as file:
        assert np.isfinite(file["vectors"]).all()
        rows = zip(file["name_entity"], file["name_language"], file["name_text"], strict=True)
        assert [tuple(map(str, row)) for row in rows] == [("0", "en", "Anna"), ("1", "", "b")]


def test_a_failed_training_leaves_the_old_file(trained: tuple[TrainingReport, Path], tmp_path: Path) -> None:
    before = trained[1].read_bytes()
    with pytest.raises(BadInput):
        train_graph(tmp_path / "missing.tsv", None, trained[1], progress=False)
    with pytest.raises(BadInput, match="at least one"):
        train_graph(tmp_path / "missing.tsv", None, trained[1], dims=0, progress=False)
    assert trained[1].read_bytes() == before


def _read(path: Path) -> tuple[np.ndarray, dict[str, int]]:
    with np.load(path, allow_pickle=False) as file:
        return file["vectors"], {entity: i for i, entity in enumerate(file["entities"].tolist())}

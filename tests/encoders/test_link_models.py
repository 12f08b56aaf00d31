"""Every link predictor on a graph of four kinds of things, whose relations hold between all things of two kinds."""

from __future__ import annotations

import json
import math
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from encoders.parts.graph_file import read_graph_file
from encoders.training.graph import checkpoint, evaluate_links, fit, train, train_graph
from encoders.training.graph.models import ComplEx, DistMult, RotatE, Scoring, TransE
from encoders.training.graph.recipes import RECIPES
from es_mappings.errors import BadInput

PER_KIND = 10
HOLDS_BETWEEN = {"treats": ("drug", "disease"), "causes": ("disease", "symptom"), "sold_in": ("drug", "shop")}
DIMS, EPOCHS = 16, 30


@dataclass(frozen=True)
class Files:
    train: Path
    valid: Path
    test: Path


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    lines = [
        f"{head}{i}\t{relation}\t{tail}{j}\n"
        for relation, (head, tail) in HOLDS_BETWEEN.items()
        for i in range(PER_KIND)
        for j in range(PER_KIND)
    ]
    order = np.random.default_rng(0).permutation(len(lines))
    parts = {"train": order[60:], "valid": order[:30], "test": order[30:60]}
    folder = tmp_path_factory.mktemp("links")
    for name, numbers in parts.items():
        (folder / f"{name}.tsv").write_text("".join(lines[number] for number in numbers), "utf-8")
    return Files(*(folder / f"{name}.tsv" for name in parts))


def learn(files: Files, output: Path, model: str, **more: Any) -> train.TrainingReport:
    how = {"valid": files.valid, "dims": DIMS, "epochs": EPOCHS} | more
    return train_graph(files.train, None, output, model=model, progress=False, **how)


@pytest.mark.parametrize("sampled", [False, True], ids=["all entities", "sampled entities"])
@pytest.mark.parametrize("model", RECIPES)
def test_unseen_links_are_predicted_and_things_of_a_kind_are_alike(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str, sampled: bool
) -> None:
    if sampled:
        monkeypatch.setattr(fit, "ALL_ENTITIES_MOST", 0)
    output = tmp_path / "graph.npz"
    report = learn(files, output, model)
    assert (report.model, report.entities, report.relations, report.triples) == (model, 40, 3, 240)
    assert report.mrr is not None and report.mrr > 0.6
    found = evaluate_links(output, files.test, [files.valid])
    # By chance the MRR is about 0.1; a model that knows the kinds is wrong only among the few unseen links.
    assert found.mrr > 0.7 and found.hits_at_10 > 0.9 and found.triples == 30
    graph = read_graph_file(output)
    np.testing.assert_allclose(np.linalg.norm(graph.vectors, axis=1), 1, atol=1e-5)
    kinds = np.array([entity.rstrip("0123456789") for entity in graph.entities])
    same = kinds[:, None] == kinds[None, :]
    cosines = graph.vectors @ graph.vectors.T
    assert cosines[same].mean() > cosines[~same].mean() + 0.15


def interrupted(monkeypatch: pytest.MonkeyPatch, after: int, learn: Any) -> None:
    """Train until so many checkpoints are written, and be stopped there."""
    write, saved = checkpoint.write_checkpoint, []

    def stop(*content: Any) -> None:
        write(*content)
        saved.append(content)
        if len(saved) == after:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(checkpoint, "write_checkpoint", stop)
        learn()


@pytest.mark.parametrize("model", ["complex", "compgcn"])
@pytest.mark.parametrize("sampled", [False, True], ids=["all entities", "sampled entities"])
def test_a_training_goes_on_as_if_it_had_not_stopped(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str, sampled: bool
) -> None:
    if sampled:
        monkeypatch.setattr(fit, "ALL_ENTITIES_MOST", 0)
    straight, resumed, folder = tmp_path / "straight.npz", tmp_path / "resumed.npz", tmp_path / "state"
    learn(files, straight, model, epochs=7)
    interrupted(monkeypatch, 3, lambda: learn(files, resumed, model, epochs=7, checkpoint=folder))
    assert not resumed.exists()
    assert learn(files, resumed, model, epochs=7, checkpoint=folder).epochs == 7
    assert straight.read_bytes() == resumed.read_bytes()
    assert evaluate_links(folder, files.test) == evaluate_links(resumed, files.test)


@pytest.mark.parametrize("model", ["cosine-distmult", "lightgcn"])
@pytest.mark.parametrize("after", [1, 4, 5, 6], ids=["first", "before measuring", "measured", "held out too"])
def test_a_training_for_cosines_goes_on_as_if_it_had_not_stopped(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str, after: int
) -> None:
    """Of seven epochs, the last two with what was held out until then."""
    straight, resumed, folder = tmp_path / "straight.npz", tmp_path / "resumed.npz", tmp_path / "state"
    once = learn(files, straight, model, valid=None, epochs=5)

    def again() -> train.TrainingReport:
        return learn(files, resumed, model, valid=None, epochs=5, checkpoint=folder)

    interrupted(monkeypatch, after, again)
    assert not resumed.exists()
    found = again()
    assert straight.read_bytes() == resumed.read_bytes()
    assert (found.epochs, found.loss, found.mrr) == (7, once.loss, once.mrr)
    resumed.unlink()
    assert again().mrr == once.mrr, "a training that has ended"
    assert straight.read_bytes() == resumed.read_bytes()
    with pytest.raises(BadInput, match="other settings or data"):
        learn(files, resumed, model, valid=None, epochs=6, checkpoint=folder)
    with pytest.raises(BadInput, match=f"{model} is no link predictor"):
        evaluate_links(folder, files.test)


def test_a_checkpoint_of_something_else_is_refused(files: Files, tmp_path: Path) -> None:
    folder, output = tmp_path / "state", tmp_path / "graph.npz"
    learn(files, output, "distmult", epochs=1, checkpoint=folder)
    with pytest.raises(BadInput, match="other settings or data"):
        learn(files, output, "distmult", epochs=1, checkpoint=folder, seed=1)
    with pytest.raises(BadInput, match="other settings or data"):
        learn(replace(files, train=files.test), output, "distmult", epochs=1, checkpoint=folder)
    (folder / "checkpoint.pt").write_bytes(b"no checkpoint")
    with pytest.raises(BadInput, match="not a checkpoint"):
        learn(files, output, "distmult", epochs=1, checkpoint=folder)


def test_training_stops_when_validation_gets_no_better(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fit, "EVERY", 1)
    report = learn(files, tmp_path / "graph.npz", "complex", epochs=500)
    assert report.epochs < 100
    with np.load(tmp_path / "graph.npz") as file:
        best = json.loads(str(file["settings"]))["epochs"]
    assert best == report.epochs - fit.PATIENCE, "the vectors are those of the best epoch"


class Writer:
    """Stands in for the writer of the package tensorboard, which is not among those that are installed for tests."""

    rows: list[tuple[str, float, int]]

    def __init__(self, folder: str, purge_step: int) -> None:
        self.folder, self.purge_step, self.closed = folder, purge_step, False
        self.rows = []
        WRITERS.append(self)

    def add_scalar(self, name: str, value: float, step: int) -> None:
        self.rows.append((name, value, step))

    def close(self) -> None:
        self.closed = True


WRITERS: list[Writer] = []


@pytest.mark.parametrize("installed", [True, False])
def test_tensorboard_is_logged_to_where_it_is_installed(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, installed: bool
) -> None:
    WRITERS.clear()
    module = ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = Writer  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module if installed else None)
    learn(files, tmp_path / "graph.npz", "distmult", epochs=5, checkpoint=tmp_path / "state")
    learn(files, tmp_path / "graph.npz", "distmult", epochs=6, checkpoint=tmp_path / "state")
    if not installed:
        assert WRITERS == []
        return
    first, second = WRITERS
    assert first.folder == str(tmp_path / "state" / "tensorboard") and first.closed and second.closed
    assert (first.purge_step, second.purge_step) == (1, 6)
    assert [(name, step) for name, _, step in first.rows] == [*(("loss", i) for i in range(1, 6)), ("best_mrr", 5)]
    assert [(name, step) for name, _, step in second.rows] == [("loss", 6), ("best_mrr", 6)]


@pytest.mark.parametrize("model", RECIPES)
def test_the_smallest_graph(tmp_path: Path, model: str) -> None:
    path = tmp_path / "triples.tsv"
    path.write_text("a\tr\tb\nb\tr\tb\n", "utf-8")
    report = train_graph(path, None, tmp_path / "graph.npz", model=model, dims=2, epochs=1, progress=False)
    assert report.mrr is None and report.epochs == 1
    with np.load(tmp_path / "graph.npz") as file:
        assert np.isfinite(file["vectors"]).all() and file["link_relations"].shape[0] == 2


def test_arguments_that_do_not_fit_are_refused(files: Files, tmp_path: Path) -> None:
    output = tmp_path / "graph.npz"
    with pytest.raises(BadInput, match="there are cosine-distmult, lightgcn, transe"):
        learn(files, output, "word2vec")
    with pytest.raises(BadInput, match="even number"):
        learn(files, output, "rotate", dims=3)
    with pytest.raises(BadInput, match="at least one"):
        learn(files, output, "transe", epochs=0)
    assert not output.exists()


def test_a_cosine_graph_can_be_asked_too(files: Files, tmp_path: Path) -> None:
    report = learn(files, tmp_path / "graph.npz", "cosine-distmult")
    assert report.mrr is not None and report.mrr > 0.5, "among the entities seen at that end of the relation"
    found = evaluate_links(tmp_path / "graph.npz", files.test, [files.valid])
    assert found.model == "cosine-distmult" and 0 < found.mrr < report.mrr, "among all entities, itself the first"


def test_triples_that_nobody_can_rank_are_named(files: Files, tmp_path: Path) -> None:
    output, test = tmp_path / "graph.npz", tmp_path / "test.tsv"
    learn(files, output, "distmult", epochs=1)
    test.write_text("drug0\ttreats\tdisease0\ndrug0\ttreats\tnobody\ndrug0\tknows\tdrug1\n", "utf-8")
    report = evaluate_links(output, test)
    assert report.triples == 1
    assert report.problems == ((str(test), "2 triples name an entity or relation that training has not seen"),)
    test.write_text("x\ty\tz\n", "utf-8")
    with pytest.raises(BadInput, match="no triple of entities and relations that"):
        evaluate_links(output, test)
    with pytest.raises(BadInput, match="not a graph"):
        evaluate_links(test, files.test)
    with pytest.raises(BadInput, match=r"no checkpoint\.pt"):
        evaluate_links(tmp_path, files.test)


NUMBERS = st.lists(st.floats(-2, 2, width=32), min_size=4, max_size=4)


@given(head=NUMBERS, relation=NUMBERS, tail=NUMBERS)
def test_scores_are_those_of_the_papers(head: list[float], relation: list[float], tail: list[float]) -> None:
    h, r, t = (np.array(part, dtype=np.float64) for part in (head, relation, tail))
    as_complex = [part[:2] + 1j * part[2:] for part in (h, r, t)]
    ch, cr, ct = as_complex
    turned = ch * np.exp(1j * r[:2])
    expected: list[tuple[Scoring, Tensor, float]] = [
        (DistMult(), torch.tensor([relation]), float((h * r * t).sum())),
        (ComplEx(), torch.tensor([relation]), float((ch * cr * ct.conj()).sum().real)),
        (TransE(), torch.tensor([relation]), 3 - float(np.abs(h + r - t).sum())),
        (RotatE(), torch.tensor([relation[:2]]), 3 - float(np.linalg.norm(turned - ct))),
    ]
    for scoring, relations, score in expected:
        asked, answers = scoring.ask(torch.tensor([head]), relations), torch.tensor([tail])
        assert math.isclose(scoring.compare(asked, answers).item(), score, rel_tol=1e-3, abs_tol=2e-3)
        assert math.isclose(scoring.pairs(asked, answers).item(), score, rel_tol=1e-3, abs_tol=2e-3)


def test_the_nuclear_norm_of_complex_numbers_is_that_of_their_moduli() -> None:
    factor = torch.tensor([[3.0, 0.0, 4.0, 1.0]])
    assert ComplEx().n3(factor, factor).item() == pytest.approx(2 * (5**3 + 1), rel=1e-5)
    assert DistMult().n3(factor).item() == pytest.approx(27 + 64 + 1)

"""`maxcos graph train` and `maxcos graph eval` as a person types them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from maxcos.cli import main

HOLDS = [f"{a}{i}\t{r}\t{b}{j}\n" for r, a, b in (("eats", "cat", "fish"), ("meets", "cat", "dog"))
         for i in range(6) for j in range(6)]  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    lines = [HOLDS[i] for i in np.random.default_rng(0).permutation(len(HOLDS))]
    for name, part in {"train": lines[12:], "valid": lines[:6], "test": [*lines[6:12], "cat0\teats\tbird\n"]}.items():
        (tmp_path / f"{name}.tsv").write_text("".join(part), "utf-8")
    return tmp_path


def graph(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["graph", *arguments])


def test_train_interrupted_continued_and_evaluated(folder: Path) -> None:
    train = ["train", "train.tsv", "--model", "distmult", "--valid", "valid.tsv", "--known", "test.tsv",
             "--dims", "16", "--checkpoint", "state", "--json"]  # fmt: skip
    assert json.loads(graph(*train, "--epochs", "5").stdout)["epochs"] == 5
    done = graph(*train, "--epochs", "10", "--output", "graph.npz")
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert (report["model"], report["triples"], report["epochs"]) == ("distmult", 60, 10) and report["mrr"] > 0.5
    for model in ("graph.npz", "state"):
        done = graph("eval", model, "--test", "test.tsv", "--known", "valid.tsv", "--json")
        found = json.loads(done.stdout)
        assert found["triples"] == 6 and 0.5 < found["mrr"] <= found["hits_at_10"] == 1
        assert "test.tsv: 1 triples name an entity or relation that training has not seen" in done.stderr


def test_results_are_printed_for_people_too(folder: Path) -> None:
    assert "model        cosine-distmult" in graph("train", "train.tsv", "--epochs", "1").stdout
    assert "hits_at_10 " in graph("eval", "graph.npz", "--test", "test.tsv").stdout


def test_update_says_what_became_of_the_nodes(folder: Path) -> None:
    graph("train", "train.tsv", "--epochs", "1")
    with Path("train.tsv").open("a") as file:
        file.write("cat9\teats\tfish1\nstar\tnear\tmoon\n")
    done = graph("update", "graph.npz", "--triples", "train.tsv")
    assert done.exit_code == 0, done.output
    assert done.stdout == "graph.npz: 1 new, 1 changed, 17 unchanged, 0 gone; 61 triples\n"
    assert "2 nodes: nothing links them to what was trained (star, moon): train again" in done.stderr
    report = json.loads(graph("update", "graph.npz", "--triples", "train.tsv", "--json").stdout)
    assert (report["new"], report["changed"], report["unchanged"], report["gone"]) == (0, 0, 19, 0)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["train", "train.tsv", "--model", "word2vec"], 1, "there are cosine-distmult, lightgcn, transe"),
        (["train", "train.tsv", "--epochs", "0"], 2, "epochs"),
        (["train", "train.tsv", "--valid", "absent.tsv"], 2, "absent.tsv"),
        (["update", "absent.npz", "--triples", "train.tsv"], 2, "absent.npz"),
        (["update", "train.tsv", "--triples", "train.tsv"], 1, "not a graph"),
        (["update", "train.tsv"], 1, "name what has changed"),
        (["eval", "train.tsv", "--test", "test.tsv"], 1, "not a graph"),
        (["eval", ".", "--test", "test.tsv"], 1, "no checkpoint.pt"),
        (["eval", "train.tsv"], 2, "--test"),
    ],
)
def test_wrong_usage_is_one_clear_message(folder: Path, arguments: list[str], code: int, said: str) -> None:
    done = graph(*arguments)
    assert done.exit_code == code and said in done.stderr and "Traceback" not in done.stderr

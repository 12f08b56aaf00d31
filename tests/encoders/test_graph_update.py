"""A trained graph is brought to other triples: what is touched moves, and all else stays byte for byte."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from encoders.graph import GraphEncoder
from encoders.parts.graph_file import GraphFile, read_graph_file
from encoders.parts.inductive import inductive
from encoders.training.graph import train_graph
from encoders.training.update import UpdateReport, update_graph
from es_mappings.errors import BadInput, BadTerm, EncoderError
from es_mappings.types import EntityTerm, Fields, UserTerm

Triple = tuple[str, str, str]

TRIPLES = [
    *((f"item{i}", "has_tag", f"tag{i % 5}") for i in range(30)),
    *((f"item{i}", "has_tag", f"tag{(i + 2) % 5}") for i in range(0, 30, 2)),
    *((f"item{i}", "made_by", f"maker{i % 4}") for i in range(30)),
]
NAMES = "tag0\ten\tOak\ntag0\tde\tEiche\nitem3\ten\tChair\n"
DONE = [(f"{user}", f"item{(user * 3 + n) % 30}") for user in range(8) for n in range(4)]


def write(path: Path, rows: Collection[Sequence[str]]) -> Path:
    path.write_text("".join("\t".join(row) + "\n" for row in rows), "utf-8")
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("update")
    triples, done = write(path / "triples.tsv", TRIPLES), write(path / "done.tsv", DONE)
    names = path / "names.tsv"
    names.write_text(NAMES, "utf-8")
    train_graph(triples, names, path / "graph.npz", dims=8, epochs=2, progress=False)
    train_graph(triples, names, path / "liked.npz", interactions=done, dims=8, epochs=2, progress=False)
    train_graph(triples, names, path / "links.npz", model="distmult", dims=8, epochs=2, progress=False)
    return path


def updated(
    folder: Path, triples: Collection[Triple] | None = None, model: str = "graph", **files: Path
) -> tuple[UpdateReport, GraphFile]:
    """What becomes of a copy of a trained file."""
    with tempfile.TemporaryDirectory() as name:
        copy = Path(shutil.copy(folder / f"{model}.npz", name))
        given = {} if triples is None else {"triples": write(Path(name) / "new.tsv", triples)}
        report = update_graph(copy, **given, **files)
        assert [path.name for path in Path(name).glob("*.npz*")] == [copy.name]
        graph = read_graph_file(copy)
        graph.vectors.sum()  # mapped, and read before the file goes
        return report, graph


def vectors(graph: GraphFile) -> dict[str, np.ndarray]:
    return dict(zip(graph.entities, graph.vectors, strict=True))


def ends(triples: Collection[Triple]) -> set[str]:
    return {end for head, _, tail in triples for end in (head, tail)}


NODES = st.sampled_from([*sorted(ends(TRIPLES)), "new0", "new1", "new2"])
MORE = st.lists(st.tuples(NODES, st.sampled_from(["has_tag", "made_by", "near"]), NODES), max_size=6)
LESS = st.lists(st.sampled_from(TRIPLES), max_size=6)


@settings(max_examples=60)
@given(more=MORE, less=LESS)
def test_untouched_nodes_keep_their_bytes(folder: Path, more: list[Triple], less: list[Triple]) -> None:
    before = read_graph_file(folder / "graph.npz")
    now = dict.fromkeys([*(triple for triple in TRIPLES if triple not in less), *more])
    report, after = updated(folder, now)
    old, new = vectors(before), vectors(after)
    touched = ends({*TRIPLES} ^ {*now})
    for entity in new.keys() & old.keys() - touched:
        assert new[entity].tobytes() == old[entity].tobytes()
    np.testing.assert_allclose(np.linalg.norm(after.vectors, axis=1), 1, atol=1e-5)
    there = ends(now)
    assert new.keys() <= there and old.keys() & there <= new.keys()
    assert report.new == len(new.keys() - old.keys())
    assert report.changed == len(new.keys() & old.keys() & touched)
    assert report.unchanged == len(new.keys() & old.keys() - touched)
    assert report.gone == len(old.keys() - there)
    assert (after.trained, after.fingerprint) == (before.trained, before.fingerprint)
    kept = [(after.entities[h], after.relations[r], after.entities[t]) for h, r, t in after.triples.tolist()]
    assert kept == [triple for triple in now if ends([triple]) <= new.keys()]


def test_a_new_node_has_what_cold_start_gives(folder: Path) -> None:
    trained = GraphEncoder(
        "graph", read_graph_file(folder / "graph.npz"), relations={"tag": "has_tag", "by": "made_by"}
    )
    (expected,) = trained.encode_items([["new", Fields({"tag": ["tag1", "tag3"], "by": "maker2"})]], Path()).vectors[
        "graph"
    ]
    own = [("new", "has_tag", "tag1"), ("new", "has_tag", "tag3"), ("new", "made_by", "maker2")]
    report, graph = updated(folder, [*TRIPLES, *own])
    assert (report.new, report.changed, report.unchanged, report.gone) == (1, 3, 36, 0)
    assert expected is not None
    np.testing.assert_allclose(vectors(graph)["new"], expected, atol=1e-6)


def by_triples(graph: GraphFile, node: str, triples: Collection[Triple]) -> np.ndarray:
    """The inductive vector of a node's triples, all of which leave it, over a graph's vectors."""
    own = [(graph.relations.index(r), graph.entities.index(t), t) for h, r, t in triples if h == node]
    relations, tails, names = zip(*own, strict=True)
    degrees = np.array([sum(name in (head, tail) for head, _, tail in triples) for name in names])
    found = inductive(graph.vectors, graph.relation_weights, np.array(relations), np.array(tails), degrees)
    assert found is not None
    return found


def test_a_changed_node_moves_by_what_its_triples_say(folder: Path) -> None:
    before, now = read_graph_file(folder / "graph.npz"), [*TRIPLES, ("item0", "has_tag", "tag3")]
    _, graph = updated(folder, now)
    expected = vectors(before)["item0"] + by_triples(before, "item0", now) - by_triples(before, "item0", TRIPLES)
    np.testing.assert_allclose(vectors(graph)["item0"], expected / np.linalg.norm(expected), atol=1e-5)


def test_the_same_triples_change_nothing_and_again_neither(folder: Path, tmp_path: Path) -> None:
    before = read_graph_file(folder / "graph.npz")
    copy = Path(shutil.copy(folder / "graph.npz", tmp_path))
    for _ in range(2):
        report = update_graph(copy, triples=folder / "triples.tsv", names=folder / "names.tsv")
        assert (report.new, report.changed, report.unchanged, report.gone) == (0, 0, 39, 0)
        after = read_graph_file(copy)
        assert (after.entities, after.names, after.trained) == (before.entities, before.names, before.trained)
        assert after.vectors.tobytes() == before.vectors.tobytes()
        assert after.relation_weights is not None and before.relation_weights is not None
        assert after.relation_weights.tobytes() == before.relation_weights.tobytes()


def test_new_nodes_beside_new_nodes_come_one_after_the_other(folder: Path) -> None:
    chain = [("a", "near", "item0"), ("b", "near", "a"), ("c", "near", "b"), ("x", "near", "y")]
    report, graph = updated(folder, [*TRIPLES, *chain])
    found = vectors(graph)
    assert report.new == 3 and not {"x", "y"} & found.keys()
    assert report.problems == (("2 nodes", "nothing links them to what was trained (x, y): train again"),)
    np.testing.assert_allclose(found["b"], found["a"], atol=1e-5)
    np.testing.assert_allclose(found["c"], found["b"], atol=1e-5)
    assert graph.relation_weights is not None
    assert graph.relation_weights[graph.relations.index("near")].tolist() == [1] * 8, "what a training begins with"


def test_paths_and_typed_relations_know_the_facts_of_today(folder: Path) -> None:
    now = [triple for triple in TRIPLES if triple != ("item0", "made_by", "maker0")]
    _, graph = updated(folder, [*now, ("item0", "made_by", "maker9"), ("maker9", "near", "maker0")])
    encoder = GraphEncoder("graph", graph)
    ((first, *_),) = encoder.paths(["maker9"], [{"id": "item0"}], [])
    assert [(step.relation, step.direction, step.to.id) for step in first.steps] == [("made_by", "in", "item0")]
    (found,) = encoder.search("maker9", 1, [])
    assert {(tie.relation, tie.direction) for tie in found.ties} == {("made_by", "in"), ("near", "out")}
    assert encoder.encode_query(EntityTerm("maker9", "near", "out"))["graph"] @ vectors(graph)["maker0"] > 0.5
    with pytest.raises(BadTerm, match="no triple 'near' leaves 'maker0'"):
        encoder.encode_query(EntityTerm("maker0", "near", "out"))


def test_what_is_not_given_stays(folder: Path, tmp_path: Path) -> None:
    before = read_graph_file(folder / "graph.npz")
    _, graph = updated(folder, [*TRIPLES, ("new", "has_tag", "tag0")])
    assert {(n.language, n.text) for n in graph.names if graph.entities[n.entity] == "tag0"} == {
        ("en", "Oak"),
        ("de", "Eiche"),
    }
    assert [n.text for n in graph.names if graph.entities[n.entity] == "new"] == ["new"]
    names = write(tmp_path / "names.tsv", [("tag1", "en", "Ash")])
    report, graph = updated(folder, names=names)
    assert report.changed == report.new == report.gone == 0
    assert graph.triples.tolist() == before.triples.tolist()
    assert {n.text for n in graph.names if graph.entities[n.entity] in ("tag0", "tag1")} == {"tag0", "Ash"}


def test_users_come_and_stay(folder: Path, tmp_path: Path) -> None:
    before = read_graph_file(folder / "liked.npz")
    new = write(tmp_path / "done.tsv", [*DONE, ("99", "item1"), ("99", "item4"), ("0", "item29")])
    report, graph = updated(folder, model="liked", interactions=new)
    assert (report.new, report.changed, report.gone) == (1, 4, 0)
    encoder = GraphEncoder("graph", graph)
    assert encoder.seen("99") == ("item1", "item4")
    old = vectors(before)
    degrees = np.array([sum(item in triple for triple in (*TRIPLES, *DONE)) + 1 for item in ("item1", "item4")])
    near = (np.stack([old["item1"], old["item4"]]) / np.sqrt(degrees)[:, None]).sum(axis=0)
    np.testing.assert_allclose(encoder.encode_query(UserTerm("99"))["graph"], near / np.linalg.norm(near), atol=1e-5)
    report, graph = updated(folder, [*TRIPLES, ("item0", "near", "item1")], model="liked")
    assert graph.users == before.users and len(graph.interactions) == len(before.interactions)
    assert not any(name.text.startswith("user:") for name in graph.names)


def test_what_cannot_be_updated_is_refused_and_stays_as_it_is(folder: Path, tmp_path: Path) -> None:
    triples = folder / "triples.tsv"
    cases: list[tuple[Path, dict[str, Any], type[Exception], str]] = [
        (folder / "graph.npz", {}, BadInput, "name what has changed"),
        (folder / "links.npz", {"triples": triples}, BadInput, "distmult predicts links"),
        (folder / "absent.npz", {"triples": triples}, EncoderError, "no such graph"),
        (triples, {"triples": triples}, EncoderError, "not a graph"),
        (folder / "graph.npz", {"triples": tmp_path / "absent.tsv"}, BadInput, "cannot be read"),
        (folder / "graph.npz", {"triples": write(tmp_path / "empty.tsv", [])}, BadInput, "no triple"),
    ]
    for model, files, error, said in cases:
        before = model.read_bytes() if model.is_file() else None
        with pytest.raises(error, match=said):
            update_graph(model, **files)
        assert (model.read_bytes() if model.is_file() else None) == before


def test_it_needs_neither_torch_nor_dgl() -> None:
    program = (
        "import sys; from encoders.training.update import update_graph\n"
        "assert not {'torch', 'dgl', 'scipy'} & set(sys.modules), 'heavy imports'\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=Path(__file__).parents[2], timeout=60)


def test_the_settings_tell_the_training(folder: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copy(folder / "graph.npz", tmp_path))
    update_graph(copy, triples=folder / "triples.tsv")
    with np.load(copy) as file, np.load(folder / "graph.npz") as before:
        told = json.loads(str(file["settings"]))
        assert told.pop("trained") == read_graph_file(folder / "graph.npz").trained
        assert told == json.loads(str(before["settings"]))

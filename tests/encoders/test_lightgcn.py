"""Training on what users did: two tastes, and something that everybody likes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from encoders.graph import GraphEncoder
from encoders.parts.graph_file import read_graph_file
from encoders.training.graph import TrainingReport, train_graph
from es_mappings.types import UserTerm

USERS, ITEMS, EACH = 40, 20, 7


def lines() -> list[str]:
    random = np.random.default_rng(0)
    own = {user: random.choice(ITEMS, EACH, replace=False) for user in range(USERS)}
    return [f"{user}\t{'ab'[user % 2]}{item}\t1\t{time}" for user in own for time, item in enumerate(own[user])]


@pytest.fixture(scope="module")
def interactions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("interactions") / "interactions.tsv"
    path.write_text("\n".join(lines()), "utf-8")
    return path


def train(interactions: Path, output: Path, **options: Any) -> TrainingReport:
    return train_graph(None, None, output, interactions=interactions, dims=16, progress=False, **options)


@pytest.fixture(scope="module")
def trained(interactions: Path) -> tuple[TrainingReport, GraphEncoder]:
    output = interactions.with_name("graph.npz")
    return train(interactions, output), GraphEncoder("graph", read_graph_file(output))


def liked(encoder: GraphEncoder, user: int, items: Sequence[str]) -> list[str]:
    vectors = encoder.graph.vectors[[encoder.graph.entities.index(item) for item in items]]
    cosines = vectors @ encoder.encode_query(UserTerm(str(user)))["graph"]
    return [items[position] for position in np.argsort(-cosines)]


def test_a_user_is_nearest_to_items_of_the_same_taste(trained: tuple[TrainingReport, GraphEncoder]) -> None:
    _, encoder = trained
    items = [entity for entity in encoder.graph.entities if entity[0] in "ab"]
    same = []
    for user in range(USERS):
        unseen = [item for item in liked(encoder, user, items) if item not in encoder.seen(str(user))]
        same += [item[0] == "ab"[user % 2] for item in unseen[:8]]
    assert np.mean(same) > 0.95


def test_what_everybody_likes_is_near_to_everybody(tmp_path: Path) -> None:
    path, output = tmp_path / "interactions.tsv", tmp_path / "graph.npz"
    path.write_text("\n".join([*lines(), *(f"{user}\tc0\t1\t-1" for user in range(0, USERS, 3))]), "utf-8")
    train(path, output)
    encoder = GraphEncoder("graph", read_graph_file(output))
    others = [user for user in range(USERS) if user % 3]
    items = [entity for entity in encoder.graph.entities if not entity.startswith("user:")]
    unseen = {user: [i for i in liked(encoder, user, items) if i not in encoder.seen(str(user))] for user in others}
    assert np.mean([unseen[user].index("c0") for user in others]) < len(items) / 4


def test_the_report_tells_users_and_how_well_their_last_items_are_found(
    trained: tuple[TrainingReport, GraphEncoder],
) -> None:
    report, encoder = trained
    assert (report.users, report.triples) == (USERS, USERS * EACH)
    assert len(encoder.graph.users) == USERS and encoder.graph.relations == ("interacted",)
    assert report.mrr is not None and 0 < report.mrr <= 1
    assert encoder.graph.relation_weights is None


def test_one_seed_gives_the_same_file(trained: tuple[TrainingReport, GraphEncoder], interactions: Path) -> None:
    again = interactions.with_name("again.npz")
    train(interactions, again)
    assert again.read_bytes() == interactions.with_name("graph.npz").read_bytes()


def test_either_model_trains_either_graph(interactions: Path, tmp_path: Path) -> None:
    train(interactions, tmp_path / "distmult.npz", model="cosine-distmult")
    weights = read_graph_file(tmp_path / "distmult.npz").relation_weights
    assert weights is not None and weights.shape == (1, 16)
    triples = tmp_path / "triples.tsv"
    triples.write_text("".join(f"a{n}\thas\ttag:a\nb{n}\thas\ttag:b\n" for n in range(ITEMS)), "utf-8")
    train_graph(triples, None, tmp_path / "facts.npz", model="lightgcn", dims=16, epochs=10, progress=False)
    graph = read_graph_file(tmp_path / "facts.npz")
    tag, own, other = (graph.vectors[graph.entities.index(name)] for name in ("tag:a", "a3", "b3"))
    assert tag @ own > tag @ other + 0.5


def test_weights_decide_what_training_cares_for(tmp_path: Path) -> None:
    """All users have the same two items: only the weights tell who likes which."""
    path, output = tmp_path / "interactions.tsv", tmp_path / "graph.npz"
    loved = {str(user): "xy"[user % 2] for user in range(20)}
    lines = [f"{user}\t{item}\t{1000 if item == loved[user] else 1}\n" for user in loved for item in "xy"]
    path.write_text("".join(lines), "utf-8")
    train(path, output, epochs=40)
    encoder = GraphEncoder("graph", read_graph_file(output))
    assert all(liked(encoder, int(user), "xy")[0] == item for user, item in loved.items())

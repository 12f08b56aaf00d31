"""Training on what users did: two tastes, and things that everybody likes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from encoders.graph import GraphEncoder, read_graph_file
from encoders.training.graph import TrainingReport, train_graph
from es_mappings.types import UserTerm

USERS, ITEMS, EACH = 40, 20, 7


@pytest.fixture(scope="module")
def interactions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    random = np.random.default_rng(0)
    lines = []
    for user in range(USERS):
        own = [f"{'ab'[user % 2]}{number}" for number in random.choice(ITEMS, EACH, replace=False)]
        lines += [f"{user}\t{item}\t1\t{time}" for time, item in enumerate([*own, "everybody's"])]
    path = tmp_path_factory.mktemp("interactions") / "interactions.tsv"
    path.write_text("\n".join(lines), "utf-8")
    return path


def train(interactions: Path, output: Path, **options: object) -> TrainingReport:
    return train_graph(
        None, None, output, interactions=interactions, dims=16, epochs=20, progress=False, **options  # type: ignore[arg-type]
    )  # fmt: skip


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
    assert np.mean(same) > 0.9


def test_what_everybody_likes_comes_before_what_few_do(trained: tuple[TrainingReport, GraphEncoder]) -> None:
    _, encoder = trained
    items = [entity for entity in encoder.graph.entities if not entity.startswith("user:")]
    assert np.mean([liked(encoder, user, items).index("everybody's") for user in range(USERS)]) <= EACH


def test_the_report_tells_users_and_how_well_their_last_items_are_found(
    trained: tuple[TrainingReport, GraphEncoder],
) -> None:
    report, encoder = trained
    assert (report.users, report.triples) == (USERS, USERS * (EACH + 1))
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
    """Two users with the same items, one of which each likes a thousand times as much as the other."""
    found = {}
    for loved in ("x", "y"):
        path = tmp_path / f"{loved}.tsv"
        path.write_text("".join(f"u{n}\t{item}\t{1000 if item == loved else 1}\n" for n in range(8) for item in "xy"))
        train(path, tmp_path / "graph.npz")
        encoder = GraphEncoder("graph", read_graph_file(tmp_path / "graph.npz"))
        user = encoder.encode_query(UserTerm("u0"))["graph"]
        x, y = (encoder.graph.vectors[encoder.graph.entities.index(item)] @ user for item in "xy")
        found[loved] = x - y
    assert found["x"] > 0 > found["y"]

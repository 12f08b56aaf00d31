"""What the minibatches of sampled training hold, and that known answers are no negatives."""

from __future__ import annotations

from typing import Any

import dgl
import numpy as np
import pytest
import torch

from encoders.training.graph.edges import KnownEdges, two_way
from encoders.training.graph.network import LinkNetwork
from encoders.training.graph.objectives import SampledEntities
from encoders.training.graph.recipes import RECIPES
from encoders.training.graph.reproduce import reproducible

TRIPLES = np.array([(i, i % 2, 20 + j) for i in range(20) for j in range(6)], dtype=np.int64)
ENTITIES, RELATIONS = 26, 2


def test_messages_never_come_over_the_edges_that_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    batches: list[tuple[Any, list[Any]]] = []

    def look(_: SampledEntities, sources: Any, positive: Any, negative: Any, blocks: list[Any]) -> None:
        batches.append((positive, blocks))

    monkeypatch.setattr(SampledEntities, "_loss", look)
    graph = two_way(TRIPLES, ENTITIES, RELATIONS)
    with reproducible(0):
        network = LinkNetwork(ENTITIES, RELATIONS, 4, RECIPES["compgcn"])
        list(SampledEntities(network, RECIPES["compgcn"], graph)())
    asked_in_all = []
    for positive, blocks in batches:
        asked = positive.edata[dgl.EID]
        reverse = (asked + len(TRIPLES)) % (2 * len(TRIPLES))
        heard = torch.cat([block.edata[dgl.EID] for block in blocks])
        assert len(heard) and not torch.isin(heard, torch.cat([asked, reverse])).any()
        asked_in_all.append(asked)
    assert torch.cat(asked_in_all).sort().values.tolist() == list(range(2 * len(TRIPLES)))


def test_an_entity_whose_rivals_are_all_true_learns_nothing_from_them() -> None:
    # Two entities and all four triples: whatever is drawn as a negative is known.
    triples = np.array([(h, 0, t) for h in range(2) for t in range(2)], dtype=np.int64)
    graph = two_way(triples, 2, 1)
    with reproducible(0):
        recipe = RECIPES["distmult"]
        network = LinkNetwork(2, 1, 4, recipe)
        with torch.no_grad():
            network.entities.weight.fill_(30)
            network.relations.weight.fill_(1)
        network.eval()
        losses = [loss.item() - recipe.n3 * (4 * (2 * 30**3 + 1)) for loss in SampledEntities(network, recipe, graph)()]
    assert losses == pytest.approx([0] * len(losses), abs=0.1), "every score is high, and no false one among them"


def test_edges_that_a_graph_has_are_known_in_their_direction() -> None:
    known = KnownEdges(two_way(np.array([(0, 0, 1), (2, 1, 0)], dtype=np.int64), 3, 2))
    found = {
        (source, slot, target)
        for source in range(3)
        for slot in range(4)
        for target in range(3)
        if known(torch.tensor(source), torch.tensor(slot), torch.tensor(target))
    }
    assert found == {(0, 0, 1), (1, 2, 0), (2, 1, 0), (0, 3, 2)}

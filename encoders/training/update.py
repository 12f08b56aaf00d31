"""Taking a trained graph to the triples of today without training it again.

Nodes whose triples are those of before keep their vectors, byte for byte. One that is new has the vector of
`encoders.parts.inductive` by its neighbours; neighbours that are new themselves come first where they are nearer to
what was trained. One that has won or lost triples moves by what these say:

    v' = unit(v + a' - a)          a, a' the inductive vector of the triples before, and of those now

so that what training knew beyond the triples stays. `benchmarks/graph_update.py` compares it with training again.
Needs numpy only.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from encoders.parts.arrays import mapped_arrays
from encoders.parts.graph_file import TRAINED, GraphFile, read_graph_file
from encoders.parts.inductive import direction, inductive
from encoders.parts.paths import Adjacency
from encoders.parts.users import INTERACTED, user_entity
from encoders.training.lines import Done, Problem, Row, interactions_in, rows_in, triples_in
from encoders.training.saving import save
from encoders.training.triples import KnowledgeGraph, Triples, numbered_graph
from es_mappings.errors import BadInput
from es_mappings.types import Matrix, Vector


@dataclass(frozen=True, slots=True)
class UpdateReport:
    """How many nodes are new, have other triples than before, are just as before, and are not there any more.

    triples: of the graph as it is now. problems: what was left out: lines, and nodes that nothing links to the others.
    """

    new: int
    changed: int
    unchanged: int
    gone: int
    triples: int
    problems: tuple[Problem, ...]


def update_graph(
    model: Path, *, triples: Path | None = None, names: Path | None = None, interactions: Path | None = None
) -> UpdateReport:
    """Replace a trained graph, in one step, by that of today in the same space. What is not given stays as it is.

    Raises EncoderError when `model` is no trained graph; BadInput when it is one that predicts links, when nothing is
    given, and for a file that cannot be read.
    """
    if triples is None and names is None and interactions is None:
        raise BadInput("name what has changed: triples, names or interactions")
    old = read_graph_file(model)
    settings = json.loads(str(mapped_arrays(model)["settings"]))
    if "link_entities" in mapped_arrays(model):
        raise BadInput(
            f"{model}: {settings.get('model')} predicts links; to such a graph nothing can be added: train it"
        )
    problems: list[Problem] = []
    graph = numbered_graph(
        triples_in(triples, problems) if triples else _facts(old),
        interactions_in(interactions, problems) if interactions else _interactions(old),
        rows_in(names, problems) if names else _names(old),
        problems,
    )
    both = _Both(old, graph)
    vectors, lost = both.vectors_of_today()
    if lost.any():
        some = ", ".join(graph.entities[number] for number in np.flatnonzero(lost)[:3])
        problems.append((f"{lost.sum()} nodes", f"nothing links them to what was trained ({some}): train again"))
        graph = graph.without(lost)
    relations = {"relation_vectors": both.weights[: len(graph.relations)]}
    save(model, graph, settings | {TRAINED: old.trained}, {"vectors": vectors[~lost], **relations})
    was_there, is_touched = both.was_there[: both.today], both.is_touched[: both.today]
    return UpdateReport(
        new=int((~was_there & ~lost).sum()),
        changed=int((was_there & is_touched).sum()),
        unchanged=int((was_there & ~is_touched).sum()),
        gone=len(old.entities) - int(was_there.sum()),
        triples=len(graph.triples),
        problems=tuple(problems),
    )


# --- the graph of before, as if it were read from files


def _facts(old: GraphFile) -> Iterator[Row]:
    for head, relation, tail in old.triples.tolist():
        yield old.entities[head], old.relations[relation], old.entities[tail]


def _interactions(old: GraphFile) -> Iterator[Done]:
    beginning = user_entity("")
    for user, item in old.interactions.tolist():
        yield old.entities[user].removeprefix(beginning), old.entities[item], 1.0, -math.inf


def _names(old: GraphFile) -> Iterator[Row]:
    for name in old.names:
        yield old.entities[name.entity], name.language, name.text


# --- from the vectors of before to those of today


class _Both:
    """The graph of before and that of today by the same numbers: today's, then those of what is gone.

    today: how many entities there are today. was_there: (n,) which ones were there before. is_touched: (n,) which ones
    have won or lost a triple. weights: (r, dims) of the relations; a new one has 1, what a training begins with.
    """

    def __init__(self, old: GraphFile, graph: KnowledgeGraph) -> None:
        numbers = _numbers(graph.entities, old.entities)
        kinds = _numbers(graph.relations, old.relations)
        places = np.array([numbers[entity] for entity in old.entities], dtype=np.int64)
        rows = np.array([kinds[relation] for relation in old.relations], dtype=np.int64)
        heads, relations, tails = _all_triples(old).T
        before = np.stack([places[heads], rows[relations], places[tails]], axis=1)
        self.today = len(graph.entities)
        self.was_there = np.zeros(len(numbers), dtype=np.bool_)
        self.was_there[places] = True
        self.is_touched = np.zeros(len(numbers), dtype=np.bool_)
        self.is_touched[_ends_of_changes(before, graph.triples, len(numbers), len(kinds))] = True
        self.weights = np.ones((len(kinds), old.vectors.shape[1]), dtype=np.float32)
        if old.relation_weights is not None:
            self.weights[rows] = old.relation_weights
        self._has_weights = old.relation_weights is not None
        self._old_vectors = np.zeros((len(numbers), old.vectors.shape[1]), dtype=np.float32)
        self._old_vectors[places] = old.vectors
        self._triples = graph.triples
        self._before, self._now = Adjacency(before, len(numbers)), Adjacency(graph.triples, len(numbers))

    def vectors_of_today(self) -> tuple[Matrix, NDArray[np.bool_]]:
        """Vectors (today, dims), and for which of them (today,) there is none, and zeros are in its place."""
        vectors = self._old_vectors.copy()
        placed = self.was_there.copy()
        heads, _, tails = self._triples.T
        while True:  # those beside what has a vector, then those beside them
            near = np.zeros(len(placed), dtype=np.bool_)
            near[heads[placed[tails]]] = near[tails[placed[heads]]] = True
            ready = np.flatnonzero(near & ~placed).tolist()
            found = {n: v for n in ready if (v := self._inductive(n, self._now, vectors, placed)) is not None}
            for number, vector in found.items():
                vectors[number], placed[number] = vector, True
            if not found:
                break
        changed = np.flatnonzero((self.was_there & self.is_touched)[: self.today]).tolist()
        moved = {number: self._moved(number, vectors, placed) for number in changed}
        for number, vector in moved.items():
            vectors[number] = vector
        return vectors[: self.today], ~placed[: self.today]

    def _moved(self, number: int, vectors: Matrix, placed: NDArray[np.bool_]) -> Vector:
        vector: Vector = self._old_vectors[number]
        before = self._inductive(number, self._before, self._old_vectors, self.was_there)
        now = self._inductive(number, self._now, vectors, placed)
        if before is None or now is None:
            return vector if now is None else now
        found = direction(vector + now - before)
        return vector if found is None else found

    def _inductive(
        self, number: int, adjacency: Adjacency, vectors: Matrix, placed: NDArray[np.bool_]
    ) -> Vector | None:
        edges = adjacency.of(number)
        edges = edges.take(placed[edges.after])
        weights = self.weights if self._has_weights else None
        return inductive(vectors, weights, edges.relation, edges.after, adjacency.degrees(edges.after))


def _numbers(first: Sequence[str], second: Sequence[str]) -> dict[str, int]:
    return {name: number for number, name in enumerate(dict.fromkeys([*first, *second]))}


def _all_triples(old: GraphFile) -> Triples:
    """Facts, then interactions."""
    done = old.interactions.astype(np.int64)
    relation = old.relations.index(INTERACTED) if len(done) else 0
    return np.concatenate([old.triples, np.insert(done, 1, relation, axis=1)]).astype(np.int64)


def _ends_of_changes(before: Triples, now: Triples, entities: int, relations: int) -> NDArray[np.int64]:
    """The entities of the triples that only one of the two has."""
    keys = [(heads * relations + kinds) * entities + tails for heads, kinds, tails in (before.T, now.T)]
    changes = np.setxor1d(*keys)
    return np.concatenate([changes // (relations * entities), changes % entities])

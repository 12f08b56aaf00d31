"""Train the vectors of a knowledge graph with DGL and save them as a plain `.npz`.

The model of a graph of facts is DistMult (Yang et al. 2015, "Embedding Entities and Relations for Learning and
Inference in Knowledge Bases", arXiv:1412.6575) with two restrictions that make the cosine of two entities meaningful by
itself, which a search engine needs, since it knows no relations:

- entities are unit vectors u, and the score of a triple is  f(h, r, t) = s * sum_i w_ri u_hi u_ti;
- the relation weights w_r are positive (softplus), so every relation is an inner product that agrees with the cosine
  up to a stretching of the axes. Two items that share a tag both lie near the tag, hence near each other.

Both ends of every triple are predicted (the DGL graph holds each triple in both directions) against negatives that
were seen at the same end of the same relation (Krompass et al. 2015, "Type-Constrained Representation Learning in
Knowledge Graphs", arXiv:1508.02593): a tag must be told from other tags, not from items. The loss is the sampled
softmax (InfoNCE, van den Oord et al. 2018, arXiv:1807.03748), with negatives that are known triples left out.

What is saved is not u itself but u plus the symmetrically normalised mean of the neighbours,
    v_i = unit(u_i + unit(sum_j u_j / sqrt(deg_j)))          j over the neighbours of i
one step of the propagation of LightGCN (He et al. 2020, arXiv:2002.02126): items that share neighbours come closer,
rare neighbours count for more than ones that everybody has, and a triple that training fitted badly still counts.

A graph with interactions is trained by `encoders.training.lightgcn`, unless another model is asked for.
"""

from __future__ import annotations

import json
import os
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

from encoders.training.edges import EID, NEGATIVES, Triples, Weights, batches, edge_keys, sum_around, two_way
from encoders.training.lightgcn import LightGCN
from encoders.training.triples import KnowledgeGraph, Name, Problem, read_graph
from es_mappings.errors import BadInput
from es_mappings.types import Matrix

ModelName = Literal["cosine-distmult", "lightgcn"]
COSINE: ModelName = "cosine-distmult"
LIGHTGCN: ModelName = "lightgcn"

SCALE = 6.0
"""s above: the inverse temperature of the softmax."""
LEARNING_RATE = 0.02
HELD_OUT_SHARE, HELD_OUT_MOST = 0.05, 200


@dataclass(frozen=True, slots=True)
class TrainingReport:
    """What a training did.

    loss: mean sampled softmax of the last epoch, in nats. mrr: mean reciprocal rank of held-out triples by the
    cosine of such vectors as are saved, see `_mrr`; None where the graph is too small to hold any out.
    problems: the lines of the files that were left out.
    """

    entities: int
    relations: int
    triples: int
    users: int
    epochs: int
    loss: float
    mrr: float | None
    seconds: float
    problems: tuple[Problem, ...]


class Model(Protocol):
    """What learns the vectors of numbered entities and relations."""

    epochs: ClassVar[int]
    """As many are best, before what was held out is learnt."""
    settings: dict[str, Any]
    """What it was told, for the file."""

    def fit(self, triples: Triples, weights: Weights, epochs: int, bar: Any) -> float:
        """Train for some epochs; the mean loss of the last one. weights: what each triple counts for."""

    def vectors(self, triples: Triples) -> Matrix:
        """The vectors to search with, shape (n, dims), unit length."""

    def relation_weights(self) -> Tensor:
        """Positive weights, shape (r, dims)."""


def train_graph(
    triples: Path | None,
    names: Path | None,
    output: Path,
    *,
    interactions: Path | None = None,
    model: ModelName | None = None,
    dims: int = 128,
    epochs: int | None = None,
    seed: int = 0,
    progress: bool = True,
) -> TrainingReport:
    """Train on triples, interactions or both and save the vectors, replacing `output` in one step.

    One seed gives the same bytes. model: None is LIGHTGCN where there are interactions, else COSINE. epochs: None is as
    many as that model is best after. names: None names every entity by its id. A few triples are held out for the first
    `epochs`, measured, and learnt in the last fifth of the training, which comes on top.

    The file holds numpy arrays (no pickle):
    entities, relations            ids as text, (n,) and (r,)
    vectors                        (n, dims) float32, unit length: v of the model, made to be compared by cosine
    relation_vectors               (r, dims) float32: the weights w of COSINE, else 1
    triples                        (m, 3) int32: numbers of head entity, relation, tail entity
    users                          (u,) int32: the entities that are users
    name_entity                    (k,) int32: the entity of a name; one without names, if no user, is named by its id
    name_language, name_text       (k,) text
    settings                       a JSON text: what the training was told

    Raises BadInput when the files hold no triples, cannot be read, or dims or epochs are not positive.
    """
    if dims < 1 or (epochs is not None and epochs < 1):
        raise BadInput("training a graph needs at least one dimension and one epoch")
    start = time.monotonic()
    graph = read_graph(triples, names, interactions)
    name = model or (LIGHTGCN if graph.users else COSINE)
    epochs = epochs or MODELS[name].epochs
    with _reproducible(seed):
        trained: Model = MODELS[name](len(graph.entities), len(graph.relations), dims)
        held_out = _held_out(graph, np.random.default_rng(seed))
        train = graph.triples[~held_out]
        last = -(-epochs // 4) if held_out.any() else 0
        with tqdm(total=epochs + last, desc="graph", unit="epoch", disable=not progress) as bar:
            loss = trained.fit(train, graph.weights[~held_out], epochs, bar)
            mrr = _mrr(trained.vectors(train), graph, graph.triples[held_out]) if held_out.any() else None
            if last:
                loss = trained.fit(graph.triples, graph.weights, last, bar)
        vectors, relation_vectors = trained.vectors(graph.triples), trained.relation_weights().detach().numpy()
    settings = {"model": name, "dims": dims, "epochs": epochs, "seed": seed} | trained.settings
    _save(output, graph, vectors, relation_vectors, settings)
    return TrainingReport(
        entities=len(graph.entities),
        relations=len(graph.relations),
        triples=len(graph.triples),
        users=len(graph.users),
        epochs=epochs + last,
        loss=loss,
        mrr=mrr,
        seconds=time.monotonic() - start,
        problems=graph.problems,
    )


class CosineDistMult:
    """Entities (n, dims) and relations (r, dims); gradients are sparse: a step costs what its batch holds."""

    epochs: ClassVar[int] = 30

    def __init__(self, entities: int, relations: int, dims: int) -> None:
        self.settings = {"scale": SCALE, "negatives": NEGATIVES, "learning_rate": LEARNING_RATE}
        self.entities = torch.nn.Embedding(entities, dims, sparse=True)
        self.relations = torch.nn.Parameter(torch.zeros(relations, dims))
        self._optimizers: list[torch.optim.Optimizer] = [
            torch.optim.SparseAdam(list(self.entities.parameters()), lr=LEARNING_RATE),
            torch.optim.Adam([self.relations], lr=LEARNING_RATE),
        ]

    def relation_weights(self) -> Tensor:
        """Positive weights, shape (r, dims); a fresh parameter of 0 gives 1."""
        return functional.softplus(self.relations + float(np.log(np.e - 1)))

    def fit(self, triples: Triples, weights: Weights, epochs: int, bar: Any) -> float:
        """Train for some epochs; the mean loss of the last one. weights: what each triple counts for."""
        graph = two_way(triples, self.entities.num_embeddings, len(self.relations))
        graph.edata["weight"] = torch.from_numpy(weights).repeat(2)
        heads, tails = graph.edges()
        known = torch.sort(edge_keys(heads, tails, graph.edata["slot"], graph)).values
        loader = batches(graph)
        loss = 0.0
        for _ in range(epochs):
            loss = float(np.mean([self._step(graph, known, *batch[:3]) for batch in loader]))
            bar.set_postfix(loss=f"{loss:.3f}", refresh=False)
            bar.update()
        return loss

    def _step(self, graph: Any, known: Tensor, nodes: Tensor, positive: Any, negative: Any) -> float:
        """One minibatch of b edges and b * NEGATIVES corrupted ones over the given nodes; its loss."""
        edges = positive.edata[EID]
        slots, counts = graph.edata["slot"][edges], graph.edata["weight"][edges]
        heads, tails = positive.edges()
        # The corrupted edges of one edge lie behind each other and keep its head, see _SameSlot.
        heads_again, others = negative.edges()
        vectors = functional.normalize(self.entities(nodes), dim=1)
        weights = functional.embedding(slots % len(self.relations), self.relation_weights())
        asked = SCALE * weights * functional.embedding(heads, vectors)
        good = (asked * functional.embedding(tails, vectors)).sum(dim=1, keepdim=True)
        bad = torch.einsum("bd,bkd->bk", asked, functional.embedding(others.view(-1, NEGATIVES), vectors))
        keys = edge_keys(nodes[heads_again], nodes[others], slots.repeat_interleave(NEGATIVES), graph)
        place = torch.searchsorted(known, keys).clamp(max=len(known) - 1)
        bad = bad.masked_fill((known[place] == keys).view_as(bad), -torch.inf)
        logits = torch.cat([good, bad], dim=1)
        losses = functional.cross_entropy(logits, torch.zeros(len(logits), dtype=torch.long), reduction="none")
        loss: Tensor = (losses * counts).sum() / counts.sum()
        for optimizer in self._optimizers:
            optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        for optimizer in self._optimizers:
            optimizer.step()
        return loss.item()

    def vectors(self, triples: Triples) -> Matrix:
        """The vectors to search with, v of the module's docstring; shape (n, dims), unit length."""
        graph = two_way(triples, self.entities.num_embeddings, len(self.relations))
        own = functional.normalize(self.entities.weight.detach(), dim=1)
        degrees = graph.in_degrees().clamp(min=1).to(own.dtype)
        near = sum_around(graph, own / degrees.sqrt()[:, None])
        smooth = functional.normalize(own + functional.normalize(near, dim=1), dim=1)
        # An entity opposed to all its neighbours would vanish; it keeps its own direction.
        kept = torch.where(smooth.norm(dim=1, keepdim=True) > 0.5, smooth, own)
        return np.ascontiguousarray(kept.numpy(), dtype=np.float32)


# --- held-out triples ----------------------------------------------------------------------------------------


MODELS: dict[ModelName, type[CosineDistMult] | type[LightGCN]] = {COSINE: CosineDistMult, LIGHTGCN: LightGCN}


def _held_out(graph: KnowledgeGraph, random: np.random.Generator) -> NDArray[np.bool_]:
    """A few triples to hold out, none of which is the last one of either of its entities; shape (m,).

    Of users what they did last: what somebody will do next is what a recommendation has to know.
    """
    triples = graph.triples
    most = min(int(len(triples) * HELD_OUT_SHARE), HELD_OUT_MOST)
    degrees = np.bincount(triples[:, [0, 2]].ravel(), minlength=len(graph.entities))
    held = np.zeros(len(triples), dtype=bool)
    for index in random.permutation(_latest(graph) if graph.users else len(triples)):
        if held.sum() >= most:
            break
        head, _, tail = triples[index]
        if min(degrees[head], degrees[tail]) > 1 and head != tail:
            degrees[[head, tail]] -= 1
            held[index] = True
    return held


def _latest(graph: KnowledgeGraph) -> NDArray[np.int64]:
    """The last interaction of each user: the latest, of several the one that the file has last."""
    rows: NDArray[np.int64] = np.flatnonzero(graph.interactions)
    rows = rows[np.lexsort((rows, graph.times[rows], graph.triples[rows, 0]))]
    users = graph.triples[rows, 0]
    last: NDArray[np.int64] = rows[np.append(users[1:] != users[:-1], True)]
    return last


def _mrr(vectors: Matrix, graph: KnowledgeGraph, held_out: Triples) -> float:
    """Filtered mean reciprocal rank of both ends of the held-out triples, by cosine (Bordes et al. 2013).

    Candidates are the entities seen at that end of the relation; other known answers are left out.
    """
    ranks: list[int] = []
    for relation in np.unique(held_out[:, 1]):
        same = graph.triples[graph.triples[:, 1] == relation]
        for end, other in ((2, 0), (0, 2)):
            for triple in held_out[held_out[:, 1] == relation]:
                is_rival = np.zeros(len(vectors), dtype=bool)
                is_rival[same[:, end]] = True
                is_rival[same[same[:, other] == triple[other], end]] = False
                cosines = vectors @ vectors[triple[other]]
                ranks.append(1 + int((cosines[is_rival] > cosines[triple[end]]).sum()))
    return float(np.mean(1 / np.array(ranks)))


# --- files and global state ----------------------------------------------------------------------------------


def _save(
    output: Path, graph: KnowledgeGraph, vectors: Matrix, relation_vectors: Matrix, settings: dict[str, Any]
) -> None:
    # A user without a name has none, so that nobody finds people by typing.
    named = {name.entity for name in graph.names} | set(graph.users)
    names = graph.names + tuple(Name(i, "", e) for i, e in enumerate(graph.entities) if i not in named)
    output.parent.mkdir(parents=True, exist_ok=True)
    part = output.with_name(f"{output.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            np.savez(
                file,
                entities=np.array(graph.entities, dtype=np.str_),
                vectors=vectors,
                relations=np.array(graph.relations, dtype=np.str_),
                relation_vectors=relation_vectors,
                triples=graph.triples.astype(np.int32),
                users=np.array(graph.users, dtype=np.int32),
                name_entity=np.array([name.entity for name in names], dtype=np.int32),
                name_language=np.array([name.language for name in names], dtype=np.str_),
                name_text=np.array([name.text for name in names], dtype=np.str_),
                settings=np.array(json.dumps(settings, sort_keys=True)),
            )
        part.replace(output)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def _reproducible(seed: int) -> Iterator[None]:
    """Seed the global generators that torch and dgl's loader draw from, use one thread, put everything back.

    One thread, because sums then have one order, and because two on a shared machine can be far slower.
    """
    threads, state = torch.get_num_threads(), np.random.get_state()
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*CPU affinity.*")
        torch.manual_seed(seed)
        np.random.seed(seed % 2**32)
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(threads)
            np.random.set_state(state)

"""Train the vectors of a knowledge graph with DGL and save them as a plain `.npz`; the one module that imports dgl.

The model is DistMult (Yang et al. 2015, "Embedding Entities and Relations for Learning and Inference in
Knowledge Bases", arXiv:1412.6575) with two restrictions that make the cosine of two entities meaningful by itself,
which a search engine needs, since it knows no relations:

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
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

from encoders.training.triples import KnowledgeGraph, Name, Problem, read_graph
from es_mappings.errors import BadInput
from es_mappings.types import Matrix

os.environ.setdefault("DGLBACKEND", "pytorch")  # else dgl asks, and writes its answer into the user's home
import dgl

Triples = NDArray[np.int64]

SCALE = 6.0
"""s above: the inverse temperature of the softmax."""
NEGATIVES = 32
"""Negative triples per positive one."""
LEARNING_RATE = 0.02
LARGEST_BATCH, SMALLEST_BATCH, STEPS_PER_EPOCH = 1024, 32, 8
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
    epochs: int
    loss: float
    mrr: float | None
    seconds: float
    problems: tuple[Problem, ...]


def train_graph(
    triples: Path,
    names: Path | None,
    output: Path,
    *,
    dims: int = 128,
    epochs: int = 30,
    seed: int = 0,
    progress: bool = True,
) -> TrainingReport:
    """Train on the triples and save the vectors, replacing `output` in one step; one seed, the same bytes.

    A few triples are held out for the first `epochs`, measured, and learnt in the last fifth of the training, which
    comes on top. names: None names every entity by its id.

    The file holds numpy arrays (no pickle):
    entities, relations            ids as text, (n,) and (r,)
    vectors                        (n, dims) float32, unit length: v of this module, made to be compared by cosine
    relation_vectors               (r, dims) float32: the weights w
    triples                        (m, 3) int32: numbers of head entity, relation, tail entity
    name_entity                    (k,) int32: the entity of a name; an entity without names is named by its id
    name_language, name_text       (k,) text
    settings                       a JSON text: what the training was told

    Raises BadInput when the files hold no triples, cannot be read, or dims or epochs are not positive.
    """
    if dims < 1 or epochs < 1:
        raise BadInput("training a graph needs at least one dimension and one epoch")
    start = time.monotonic()
    graph = read_graph(triples, names)
    with _reproducible(seed):
        model = _Model(len(graph.entities), len(graph.relations), dims)
        train, held_out = _split(graph, np.random.default_rng(seed))
        last = -(-epochs // 4) if len(held_out) else 0
        with tqdm(total=epochs + last, desc="graph", unit="epoch", disable=not progress) as bar:
            loss = model.fit(train, epochs, bar)
            mrr = _mrr(model.vectors(train), graph, held_out) if len(held_out) else None
            if last:
                loss = model.fit(graph.triples, last, bar)
        vectors, relation_vectors = model.vectors(graph.triples), model.relation_weights().detach().numpy()
    settings = {"model": "cosine-distmult", "dims": dims, "epochs": epochs, "seed": seed, "scale": SCALE,
                "negatives": NEGATIVES, "learning_rate": LEARNING_RATE}  # fmt: skip
    _save(output, graph, vectors, relation_vectors, settings)
    return TrainingReport(
        entities=len(graph.entities),
        relations=len(graph.relations),
        triples=len(graph.triples),
        epochs=epochs + last,
        loss=loss,
        mrr=mrr,
        seconds=time.monotonic() - start,
        problems=graph.problems,
    )


class _Model:
    """Entities (n, dims) and relations (r, dims); gradients are sparse: a step costs what its batch holds."""

    def __init__(self, entities: int, relations: int, dims: int) -> None:
        self.entities = torch.nn.Embedding(entities, dims, sparse=True)
        self.relations = torch.nn.Parameter(torch.zeros(relations, dims))
        self._optimizers: list[torch.optim.Optimizer] = [
            torch.optim.SparseAdam(list(self.entities.parameters()), lr=LEARNING_RATE),
            torch.optim.Adam([self.relations], lr=LEARNING_RATE),
        ]

    def relation_weights(self) -> Tensor:
        """Positive weights, shape (r, dims); a fresh parameter of 0 gives 1."""
        return functional.softplus(self.relations + float(np.log(np.e - 1)))

    def fit(self, triples: Triples, epochs: int, bar: Any) -> float:
        """Train for some epochs; the mean loss of the last one."""
        graph = _two_way(triples, self.entities.num_embeddings, len(self.relations))
        heads, tails = graph.edges()
        known = torch.sort(_keys(heads, tails, graph.edata["slot"], graph)).values
        loader = _batches(graph)
        loss = 0.0
        for _ in range(epochs):
            loss = float(np.mean([self._step(graph, known, *batch[:3]) for batch in loader]))
            bar.set_postfix(loss=f"{loss:.3f}", refresh=False)
            bar.update()
        return loss

    def _step(self, graph: Any, known: Tensor, nodes: Tensor, positive: Any, negative: Any) -> float:
        """One minibatch of b edges and b * NEGATIVES corrupted ones over the given nodes; its loss."""
        slots = graph.edata["slot"][positive.edata[dgl.EID]]
        heads, tails = positive.edges()
        # The corrupted edges of one edge lie behind each other and keep its head, see _SameSlot.
        heads_again, others = negative.edges()
        vectors = functional.normalize(self.entities(nodes), dim=1)
        weights = functional.embedding(slots % len(self.relations), self.relation_weights())
        asked = SCALE * weights * functional.embedding(heads, vectors)
        good = (asked * functional.embedding(tails, vectors)).sum(dim=1, keepdim=True)
        bad = torch.einsum("bd,bkd->bk", asked, functional.embedding(others.view(-1, NEGATIVES), vectors))
        keys = _keys(nodes[heads_again], nodes[others], slots.repeat_interleave(NEGATIVES), graph)
        place = torch.searchsorted(known, keys).clamp(max=len(known) - 1)
        bad = bad.masked_fill((known[place] == keys).view_as(bad), -torch.inf)
        logits = torch.cat([good, bad], dim=1)
        loss = functional.cross_entropy(logits, torch.zeros(len(logits), dtype=torch.long))
        for optimizer in self._optimizers:
            optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        for optimizer in self._optimizers:
            optimizer.step()
        return loss.item()

    def vectors(self, triples: Triples) -> Matrix:
        """The vectors to search with, v of the module's docstring; shape (n, dims), unit length."""
        graph = _two_way(triples, self.entities.num_embeddings, len(self.relations))
        own = functional.normalize(self.entities.weight.detach(), dim=1)
        degrees = graph.in_degrees().clamp(min=1).to(own.dtype)
        graph.ndata["u"] = own / degrees.sqrt()[:, None]
        graph.update_all(dgl.function.copy_u("u", "message"), dgl.function.sum("message", "near"))
        smooth = functional.normalize(own + functional.normalize(graph.ndata["near"], dim=1), dim=1)
        # An entity opposed to all its neighbours would vanish; it keeps its own direction.
        kept = torch.where(smooth.norm(dim=1, keepdim=True) > 0.5, smooth, own)
        return np.ascontiguousarray(kept.numpy(), dtype=np.float32)


# --- the DGL graph and its minibatches ---------------------------------------------------------------------


def _two_way(triples: Triples, entities: int, relations: int) -> Any:
    """A DGL graph with each of the m triples as an edge in both directions, 2m edges.

    The edge feature `slot` is the relation r for head -> tail and relations + r for tail -> head.
    """
    heads, kinds, tails = torch.from_numpy(triples).unbind(dim=1)
    graph = dgl.graph((torch.cat([heads, tails]), torch.cat([tails, heads])), num_nodes=entities)
    graph.edata["slot"] = torch.cat([kinds, kinds + relations])
    return graph


def _keys(heads: Tensor, tails: Tensor, slots: Tensor, graph: Any) -> Tensor:
    """One int64 that no other edge has; it holds ten million entities with ten thousand relations."""
    entities = int(graph.num_nodes())
    return (slots * entities + heads) * entities + tails


def _batches(graph: Any) -> Any:
    """A loader of (node ids, positive graph, negative graph, []) over all edges, shuffled at each epoch."""
    sampler = dgl.dataloading.as_edge_prediction_sampler(_EndsOnly(), negative_sampler=_SameSlot(graph))
    size = min(max(graph.num_edges() // STEPS_PER_EPOCH, SMALLEST_BATCH), LARGEST_BATCH)
    edges = torch.arange(graph.num_edges())
    return dgl.dataloading.DataLoader(graph, edges, sampler, batch_size=size, shuffle=True)


class _EndsOnly:
    """A node sampler without layers: an embedding needs an edge's two ends only (dgl's own refuse 0 layers)."""

    output_device = None

    def sample(self, graph: Any, nodes: Tensor, exclude_eids: Any = None) -> tuple[Tensor, Tensor, list[Any]]:
        return nodes, nodes, []


class _SameSlot:
    """Negative sampler: per edge NEGATIVES other ends, uniform over those seen at that end of the relation."""

    def __init__(self, graph: Any) -> None:
        _, tails = graph.edges()
        pairs = torch.unique(torch.stack([graph.edata["slot"], tails], dim=1), dim=0)
        self._seen = pairs[:, 1]
        self._sizes = torch.bincount(pairs[:, 0])
        self._starts = torch.cumsum(self._sizes, dim=0) - self._sizes

    def __call__(self, graph: Any, edges: Tensor) -> tuple[Tensor, Tensor]:
        heads, _ = graph.find_edges(edges)
        slots = graph.edata["slot"][edges].repeat_interleave(NEGATIVES)
        drawn = (torch.rand(len(slots), dtype=torch.float64) * self._sizes[slots]).long()
        return heads.repeat_interleave(NEGATIVES), self._seen[self._starts[slots] + drawn]


# --- held-out triples ----------------------------------------------------------------------------------------


def _split(graph: KnowledgeGraph, random: np.random.Generator) -> tuple[Triples, Triples]:
    """Triples to train on and a few to hold out, none of which is the last one of either of its entities."""
    triples = graph.triples
    most = min(int(len(triples) * HELD_OUT_SHARE), HELD_OUT_MOST)
    degrees = np.bincount(triples[:, [0, 2]].ravel(), minlength=len(graph.entities))
    held = np.zeros(len(triples), dtype=bool)
    for index in random.permutation(len(triples)):
        if held.sum() >= most:
            break
        head, _, tail = triples[index]
        if min(degrees[head], degrees[tail]) > 1 and head != tail:
            degrees[[head, tail]] -= 1
            held[index] = True
    return triples[~held], triples[held]


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
    named = {name.entity for name in graph.names}
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

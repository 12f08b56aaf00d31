"""Link prediction on UMLS and Kinships: every model that `maxcos graph train` has, and pykeen's own beside it.

    python benchmarks/graph_link_prediction.py [--seeds 3] [--models complex rotate] [--output FILE]

Needs pykeen (`pip install pykeen==1.11.1`) for its splits of the two data sets and for its training; nothing else in
maxcos does. Metrics are filtered by all three splits, over both ends of every test triple, ties at their mean rank;
pykeen's models are scored by pykeen and ranked by the same code as ours. Both stop early by validation MRR, filtered
likewise, and use one thread.

pykeen trains the same model with as many numbers per entity, 1-vs-all by cross-entropy ("LCWA"), reciprocal relations,
at most as many epochs, batches of 256 questions and Adam at 0.01, from pykeen's own initial values and without its
regularisers. Two things differ: its CompGCN has its own decoder, DistMult, and its ComplEx starts from Xavier's values,
since from its own, of unit variance, it had an MRR of 0.10 on UMLS. `seconds` are wall time; `cpu_seconds` say more on
a machine with other work.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pykeen.datasets
import torch
from pykeen.models import Model
from pykeen.training import LCWATrainingLoop
from pykeen.triples import TriplesFactory

from encoders.training.graph import evaluate_links, train_graph
from encoders.training.graph.evaluate import LinkMetrics, Score, filtered_ranks, link_metrics
from encoders.training.graph.fit import EVERY, PATIENCE
from encoders.training.graph.recipes import RECIPES
from encoders.training.triples import numbered, read_graph

DATASETS = ("umls", "kinships")
PYKEEN = {"transe": "TransE", "distmult": "DistMult", "complex": "ComplEx", "rotate": "RotatE", "compgcn": "CompGCN"}
METRICS = ("mrr", "hits_at_1", "hits_at_3", "hits_at_10")
BATCH, LEARNING_RATE = 256, 0.01


def split(dataset: str, part: str) -> Path:
    """The file of a split inside pykeen."""
    return Path(pykeen.datasets.__file__).parent / dataset / f"{part}.txt"


def ours(dataset: str, model: str, seed: int) -> LinkMetrics:
    """Train and test as the command line does."""
    train, valid, test = (split(dataset, part) for part in ("train", "valid", "test"))
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "graph.npz"
        train_graph(train, None, output, model=model, valid=valid, known=(test,), seed=seed, progress=False)
        found = evaluate_links(output, test, [valid])
    return LinkMetrics(found.mrr, found.hits_at_1, found.hits_at_3, found.hits_at_10, 2 * found.triples)


def theirs(dataset: str, model: str, seed: int) -> LinkMetrics:
    """Train pykeen's model of that name, keep its best validation, and rank by its scores."""
    torch.manual_seed(seed)
    graph = read_graph(split(dataset, "train"))
    valid, test = (numbered(split(dataset, part), graph.entities, graph.relations, []) for part in ("valid", "test"))
    entities, relations = len(graph.entities), len(graph.relations)
    factory = TriplesFactory(
        torch.from_numpy(graph.triples),
        entity_to_id={entity: i for i, entity in enumerate(graph.entities)},
        relation_to_id={relation: i for i, relation in enumerate(graph.relations)},
        create_inverse_triples=True,
    )
    recipe = RECIPES[model]
    dims = recipe.dims // 2 if recipe.scoring.is_complex and model != "compgcn" else recipe.dims
    initial = {"entity_initializer": "xavier_uniform", "relation_initializer": "xavier_uniform"}
    network = pykeen.models.model_resolver.make(
        PYKEEN[model],
        triples_factory=factory,
        embedding_dim=dims,
        loss="crossentropy",
        random_seed=seed,
        **(initial if model == "complex" else {}),
    )
    optimizer = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE)
    loop = LCWATrainingLoop(model=network, triples_factory=factory, optimizer=optimizer)
    best, best_metrics, stale, epoch = -1.0, None, 0, 0
    while epoch < recipe.epochs and stale < PATIENCE:
        # pykeen starts the optimizer anew at each call unless it continues an earlier one.
        epoch += EVERY
        loop.train(
            factory,
            num_epochs=epoch,
            batch_size=BATCH,
            continue_training=epoch > EVERY,
            use_tqdm=False,
            use_tqdm_batch=False,
        )
        network.eval()
        score = pykeen_score(network, relations)
        mrr = link_metrics(filtered_ranks(score, valid, np.concatenate([graph.triples, test]), entities, relations)).mrr
        stale += 1
        if mrr > best:
            best, stale = mrr, 0
            ranks = filtered_ranks(score, test, np.concatenate([graph.triples, valid]), entities, relations)
            best_metrics = link_metrics(ranks)
    if best_metrics is None:
        raise SystemExit(f"pykeen's {model} has trained no epoch")
    return best_metrics


def pykeen_score(network: Model, relations: int) -> Score:
    """Tails of (h, r, ?) by pykeen's tails, heads of (?, r, t) by its heads, which ask the inverse relation."""

    def score(asked: Any, slots: Any) -> Any:
        known, kinds = torch.from_numpy(asked), torch.from_numpy(slots)
        is_tail = kinds < relations
        with torch.inference_mode():
            tails = network.predict_t(torch.stack([known[is_tail], kinds[is_tail]], dim=1))
            heads = network.predict_h(torch.stack([kinds[~is_tail] - relations, known[~is_tail]], dim=1))
        scores = torch.empty(len(known), network.num_entities)
        scores[is_tail], scores[~is_tail] = tails, heads
        return scores.numpy()

    return score


def measure(train: Callable[[str, str, int], LinkMetrics], dataset: str, model: str, seeds: int) -> dict[str, Any]:
    """Mean and spread (the standard deviation over seeds) of the metrics and of the times of one training."""
    metrics, times = [], []
    for seed in range(seeds):
        wall, cpu = time.monotonic(), time.process_time()
        metrics.append(train(dataset, model, seed))
        times.append((time.monotonic() - wall, time.process_time() - cpu))
    row: dict[str, Any] = {"seeds": seeds}
    for name in METRICS:
        values = [getattr(metric, name) for metric in metrics]
        row[name] = {"mean": round(float(np.mean(values)), 4), "spread": round(float(np.std(values)), 4)}
    seconds, cpu_seconds = np.mean(times, axis=0)
    return row | {"seconds": round(float(seconds), 1), "cpu_seconds": round(float(cpu_seconds), 1)}


def main() -> None:
    """Measure, print and write each row as soon as it is known, in the place of an older one of that file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=list(RECIPES), default=list(RECIPES))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--pykeen-seeds", type=int, default=1, help="trainings of pykeen per model")
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/graph-link-prediction.json"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    logging.disable(logging.WARNING)
    rows = json.loads(arguments.output.read_text("utf-8"))["rows"] if arguments.output.is_file() else []
    for model in arguments.models:
        for dataset in DATASETS:
            row = {
                "dataset": dataset,
                "model": model,
                "command": f"python benchmarks/graph_link_prediction.py --models {model} --seeds {arguments.seeds}",
                "recipe": {key: value for key, value in asdict(RECIPES[model]).items() if key != "scoring"},
                "maxcos": measure(ours, dataset, model, arguments.seeds),
                "pykeen": measure(theirs, dataset, model, arguments.pykeen_seeds),
            }
            rows = [old for old in rows if (old["dataset"], old["model"]) != (dataset, model)] + [row]
            for who in ("maxcos", "pykeen"):
                print(f"{dataset:9} {model:9} {who:7}", told(row[who]), flush=True)  # noqa: T201
            result = {
                "machine": f"{os.cpu_count()} shared cores, {platform.machine()}, one thread",
                "versions": {"torch": torch.__version__, "pykeen": version("pykeen")},
                "rows": rows,
            }
            arguments.output.write_text(json.dumps(result, indent=1) + "\n", "utf-8")


def told(found: dict[str, Any]) -> str:
    """One row of the table that is printed."""
    values = (f"{name} {found[name]['mean']:.3f} ±{found[name]['spread']:.3f}" for name in METRICS)
    return f"{'  '.join(values)}  {found['seconds']} s, {found['cpu_seconds']} s of CPU"


if __name__ == "__main__":
    main()

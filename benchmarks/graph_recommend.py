"""Recommendations on MovieLens 100k, as recbole brings it: maxcos against popularity, item-kNN, and recbole's models.

    uv pip install --target DIR --no-deps recbole==1.2.1 'pandas<3' scikit-learn joblib cloudpickle loky pytz six \\
        threadpoolctl narwhals python-dateutil colorlog==4.7.2 colorama tabulate texttable thop plotly pyyaml psutil
    python benchmarks/graph_recommend.py --recbole DIR [--seeds 3] [--output FILE]

Leave-one-out by time: of each user the last interaction is the test, the one before is for validation, the rest is
trained on. Every item is ranked (1,682 of them) but those that the user has seen before; the same split, metrics and
ranking code are used for all. An interaction counts 1, whatever its rating.

    popularity   how many interactions an item has
    item_knn     the sum of an item's cosines to the user's items among its NEIGHBOURS nearest (Sarwar et al. 2001)
    bpr          recbole's BPR with its published defaults, stopped early by its default, MRR@10 on validation
    lightgcn     recbole's LightGCN, likewise
    lightgcn_patient   the same with 30 epochs of patience by nDCG@10 instead of 10 by MRR@10, which stop it early
    maxcos       `maxcos graph train --interactions` with its defaults, and the cosines that an index serves: the user's
                 vector with the items' centred vectors, scored as `POST /v1/recommend` does

Only validation decided maxcos's constants and NEIGHBOURS. recbole 1.2.1 was made for older libraries: `shims` says what
it needs to run here. Its LightGCN multiplies by the same matrix in compressed rows, which is faster.
"""

from __future__ import annotations

import argparse
import functools
import json
import logging
import sys
import tempfile
import time
import types
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from encoders.parts.graph_file import read_graph_file
from encoders.parts.users import user_entity
from encoders.training.graph import train_graph

K = 10
NEIGHBOURS = 20
Scores = NDArray[np.float64]
METRICS = ("recall_at_10", "ndcg_at_10")


@dataclass(frozen=True)
class Split:
    """users, items: ids by number. train: (n, 2) numbers of user and item. valid, test: (users,) the item held out."""

    users: list[str]
    items: list[str]
    train: NDArray[np.int64]
    valid: NDArray[np.int64]
    test: NDArray[np.int64]

    def seen(self) -> NDArray[np.float64]:
        """(users, items), 1 where a user has an interaction to train on."""
        found = np.zeros((len(self.users), len(self.items)))
        found[tuple(self.train.T)] = 1
        return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recbole", type=Path, required=True, help="the folder that recbole is installed in")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--patient", action="store_true", help="train lightgcn_patient too")
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    split = read(given.recbole / "recbole/dataset_example/ml-100k/ml-100k.inter")
    seen = split.seen()
    runs: dict[str, Callable[[int], Scores]] = {
        "maxcos": lambda seed: maxcos(split, seed),
        "bpr": lambda seed: recbole(given.recbole, split, "BPR", seed),
        "lightgcn": lambda seed: recbole(given.recbole, split, "LightGCN", seed),
    }
    if given.patient:
        patience = {"stopping_step": 30, "valid_metric": f"NDCG@{K}"}
        runs["lightgcn_patient"] = lambda seed: recbole(given.recbole, split, "LightGCN", seed, **patience)
    models = {
        "popularity": judged(np.tile(seen.sum(axis=0), (len(seen), 1)), split),
        "item_knn": judged(item_knn(seen), split),
    }
    for name, run in runs.items():
        start = time.monotonic()
        each = [judged(run(seed), split) for seed in range(given.seeds)]
        models[name] = {part: {m: mean(one[part][m] for one in each) for m in METRICS} for part in ("valid", "test")}
        models[name]["test_each_seed"] = [one["test"] for one in each]
        models[name]["seconds"] = round(time.monotonic() - start, 1)
        sys.stderr.write(f"{name}: {models[name]}\n")
    found = {
        "command": f"python benchmarks/graph_recommend.py {' '.join(sys.argv[1:])}".replace(str(given.recbole), "DIR"),
        "data": {"users": len(split.users), "items": len(split.items), "train": len(split.train)},
        "models": models,
        "maxcos_by_others": {
            name: {m: round(models["maxcos"]["test"][m] / models[name]["test"][m], 3) for m in METRICS}
            for name in models
            if name != "maxcos"
        },
    }
    ratio = found["maxcos_by_others"]
    found["reached"] = all(ratio["bpr"][m] > 1 and ratio["lightgcn"][m] >= 0.97 for m in METRICS)
    text = json.dumps(found, indent=2)
    sys.stdout.write(text + "\n")
    if given.output:
        given.output.write_text(text + "\n", "utf-8")
    sys.exit(not found["reached"])


def read(path: Path) -> Split:
    """Interactions at the same second keep the file's order."""
    rows = [line.split("\t") for line in path.read_text("utf-8").splitlines()[1:]]
    users = list(dict.fromkeys(row[0] for row in rows))
    items = list(dict.fromkeys(row[1] for row in rows))
    number = {item: position for position, item in enumerate(items)}
    by_user: dict[str, list[tuple[float, int]]] = {user: [] for user in users}
    for user, item, _, at in rows:
        by_user[user].append((float(at), number[item]))
    done = [[item for _, item in sorted(by_user[user], key=lambda one: one[0])] for user in users]
    train = [(user, item) for user, own in enumerate(done) for item in own[:-2]]
    valid, test = (np.array([own[position] for own in done]) for position in (-2, -1))
    return Split(users, items, np.array(train), valid, test)


def judged(scores: Scores, split: Split) -> dict[str, Any]:
    """Validation and test; what is trained on is never ranked, nor in the test what was for validation."""
    known = split.seen() > 0
    after = known.copy()
    after[np.arange(len(split.users)), split.valid] = True
    return {"valid": metrics(scores, split.valid, known), "test": metrics(scores, split.test, after)}


def metrics(scores: Scores, wanted: NDArray[np.int64], seen: NDArray[np.bool_]) -> dict[str, float]:
    """One item per user is right: recall is whether it is among the best K, nDCG 1 / log2(rank + 1). Of items with the
    same score the right one comes in the middle.
    """
    left = np.where(seen, -np.inf, scores)
    own = left[np.arange(len(wanted)), wanted][:, None]
    rank = 1 + (left > own).sum(axis=1) + ((left == own).sum(axis=1) - 1) / 2
    found = rank <= K
    return {"recall_at_10": mean(found), "ndcg_at_10": mean(found / np.log2(rank + 1))}


def mean(values: Any) -> float:
    return round(float(np.mean(list(values))), 4)


def item_knn(seen: Scores) -> Scores:
    lengths = np.maximum(np.linalg.norm(seen, axis=0), 1)
    cosines = seen.T @ seen / lengths[:, None] / lengths
    np.fill_diagonal(cosines, 0)
    least = np.sort(cosines, axis=1)[:, -NEIGHBOURS][:, None]
    near: Scores = np.where(cosines >= least, cosines, 0)
    return seen @ near.T


# --- maxcos


def maxcos(split: Split, seed: int) -> Scores:
    with tempfile.TemporaryDirectory() as name:
        interactions, output = Path(name) / "interactions.tsv", Path(name) / "graph.npz"
        # The lines of a user are in the order of time.
        rows = (f"{split.users[user]}\t{split.items[item]}\n" for user, item in split.train.tolist())
        interactions.write_text("".join(rows), "utf-8")
        train_graph(None, None, output, interactions=interactions, seed=seed, progress=sys.stderr.isatty())
        graph = read_graph_file(output)
    number = {entity: position for position, entity in enumerate(graph.entities)}
    users = graph.vectors[[number[user_entity(user)] for user in split.users]].astype(np.float64)
    known = [item in number for item in split.items]
    items = graph.vectors[[number[item] for item in split.items if item in number]].astype(np.float64)
    items -= items.mean(axis=0)
    scores = np.full((len(users), len(split.items)), -1.0)
    scores[:, known] = users @ (items / np.linalg.norm(items, axis=1, keepdims=True)).T
    return scores


# --- recbole


def shims() -> None:
    """What recbole 1.2.1 asks of its libraries that they have given up: numpy's old names, scipy's `_update`, torch's
    loading of any pickle, and a TensorBoard to write to.
    """
    import scipy.sparse
    import torch

    for old, new in (("float_", "float64"), ("complex_", "complex128"), ("object_", "object_"), ("unicode_", "str_")):
        setattr(np, old, getattr(np, new))
    np.bool8 = np.bool_  # type: ignore[attr-defined]
    scipy.sparse.dok_matrix._update = lambda self, data: self._dict.update(data)
    torch.load = functools.partial(torch.load, weights_only=False)
    torch.set_num_threads(1)
    board = types.ModuleType("torch.utils.tensorboard")
    board.SummaryWriter = _Silent  # type: ignore[attr-defined]
    sys.modules[board.__name__] = board


class _Silent:
    def __init__(self, *_: Any) -> None: ...

    def add_scalar(self, *_: Any) -> None: ...

    def add_hparams(self, *_: Any) -> None: ...


def recbole(folder: Path, split: Split, model: str, seed: int, **options: Any) -> Scores:
    """The scores of a model of recbole that is trained, and stopped, on the same split."""
    if str(folder) not in sys.path:
        sys.path.append(str(folder))  # behind the libraries that are here
        shims()
    from recbole.config import Config
    from recbole.data import create_dataset, data_preparation
    from recbole.utils import get_model, get_trainer, init_seed

    logging.disable(logging.INFO)
    arguments, sys.argv = sys.argv, sys.argv[:1]  # recbole reads them as its own
    with tempfile.TemporaryDirectory() as name:
        write(split, Path(name) / "ml")
        settings = {
            "data_path": name,
            "checkpoint_dir": name,
            "benchmark_filename": ["train", "valid", "test"],
            "load_col": {"inter": ["user_id", "item_id"]},
            "eval_args": {"group_by": "user", "order": "TO", "split": {"LS": "valid_and_test"}, "mode": "full"},
            "use_gpu": False,
            "seed": seed,
            **options,
        }
        config = Config(model=model, dataset="ml", config_dict=settings)
        sys.argv = arguments
        init_seed(seed, reproducibility=True)
        dataset = create_dataset(config)
        train, valid, _ = data_preparation(config, dataset)
        made = get_model(model)(config, train._dataset)
        if model == "LightGCN":
            made.norm_adj_matrix = made.norm_adj_matrix.coalesce().to_sparse_csr()
        trainer = get_trainer(config["MODEL_TYPE"], model)(config, made)
        trainer.fit(train, valid, saved=True, show_progress=False)
        return scored(trainer, dataset, split)


def write(split: Split, folder: Path) -> None:
    folder.mkdir()
    held = {part: list(enumerate(getattr(split, part).tolist())) for part in ("valid", "test")}
    for part, pairs in {"train": split.train.tolist(), **held}.items():
        rows = (f"{split.users[user]}\t{split.items[item]}\n" for user, item in pairs)
        (folder / f"ml.{part}.inter").write_text("user_id:token\titem_id:token\n" + "".join(rows), "utf-8")


def scored(trainer: Any, dataset: Any, split: Split) -> Scores:
    """The best epoch's scores of all items for all users."""
    import torch
    from recbole.data.interaction import Interaction

    model = trainer.model
    model.load_state_dict(torch.load(trainer.saved_model_file)["state_dict"])
    model.eval()
    users = torch.tensor(dataset.token2id(dataset.uid_field, split.users))
    items = dataset.token2id(dataset.iid_field, split.items)
    model.restore_user_e = None  # LightGCN keeps what it propagated before it was loaded
    with torch.no_grad():
        found = model.full_sort_predict(Interaction({dataset.uid_field: users})).view(len(users), -1)
    scores: Scores = found.numpy().astype(np.float64)[:, items]
    return scores


if __name__ == "__main__":
    main()

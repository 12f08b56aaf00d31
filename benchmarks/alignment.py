"""What `maxcos align` is worth on the demo catalogue and on emoji, and which vectors items should have.

    python benchmarks/alignment.py --config demo/maxcos.toml --config bench/emoji/maxcos.toml [--output FILE]

The indices are those of `maxcos demo` and `maxcos eval --benchmark emoji`. Three questions for each, all answered by
texts of items, or of groups of nearly the same items, that the heads have not seen:

methods       how texts find their items' pictures among all: what `maxcos align` prints, over two seeds
new items     by the mean of heads that have each seen three quarters of the rest, and by one that has seen all of it
seen items    how new items are found among seen ones, when these are placed by a head that has seen them, and when they
              are placed by those that have not
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from encoders.parts.alignment import directions
from encoders.training.alignment import FOLDS, Pairs, centred, metrics, ranks, targets
from encoders.training.alignment.fit import EPOCHS, Fit
from encoders.training.alignment.folds import folds_by_group
from encoders.training.alignment.heads import Head, ridge
from es_mappings.settings import load_settings
from es_mappings.types import Matrix
from maxcos.alignment.read import Gathered, gather
from maxcos.alignment.run import judge

SEEDS = (0, 1)
PENALTY, SHARE, TRAINED = 0.1, 1.0, 5
"""Of the heads that are compared beside `maxcos align`: the same for all."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, action="append", required=True)
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    found = {}
    for config in given.config:
        settings = load_settings(config)
        gathered = gather(settings, None, 0)
        pairs, _ = centred(gathered.pairs)
        found[settings.engine.index] = {
            "methods": by_method(gathered, SEEDS),
            **vectors_of_items(pairs),
            "methods_for_the_graph": by_method(gather(settings, "graph", 0), SEEDS[:1]),
        }
        sys.stderr.write(f"{config}: done\n")
        if given.output:
            given.output.write_text(json.dumps(found, indent=2) + "\n", "utf-8")
    sys.stdout.write(json.dumps(found, indent=2) + "\n")


def by_method(gathered: Gathered, seeds: Sequence[int]) -> dict[str, Any]:
    outcomes = [judge(gathered, seed=seed) for seed in seeds]
    first = outcomes[0].report
    return {
        "items": first.items,
        "groups": first.groups,
        "texts": dict(first.texts),
        "by_seed": [
            {
                "seed": seed,
                "methods": {
                    n: {f: rounded(asdict(m)) for f, m in own.items()} for n, own in one.report.methods.items()
                },
                "differences_in_mrr_by_group": [rounded(asdict(found)) for found in one.report.differences],
                "chosen": [rounded(asdict(choice)) for choice in one.report.chosen],
                "wins": one.wins,
                "classes": classes(one.report.classes),
            }
            for seed, one in zip(seeds, outcomes, strict=True)
        ],
    }


def classes(found: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if found is None:
        return None
    numbers = {
        name: {"accuracy": round(own["accuracy"], 4), "macro_f1": round(own["macro avg"]["f1-score"], 4)}
        for name, own in found["methods"].items()
    }
    return {"field": found["field"], "items": found["items"], **numbers}


def rounded(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: float(f"{value:.4g}") if isinstance(value, float) else value for name, value in values.items()}


def vectors_of_items(pairs: Pairs) -> dict[str, Any]:
    """Of five folds of groups each is new once; the others are seen, and split into four parts."""
    folds = folds_by_group(pairs.groups, FOLDS, 0)
    mean, whole, repeated = [], [], []
    own = {"seen_by_their_head": [], "seen_by_others": [], "new": []}
    texts_of = [np.flatnonzero(folds[pairs.owner] == fold) for fold in range(FOLDS)]
    every = np.arange(len(pairs.features))
    for new in range(FOLDS):
        parts = [fold for fold in range(FOLDS) if fold != new]
        strangers = {part: trained(pairs, np.flatnonzero(~np.isin(folds, (new, part)))) for part in parts}
        knows = trained(pairs, np.flatnonzero(folds != new))
        fresh = folds == new
        by_mean = np.mean([place(pairs, head) for head in strangers.values()], axis=0)
        by_knowing = place(pairs, knows)
        by_strangers = by_mean.copy()
        for part, head in strangers.items():
            by_strangers[folds == part] = place(pairs, head)[folds == part]
        among_strangers = by_strangers.copy()
        among_strangers[fresh] = by_knowing[fresh]
        mean.append(ranks(pairs, by_strangers, every, texts_of[new]))
        whole.append(ranks(pairs, among_strangers, every, texts_of[new]))
        repeated.append(ranks(pairs, by_knowing, every, texts_of[new]))
        wanted = targets(pairs)
        own["seen_by_their_head"].append(cosines(by_knowing, wanted, ~fresh))
        own["seen_by_others"].append(cosines(by_strangers, wanted, ~fresh))
        own["new"].append(cosines(by_strangers, wanted, fresh))
    return {
        "new_items": {
            "mean_of_heads": summary(mean),
            "one_head_that_has_seen_all": summary(whole),
        },
        "seen_items": {
            "new_among_seen_placed_by_a_head_that_knows_them": summary(repeated),
            "new_among_seen_placed_by_heads_that_do_not": summary(mean),
            "mean_cosine_with_own_text": {name: round(float(np.mean(found)), 4) for name, found in own.items()},
        },
    }


def trained(pairs: Pairs, rows: Any) -> Head:
    wanted = targets(pairs)
    bias = np.zeros(wanted.shape[1], dtype=np.float32)
    begin = Head(ridge(pairs, wanted, rows, PENALTY), bias, SHARE if pairs.base.any() else 0.0)
    fit = Fit(pairs, rows, begin, 0)
    for number in range(min(TRAINED, EPOCHS)):
        fit.epoch(number)
    return fit.head()


def place(pairs: Pairs, head: Head) -> Matrix:
    return head.place(pairs.features, pairs.base)


def cosines(placed: Matrix, wanted: Matrix, rows: Any) -> float:
    own = directions(placed)
    own = directions(own - own.mean(axis=0))
    return float((own[rows] * wanted[rows]).sum(axis=1).mean())


def summary(found: Sequence[Any]) -> dict[str, Any]:
    return rounded(asdict(metrics(np.concatenate(found))))


if __name__ == "__main__":
    main()

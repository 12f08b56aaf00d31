"""Fit heads that place what a frozen encoder sees among texts, and judge them by what they have not seen.

    crossfit.py    pairs -> a head for every fold, learnt from the others     folds.py      groups stay in one fold
    pairs.py       items and their texts, as arrays and as a data set         heads.py      ridge regression, module
    fit.py         epochs, schedule, early stopping, going on later           objective.py  symmetric InfoNCE
    evaluate.py    ranks of items by their texts                             queries.py    a map of queries
    adapters.py    LoRA adapters for queries

The heads are saved as plain numpy arrays, see `encoders.parts.alignment`: encoding and serving need no training code.
"""

from encoders.training.alignment.crossfit import FOLDS, Chosen, CrossFit, cross_fit
from encoders.training.alignment.evaluate import Metrics, candidates, metrics, ranks
from encoders.training.alignment.pairs import Means, Pairs, centred, targets

__all__ = [
    "FOLDS",
    "Chosen",
    "CrossFit",
    "Means",
    "Metrics",
    "Pairs",
    "candidates",
    "centred",
    "cross_fit",
    "metrics",
    "ranks",
    "targets",
]

"""Train the vectors of a knowledge graph with DGL, and measure them by link prediction.

    train.py        files of triples -> a `.npz` for serving            file.py         links by that file
    cosine.py       the default model, made for cosines                 index_vectors.py  what an index is given
    lightgcn.py     the model of graphs with interactions, likewise
    models.py       the scores of TransE, DistMult, ComplEx, RotatE     compgcn.py      message passing
    network.py      a score and its parameters                          recipes.py      how each model is trained
    objectives.py   losses of minibatches: all entities, or a sample    edges.py        triples as a DGL graph
    fit.py          epochs, early stopping                              cosine_fit.py   epochs of the first two
    checkpoint.py   going on later, logs                                memory.py       how much a training takes
    evaluate.py     filtered ranks                                      reproduce.py    seeds

What is trained is saved as plain numpy arrays: serving needs neither dgl nor torch.
"""

import os

os.environ.setdefault("DGLBACKEND", "pytorch")  # else dgl asks, and writes its answer into the user's home

from encoders.training.graph.file import LinkReport, evaluate_links
from encoders.training.graph.train import TrainingReport, train_graph

__all__ = ["LinkReport", "TrainingReport", "evaluate_links", "train_graph"]

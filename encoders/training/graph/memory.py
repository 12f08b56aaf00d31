"""How much memory a training will take, told before it begins.

What grows is counted in tables of entities x dims float32 (the vectors, what the optimizer keeps of each, gradients,
layers, and the copies from which the saved vectors are made), in edges (each triple is two: ends, slots, DGL's sparse
formats, sorted keys), and for two models in what a minibatch holds. The numbers of each were fitted to 45 trainings of
all models, from 2,000 entities with 10,000 triples to 200,000 with a million; `benchmarks/graph_memory.py`
measures them.
"""

from __future__ import annotations

import re
from pathlib import Path

import psutil

from encoders.training.graph.cosine import LARGEST_BATCH, NEGATIVES, SMALLEST_BATCH, STEPS_PER_EPOCH
from encoders.training.graph.fit import ALL_ENTITIES_MOST
from encoders.training.graph.recipes import COSINE, LIGHTGCN, RECIPES

MIB = 2**20
LOADED = 187 * MIB
"""What torch and dgl load when they first compute."""
PER_EDGE = 155
"""Bytes."""
TABLES = {COSINE: 8, LIGHTGCN: 25}
LINK_TABLES = 9
"""Of every link predictor."""
NEGATIVE_TABLES = 5
"""Tables of a minibatch's negatives that cosine DistMult holds at once."""
MESSAGE_TABLES = 7
"""Tables of edges x dims that a layer of messages holds at once where it learns from the whole graph; else there is
one, when the model is validated.
"""

CGROUPS = (
    (Path("/sys/fs/cgroup"), "memory.max", "memory.current", "inactive_file"),
    (Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)
"""Of both versions of control groups the folder, the files of the limit and of what is in use, and what of that the
kernel gives back when it has to."""


def planned(model: str, entities: int, triples: int, dims: int) -> int:
    """The most bytes that a training will hold beside what the process has when it has read the graph."""
    table, edges = 4 * entities * dims, 2 * triples
    found = LOADED + PER_EDGE * edges + TABLES.get(model, LINK_TABLES) * table
    if model == COSINE:
        batch = min(max(edges // STEPS_PER_EPOCH, SMALLEST_BATCH), LARGEST_BATCH)
        found += NEGATIVE_TABLES * 4 * batch * NEGATIVES * dims
    if model in RECIPES and RECIPES[model].layers:
        found += (MESSAGE_TABLES if entities <= ALL_ENTITIES_MOST else 1) * 4 * edges * dims
    return found


def available() -> int:
    """The bytes that this process may still take, by the system and by the control group that it is in."""
    found: int = psutil.virtual_memory().available
    for folder, limit, used, cached in CGROUPS:
        try:
            most, now, parts = ((folder / name).read_text() for name in (limit, used, "memory.stat"))
        except OSError:
            continue
        if most.strip() != "max":
            spare = re.search(rf"^{cached} (\d+)", parts, re.MULTILINE)
            found = min(found, int(most) - int(now) + int(spare[1] if spare else 0))
    return max(found, 0)


def memory_plan(model: str, entities: int, triples: int, dims: int) -> str:
    """A line about what a training will take, and what to do where that is more than there is."""
    need, have = planned(model, entities, triples, dims), available()
    line = (
        f"{model}, {entities} entities, {triples} triples, {dims} dimensions: "
        f"about {_gib(need)} of memory, {_gib(have)} are free"
    )
    if need <= have:
        return line
    return f"{line}. It may be killed: train with fewer --dims, of fewer triples, or where there is more memory"


def _gib(size: int) -> str:
    return f"{size / 2**30:.1f} GiB"

"""One seed, the same numbers; global state is put back."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import dgl
import numpy as np
import torch


@contextmanager
def reproducible(seed: int) -> Iterator[None]:
    """Seed the global generators that torch and dgl draw from, use one thread, put everything back.

    One thread, because sums then have one order, and because two on a shared machine can be far slower.
    """
    threads, state = torch.get_num_threads(), np.random.get_state()
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*CPU affinity.*")
        reseed(seed)
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(threads)
            np.random.set_state(state)


def reseed(seed: int) -> None:
    """Set all generators that a training draws from, as `reproducible` has to put them back."""
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)
    dgl.seed(seed % 2**31)

"""Serving and asking for help stay light: heavy libraries load when they are needed, and not before."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {"torch", "torchvision", "transformers", "dgl", "onnxruntime", "PIL"}
CLIENTS = {"elasticsearch", "opensearchpy"}


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        ("query_api.app", HEAVY | CLIENTS),
        ("query_api.searchers.cluster", HEAVY | CLIENTS),
        ("ingest.pipeline", HEAVY | CLIENTS | {"flask"}),
        ("maxcos.cli", HEAVY | CLIENTS | {"flask", "pydantic", "numpy"}),
    ],
)
def test_importing_pulls_in_nothing_heavy(module: str, unwanted: set[str]) -> None:
    program = f"import sys, {module}; print(*{{m.partition('.')[0] for m in sys.modules}})"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert unwanted & set(loaded.split()) == set()

"""`maxcos bench query`: it measures what it says, on a catalogue small enough to look at."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engines import ENGINES, start_engine
from es_mappings.cluster import connect
from es_mappings.settings import EngineSettings
from maxcos.bench.data import CHUNK, Catalogue

WAYS = {
    *("numpy", "exact", "exact, service", "exact, bare client", "exact, bare client, ties by id"),
    *("ann", "ann, service", "ann, bare client", "ann, bare client, attributed", "hybrid, exact", "hybrid, ann"),
}


def bench(url: str, tmp_path: Path, *options: str) -> dict[str, Any]:
    file = tmp_path / "figures.json"
    size = ("--documents", "1500", "--dims", "16", "--queries", "3", "--output", str(file))
    command = [sys.executable, "-m", "maxcos.cli", "bench", "query", "--engine", url, *size, *options]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (found,) = json.loads(done.stdout)
    assert json.loads(file.read_text()) == [found]
    return found


@pytest.mark.parametrize("name", [name for name in ENGINES if name != "embedded"])
def test_a_cluster_is_measured_against_numpy_and_the_bare_client(name: str, tmp_path: Path) -> None:
    url = start_engine(name)
    found = bench(url, tmp_path, "--shards", "2", "--segments", "1")
    assert found["ms"].keys() == WAYS
    assert all(0 < timing["p50"] <= timing["p95"] for timing in found["ms"].values())
    assert found["ratios"]["ann / exact"] > 0
    assert found["segments"] == 2
    # So few documents are all among the candidates of a page of a hundred.
    assert found["recall"]["max@10"] == found["recall"]["hybrid@10"] == 1
    assert all(recall > 0.9 for recall in found["recall"].values())
    cluster = connect(EngineSettings(url=url))
    assert not cluster.exists("/maxcos-bench-1500-2")
    cluster.close()


def test_the_embedded_store_is_measured_against_numpy(tmp_path: Path) -> None:
    found = bench("embedded:store", tmp_path)
    assert found["ms"].keys() == {"numpy", "exact"}
    assert found["segments"] is None
    assert "recall" not in found


def test_the_catalogue_is_the_same_in_batches_and_as_matrices() -> None:
    catalogue = Catalogue(CHUNK + 10, dims=8)
    items = [item for batch in catalogue.batches() for item in batch]
    assert [item.item.id for item in items] == sorted({item.item.id for item in items})
    for name, matrix in catalogue.matrices().items():
        assert np.array_equal(matrix, [item.vectors[name] for item in items])
        assert np.linalg.norm(matrix, axis=1) == pytest.approx(1, abs=1e-5)


def test_the_pipeline_is_measured_against_its_halves(tmp_path: Path) -> None:
    url = start_engine("elasticsearch-9")
    size = ("--documents", "600", "--documents", "300", "--dims", "16", "--layers", "2")
    command = [sys.executable, "-m", "maxcos.cli", "bench", "ingest", "--engine", url, *size]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    small, large = json.loads(done.stdout)
    assert (small["documents"], large["documents"]) == (300, 600)
    assert small["per_second"].keys() == {"encoder", "bulk", "pipeline"}
    assert all(rate > 0 for rate in small["per_second"].values())
    assert small["peak_mib"] <= large["peak_mib"]

"""What a training is said to take is what it takes, within a factor of 1.5."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from encoders.training.graph import memory, train_graph
from encoders.training.graph.memory import MIB, available, memory_plan, planned
from encoders.training.graph.recipes import MODELS

FACTOR = 1.5
ENTITIES, TRIPLES, DIMS = 9_000, 24_000, 64
PROGRAM = """
import json, re, sys
from pathlib import Path
import psutil
from encoders.training.graph import train_graph
before = []
def say(line):
    before.append(psutil.Process().memory_info().rss)
report = train_graph(Path("triples.tsv"), None, Path("graph.npz"), model=sys.argv[1], dims=int(sys.argv[2]), epochs=1,
                     progress=False, say=say)
# Not ru_maxrss, which a process inherits from the one that started it: here from the whole suite.
peak = int(re.search(r"VmHWM:\\s*(\\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024 - before[0]
print(json.dumps([report.entities, report.triples, peak]))
"""


@pytest.mark.parametrize("model", ["cosine-distmult", "lightgcn", "distmult"])
def test_the_plan_is_near_what_a_training_takes(tmp_path: Path, model: str) -> None:
    rows = (f"n{1000 + i % 8000}\tr{i % 3}\tn{i * 7 % 1000}\n" for i in range(TRIPLES))
    (tmp_path / "triples.tsv").write_text("".join(rows), "utf-8")
    root = Path(__file__).parents[2]
    program = f"import sys; sys.path.insert(0, {str(root)!r})\n{PROGRAM}"
    command = [sys.executable, "-c", program, model, str(DIMS)]
    done = subprocess.run(command, cwd=tmp_path, stdout=subprocess.PIPE, check=True)
    entities, triples, peak = json.loads(done.stdout)
    assert (entities, triples) == (ENTITIES, TRIPLES)
    assert planned(model, entities, triples, DIMS) / FACTOR < peak < planned(model, entities, triples, DIMS) * FACTOR


def test_the_measured_trainings_are_within_that_factor_too() -> None:
    results = Path(__file__).parents[2] / "benchmarks" / "results" / "graph-memory.json"
    rows = json.loads(results.read_text("utf-8"))["rows"]
    assert {row["model"] for row in rows} == {*MODELS}
    for row in rows:
        told = planned(row["model"], row["entities"], row["triples"], row["dims"]) / MIB
        assert row["peak"] / FACTOR < told < row["peak"] * FACTOR, row


@pytest.mark.parametrize("model", MODELS)
def test_more_of_anything_takes_more(model: str) -> None:
    least = planned(model, 1000, 5000, 32)
    assert least < min(planned(model, 2000, 5000, 32), planned(model, 1000, 6000, 32), planned(model, 1000, 5000, 64))


def test_it_is_told_before_the_training_and_with_a_way_out_where_it_is_too_much(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    triples, output, told = tmp_path / "triples.tsv", tmp_path / "graph.npz", list[tuple[str, bool]]()
    triples.write_text("a\tr\tb\n", "utf-8")
    train_graph(
        triples, None, output, dims=8, epochs=1, progress=False, say=lambda t: told.append((t, output.exists()))
    )
    ((line, existed),) = told
    assert line.startswith("cosine-distmult, 2 entities, 1 triples, 8 dimensions: about 0.2 GiB of memory, ")
    assert not existed and "--dims" not in line
    monkeypatch.setattr(memory, "available", lambda: 50 * MIB)
    assert "0.0 GiB are free. It may be killed: train with fewer --dims" in memory_plan("complex", 2, 1, 8)


@pytest.mark.parametrize(("limit", "left"), [("max\n", None), (f"{900 * MIB}\n", 500 * MIB), (f"{300 * MIB}\n", 0)])
def test_a_control_group_s_limit_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, left: int | None
) -> None:
    monkeypatch.setattr(
        memory, "CGROUPS", ((tmp_path, "limit", "used", "inactive_file"), (tmp_path / "none", "", "", ""))
    )
    (tmp_path / "limit").write_text(limit)
    (tmp_path / "used").write_text(f"{500 * MIB}\n")
    (tmp_path / "memory.stat").write_text(f"anon 7\ninactive_file {100 * MIB}\n")
    monkeypatch.setattr(memory.psutil, "virtual_memory", lambda: type("Memory", (), {"available": 10_000 * MIB}))
    assert available() == (10_000 * MIB if left is None else left)

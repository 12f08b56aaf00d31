"""Load on the service and on the bare client: the same queries, connections and engine, in turns.

    PYTHONPATH=.:tests/support python benchmarks/load.py --engine URL --seconds 60 --output FILE

Builds the demo's index in `--folder` unless it is there, and serves it by `maxcos serve`. Sixteen threads of this
process ask: the service over HTTP, or the engine by its official client, as it comes and with orjson, with the very
bodies that `explain: "engine"` tells. The service is one process too. They take turns of some seconds, so that whatever
else the machine does befalls all alike. Before, every query was asked once: its vectors are remembered. The asker, the
engine and, for its turns, the service share the machine's cores. Needs the extra dev.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import click
import numpy as np
import psutil
from asking import CONNECTIONS, JSON, QUERIES, Ask, OrjsonLines, in_threads, lines_of, of_engine, of_service, worker_of
from elasticsearch import Elasticsearch, OrjsonSerializer

from encoders.parts.cores import usable_cores
from es_mappings.cluster import connect, probe
from es_mappings.settings import EngineSettings
from maxcos.demo import build
from served import running

TURN = 5.0
"""Seconds that one is asked before the next one is."""
SERVICE, BARE = "service", "bare client"
ORJSON = {"application/json": OrjsonSerializer(), "application/x-ndjson": OrjsonLines()}


@dataclass
class Turns:
    """What came of asking one of the two. seconds: of asking, all turns together. took: of each answer, in ms."""

    seconds: float = 0.0
    ended: Counter[str] = field(default_factory=Counter)
    took: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    cpu: Counter[str] = field(default_factory=Counter)

    @property
    def rate(self) -> float:
        return len(self.took) / self.seconds

    def report(self) -> JSON:
        p50, p99 = np.percentile(self.took, [50, 99])
        return {
            "per_second": round(self.rate, 1),
            "p50_ms": round(float(p50), 2),
            "p99_ms": round(float(p99), 2),
            "ended": dict(self.ended),
            "turns_per_second": [round(rate, 1) for rate in self.rates],
            "cpu_ms": {name: round(seconds * 1000 / len(self.took), 2) for name, seconds in self.cpu.items()},
        }


def take_turn(opened: Callable[[], Ask], seconds: float, turns: Turns, worker: psutil.Process) -> None:
    """Let the threads ask for so long, each over a connection of its own. worker: the service's."""
    numbers = count()
    asked: list[tuple[str, float]] = []
    until = time.perf_counter() + seconds

    def work() -> None:
        ask = opened()
        while (started := time.perf_counter()) < until:
            ended = ask(next(numbers))
            asked.append((ended, (time.perf_counter() - started) * 1000))

    processes = {"asker": psutil.Process(), "service": worker}
    spent = {name: -_cpu(process) for name, process in processes.items()}
    began = time.perf_counter()
    in_threads(work)
    took = time.perf_counter() - began
    turns.seconds += took
    turns.ended.update(ended for ended, _ in asked)
    turns.took.extend(ms for _, ms in asked)
    turns.rates.append(len(asked) / took)
    turns.cpu.update({name: spent[name] + _cpu(process) for name, process in processes.items()})


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def compared(url: str, engine: str, worker: psutil.Process, seconds: float) -> JSON:
    """All in turns, of so many seconds altogether for each; the first turn of each is not counted."""
    lines = lines_of(url)
    with (
        closing(Elasticsearch(engine, connections_per_node=CONNECTIONS)) as bare,
        closing(Elasticsearch(engine, connections_per_node=CONNECTIONS, serializers=ORJSON)) as faster,
    ):
        asked = {
            BARE: of_engine(bare, lines),
            f"{BARE}, orjson": of_engine(faster, lines),
            SERVICE: of_service(url),
        }
        for opened in asked.values():
            take_turn(opened, TURN, Turns(), worker)
        turns = {name: Turns() for name in asked}
        for _ in range(max(1, round(seconds / TURN))):
            for name, opened in asked.items():
                take_turn(opened, min(TURN, seconds), turns[name], worker)
    ratios = {name: round(turns[SERVICE].rate / kept.rate, 3) for name, kept in turns.items() if name != SERVICE}
    return {**{name: kept.report() for name, kept in turns.items()}, "ratio to": ratios}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--engine", required=True, metavar="URL", help="of an Elasticsearch")
    parser.add_argument("--folder", type=Path, default=Path("benchmark/load"), help="of the demo's data")
    parser.add_argument("--seconds", type=float, default=60.0, help="for each of those that are asked")
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    settings = build(given.folder, given.engine, lambda text: click.echo(text, err=True))
    with closing(connect(EngineSettings(url=given.engine))) as cluster:
        _, name = probe(cluster)
    log = given.folder / "service.log"
    with (
        log.open("w", encoding="utf-8") as output,
        running(settings, given.folder / "maxcos.toml", output) as (url, process),
    ):
        told = {
            "command": f"python {shlex.join(sys.argv)}",
            "engine": name,
            "cores": usable_cores(),
            "connections": CONNECTIONS,
            "queries": len(QUERIES),
            **compared(url, given.engine, worker_of(process.pid), given.seconds),
        }
    text = json.dumps(told, indent=1, ensure_ascii=False)
    click.echo(text)
    if given.output:
        given.output.write_text(text + "\n", "utf-8")


if __name__ == "__main__":
    main()

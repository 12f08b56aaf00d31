"""Faults under load: the service's worker is killed, and its engine stopped and started again, while it is asked.

    PYTHONPATH=.:tests/support python benchmarks/load_faults.py --output FILE

Starts an Elasticsearch of its own (docker/engine.py), builds the demo's index on it, and serves it by `maxcos serve`.
Sixteen threads ask all the while. Needs the extra dev.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import click
from asking import JSON, in_threads, of_service, worker_of

from maxcos.demo import build
from nodes import Nodes, several
from served import running

ENGINE = "elasticsearch-9"
PATIENCE = 180.0
"""Seconds that the service may need to be back."""
CALM = 10.0
"""Seconds before, between and after the faults."""
PAUSE = 0.2
"""Seconds that a thread waits after what is no 200: the next answer would be the same, and the engine has to start."""


@dataclass
class Watch:
    """Every answer with its moment, in seconds since the beginning, and the moments of what was done meanwhile."""

    started: float = field(default_factory=time.perf_counter)
    answers: list[tuple[float, str]] = field(default_factory=list)
    done: dict[str, float] = field(default_factory=dict)

    def now(self) -> float:
        return time.perf_counter() - self.started

    def did(self, name: str) -> None:
        self.done[name] = round(self.now(), 1)

    def report(self) -> JSON:
        """After each of what was done: how requests ended, and the moments of the first 200 and the last other end."""
        found = []
        moments = [("asked", 0.0), *self.done.items()]
        for (name, begin), (_, end) in zip(moments, [*moments[1:], ("", self.now())], strict=True):
            inside = [(at - begin, ended) for at, ended in self.answers if begin <= at < end]
            good = [at for at, ended in inside if ended == "200"]
            bad = [at for at, ended in inside if ended != "200"]
            found.append(
                {
                    "after": name,
                    "seconds": round(end - begin, 1),
                    "ended": dict(Counter(ended for _, ended in inside)),
                    "first_200_s": round(min(good), 1) if good else None,
                    "last_other_s": round(max(bad), 1) if bad else None,
                }
            )
        return {"phases": found}


def disturbed(url: str, process: int, node: Nodes) -> JSON:
    """Ask all the while that the worker is killed and the engine started again."""
    watch, over = Watch(), threading.Event()
    opened = of_service(url)

    def work() -> None:
        ask = opened()
        for number in count():
            if over.is_set():
                return
            ended = ask(number)
            watch.answers.append((watch.now(), ended))
            if ended != "200":
                time.sleep(PAUSE)

    def disturb() -> None:
        time.sleep(CALM)
        worker_of(process).kill()
        watch.did("worker killed")
        time.sleep(CALM)
        wait_for_200(watch)
        before = worker_of(process).pid
        node.stop()
        watch.did("engine stopped")
        node.start()
        watch.did("engine started")
        wait_for_200(watch)
        time.sleep(CALM)
        over.set()
        same.append(worker_of(process).pid == before)

    same: list[bool] = []
    disturber = threading.Thread(target=disturb)
    disturber.start()
    in_threads(work)
    disturber.join()
    return {**watch.report(), "the_worker_stayed_while_the_engine_was_gone": same == [True]}


def wait_for_200(watch: Watch) -> None:
    since = watch.now()
    while not any(ended == "200" for at, ended in watch.answers[-2000:] if at > since):
        if watch.now() > since + PATIENCE:
            raise TimeoutError("the service does not answer any more")
        time.sleep(0.1)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--folder", type=Path, default=Path("benchmark/load-faults"), help="of the demo's data")
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    with several(ENGINE, 1) as node:
        (engine,) = node.start()
        settings = build(given.folder, engine, lambda text: click.echo(text, err=True))
        log = given.folder / "service.log"
        with (
            log.open("w", encoding="utf-8") as output,
            running(settings, given.folder / "maxcos.toml", output) as (url, process),
        ):
            told = {"command": f"python {shlex.join(sys.argv)}", "engine": ENGINE, **disturbed(url, process.pid, node)}
    text = json.dumps(told, indent=1, ensure_ascii=False)
    click.echo(text)
    if given.output:
        given.output.write_text(text + "\n", "utf-8")


if __name__ == "__main__":
    main()

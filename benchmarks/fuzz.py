"""Generated requests against a running service: no 5xx, and every answer as its description says.

    PYTHONPATH=.:tests/support python benchmarks/fuzz.py --engine URL --requests 20000 --output FILE

Builds the demo's index in `--folder` unless it is there, serves it by `maxcos serve`, and asks every route in turn what
schemathesis draws from its description, right requests and wrong ones, until there are enough. A failure does not end
the run: each kind is counted, and its first request kept as a curl command. Needs the extra dev.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any

import click
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from jsonschema import Draft202012Validator
from schemathesis import Case, GenerationMode
from schemathesis.core.failures import AcceptedNegativeData, Failure, FailureGroup

from maxcos.demo import build
from served import running

JSON = dict[str, Any]

CONFIG = Path(__file__).parents[1] / "tests" / "support" / "schemathesis.toml"
EXAMPLES = 50
"""Of each route and mode before the next one's turn."""
DEAR = {"POST /v1/why": 5}
"""An explanation encodes a picture dozens of times: as many examples as others have would take most of the time."""
PATIENCE = 60.0
"""Seconds until a request counts as one that hangs."""


@dataclass
class Seen:
    """What was answered so far."""

    statuses: dict[str, Counter[str]] = field(default_factory=dict)
    slowest: dict[str, float] = field(default_factory=dict)
    failures: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    distinct: set[bytes] = field(default_factory=set)
    rightly_accepted: int = 0

    @property
    def requests(self) -> int:
        return sum(counted.total() for counted in self.statuses.values())

    def failed(self, route: str, title: str, message: str, case: Case) -> None:
        first = {"route": route, "failure": title, "count": 0, "message": message, "request": case.as_curl_command()}
        self.failures.setdefault((route, title), first)["count"] += 1


class Asking:
    """Sends what is drawn, and holds each answer to the description."""

    def __init__(self, description: JSON, enough: int) -> None:
        self.seen = Seen()
        self._description = description
        self._enough = enough
        self._session = requests.Session()

    def ask(self, case: Case) -> None:
        if self.enough:
            return
        route = case.operation.label
        statuses = self.seen.statuses.setdefault(route, Counter())
        self.seen.distinct.add(sha256(repr((route, case.path_parameters, case.query, case.body)).encode()).digest())
        started = time.perf_counter()
        try:
            answer = case.call(session=self._session, timeout=PATIENCE)
        except requests.RequestException as error:
            statuses["no answer"] += 1
            self.seen.failed(route, type(error).__name__, str(error), case)
            return
        self.seen.slowest[route] = max(self.seen.slowest.get(route, 0), time.perf_counter() - started)
        statuses[str(answer.status_code)] += 1
        try:
            case.validate_response(answer)
        except FailureGroup as group:
            for failure in group.exceptions:
                if isinstance(failure, AcceptedNegativeData) and self._is_right(case):
                    self.seen.rightly_accepted += 1
                    continue
                title = failure.title if isinstance(failure, Failure) else type(failure).__name__
                self.seen.failed(route, title, str(failure), case)

    def _is_right(self, case: Case) -> bool:
        """Whether a form's request fits its schema, though it was drawn not to: schemathesis 4.32 turns a member's
        null into an empty list, calls that wrong, and overlooks that the schema takes lists beside null.
        """
        if not isinstance(case.body, dict) or "image" not in case.body or "request" not in case.body:
            return False
        content = self._description["paths"][case.operation.path]["post"]["requestBody"]["content"]
        schema = {**content["application/json"]["schema"], "components": self._description["components"]}
        return bool(Draft202012Validator(schema).is_valid(case.body["request"]))

    @property
    def enough(self) -> bool:
        return self.seen.requests >= self._enough


def rounds(url: str, asking: Asking) -> Iterator[int]:
    """Ask every route in turn, each time with another seed; yields the number of requests after each round."""
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json", config=schemathesis.Config.from_path(CONFIG))
    for number in count():
        for found in schema.get_all_operations():
            operation = found.ok()
            for mode in GenerationMode:
                if mode.is_negative and not (operation.query or operation.body):
                    continue
                drawn = operation.as_strategy(generation_mode=mode)
                limits = settings(
                    max_examples=DEAR.get(operation.label, EXAMPLES),
                    database=None,
                    deadline=None,
                    phases=[Phase.generate],
                    suppress_health_check=list(HealthCheck),
                )
                seed(number)(limits(given(case=drawn)(asking.ask)))()
                if asking.enough:
                    yield asking.seen.requests
                    return
        yield asking.seen.requests


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--engine", required=True)
    parser.add_argument("--folder", type=Path, default=Path("benchmark/fuzz"), help="of the demo's data")
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    service = build(given.folder, given.engine, lambda text: click.echo(text, err=True))
    started = time.monotonic()
    log, config = given.folder / "service.log", given.folder / "maxcos.toml"
    with log.open("w", encoding="utf-8") as output, running(service, config, output) as (url, _):
        asking = Asking(requests.get(f"{url}/openapi.json", timeout=PATIENCE).json(), given.requests)
        for number in rounds(url, asking):
            click.echo(f"{number} requests, {len(asking.seen.failures)} kinds of failures", err=True)
            told = report(asking.seen, given.engine, time.monotonic() - started)
            if given.output:  # after each round: a run that is cut short has told what it saw
                given.output.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n", "utf-8")
    click.echo(json.dumps(told, indent=1, ensure_ascii=False))
    sys.exit(bool(asking.seen.failures))


def report(seen: Seen, engine: str, seconds: float) -> dict[str, Any]:
    return {
        "command": f"python {shlex.join(sys.argv)}",
        "engine": engine,
        "requests": seen.requests,
        "distinct": len(seen.distinct),
        "seconds": round(seconds),
        "statuses": dict(sorted(sum(seen.statuses.values(), Counter()).items())),
        "routes": {route: dict(sorted(counted.items())) for route, counted in seen.statuses.items()},
        "slowest_s": {route: round(took, 2) for route, took in seen.slowest.items()},
        "rightly_accepted": seen.rightly_accepted,
        "failures": list(seen.failures.values()),
    }


if __name__ == "__main__":
    main()

"""The real engines of the suite, started by the project's own script."""

from __future__ import annotations

import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from opensearchpy.exceptions import OpenSearchWarning

from es_mappings.cluster import connect
from es_mappings.errors import EngineUnavailable
from es_mappings.settings import EngineSettings

ROOT = Path(__file__).parents[2]
ENGINES = ("embedded", "elasticsearch-8", "elasticsearch-9", "opensearch-3")


@cache
def start_engine(name: str) -> str:
    """The URL of a running engine; started if need be, left running for the next test run."""
    command = [sys.executable, str(ROOT / "docker" / "engine.py"), "start", name]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        pytest.fail(f"{' '.join(command)} failed: the contract suite needs this engine")
    return done.stdout.strip()


@contextmanager
def cluster_setting(url: str, name: str, value: Any) -> Iterator[None]:
    """One setting of the whole cluster, taken back at the end: what a slow engine left unanswered it may have done,
    and what stays set would fail every test after this one.
    """

    def assign(value: Any) -> None:
        # A node warns of a deprecated setting, but only of the first time that it meets it.
        with warnings.catch_warnings(action="ignore", category=OpenSearchWarning):
            cluster.request("PUT", "/_cluster/settings", body={"persistent": {name: value}})

    with closing(connect(EngineSettings(url=url, timeout=60))) as cluster:
        try:
            assign(value)
            yield
        finally:
            patiently(lambda: assign(None))


def patiently(ask: Callable[[], Any], seconds: float = 120) -> None:
    """Ask again while the engine cannot be reached or does not answer."""
    until = time.monotonic() + seconds
    while True:
        try:
            ask()
            return
        except EngineUnavailable:
            if time.monotonic() > until:
                raise
            time.sleep(1)

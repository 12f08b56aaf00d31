"""The real engines of the suite, started by the project's own script."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

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

"""`maxcos serve` as a process of its own."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

from es_mappings.settings import Settings

START_SECONDS = 60


@contextmanager
def served(settings: Settings, config: Path) -> Iterator[str]:
    """The URL of a ready service; it is stopped by SIGTERM, and has to end well."""
    with running(settings, config) as (url, _):
        yield url


@contextmanager
def running(
    settings: Settings, config: Path, output: IO[str] | None = None, **variables: str
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """The same, with its process. output: where its logs go. variables: of its environment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {"MAXCOS_ENGINE__INDEX": settings.engine.index, "MAXCOS_ENGINE__URL": settings.engine.url}
    command = [sys.executable, "-m", "maxcos.cli", "serve", "--config", str(config), "--port", str(port)]
    process = subprocess.Popen(command, env={"PATH": "/usr/bin", **environment, **variables}, stdout=output)
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_until_ready(url, process)
        yield url, process
    finally:
        process.terminate()
        assert process.wait(60) == 0


def _wait_until_ready(url: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(START_SECONDS * 10):
        try:
            urllib.request.urlopen(f"{url}/readyz", timeout=30).close()
        except OSError:
            assert process.poll() is None, "maxcos serve ended"
            time.sleep(0.1)
        else:
            return
    pytest.fail("maxcos serve did not become ready")

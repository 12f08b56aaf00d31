"""Nodes of a real engine for one test: processes, ports and folders of their own."""

from __future__ import annotations

import os
import random
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from engines import ROOT

sys.path.append(str(ROOT / "docker"))
from provision.host import cache_root
from provision.node import PORT_STEP, ports_of
from provision.security import ADMIN, AUTHORITY, PASSWORD

__all__ = ["ADMIN", "AUTHORITY", "PASSWORD", "Nodes", "engine", "free_port", "own_cache", "several"]

PORTS = range(20_000, 20_010)
"""One of them is the first node's; the others follow ten by ten."""


@dataclass(frozen=True)
class Nodes:
    """The nodes of a cluster of `name`, numbered from 1 on."""

    name: str
    number: int
    port: int
    cache: Path

    def start(self) -> list[str]:
        """The URLs of all nodes; those that are dead are started again with their data."""
        several = [f"--nodes={self.number}"] if self.number > 1 else []
        return self._engine("start", self.name, *several, f"--port={self.port}").split()

    def kill(self, number: int) -> None:
        """kill -9."""
        self._engine("kill", self.name, str(number))

    def stop(self) -> None:
        self._engine("stop", self.name, *(["--cluster"] if self.number > 1 else []))

    def _engine(self, *arguments: str) -> str:
        return engine(self.cache, *arguments)


@contextmanager
def several(name: str, number: int) -> Iterator[Nodes]:
    """Nothing of it is left at the end, and no other cluster of this machine is in its way."""
    with own_cache() as cache:
        nodes = Nodes(name, number, free_port(number), cache)
        try:
            yield nodes
        finally:
            nodes.stop()


@contextmanager
def own_cache() -> Iterator[Path]:
    """A cache open to the user that an engine runs as, with the engines that are fetched already."""
    with tempfile.TemporaryDirectory(prefix="maxcos-") as folder:
        cache = Path(folder).resolve()
        cache.chmod(0o755)
        (cache_root() / "engines").mkdir(parents=True, exist_ok=True)
        (cache / "engines").symlink_to(cache_root() / "engines")
        yield cache


def engine(cache: Path, *arguments: str) -> str:
    """What docker/engine.py prints."""
    command = [sys.executable, str(ROOT / "docker" / "engine.py"), *arguments]
    environment = {**os.environ, "MAXCOS_CACHE": str(cache)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            output, _ = process.communicate()
        except BaseException:
            # Not killed, as by subprocess.run: on SIGTERM it takes the nodes that are half booted with it.
            process.terminate()
            raise
    if process.returncode != 0:
        pytest.fail(f"{' '.join(command)} failed")
    return output


def free_port(number: int) -> int:
    """A port that the first of so many nodes may have. By chance: two runs that begin together must not meet."""
    return next(
        port
        for port in random.sample(PORTS, len(PORTS))
        if all(_is_free(needed) for node in range(number) for needed in ports_of(port + PORT_STEP * node))
    )


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True

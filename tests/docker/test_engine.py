"""docker/engine.py as a command: what it does short of the network, and on real engines."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from provision.catalogue import ENGINES
from provision.host import cache_root
from provision.node import ports_of

from engines import start_engine

SCRIPT = Path(__file__).resolve().parents[2] / "docker" / "engine.py"


def _cli(cache: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "MAXCOS_CACHE": str(cache), **variables}
    command = [sys.executable, str(SCRIPT), *arguments]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=240, check=False)


def _get(url: str) -> Any:
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=30) as response:
        return json.load(response)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


@pytest.fixture
def port() -> int:
    """A port for a node beside those that others may be using."""
    return next(port for port in range(19200, 19300) if all(map(_is_free, ports_of(port))))


@pytest.fixture
def cache() -> Iterator[Path]:
    """A cache of its own, open to the user that an engine runs as, with the engines that are fetched already."""
    with tempfile.TemporaryDirectory(prefix="maxcos-") as folder:
        cache = Path(folder).resolve()
        cache.chmod(0o755)
        (cache / "engines").symlink_to(cache_root() / "engines")
        yield cache


# --- without an engine


def test_a_recorded_pid_of_another_process_is_not_taken_for_the_node(tmp_path: Path) -> None:
    run = tmp_path / "run" / "elasticsearch-8"
    run.mkdir(parents=True)
    (run / "pid").write_text(f"{os.getpid()}\n")
    result = _cli(tmp_path, "stop", "elasticsearch-8")
    assert (result.returncode, result.stderr) == (0, "elasticsearch-8 is not running\n")


def test_status_names_every_engine_and_its_state(tmp_path: Path) -> None:
    (tmp_path / "engines" / "elasticsearch-9-9.4.3").mkdir(parents=True)
    result = _cli(tmp_path, "status")
    assert result.returncode == 0
    assert result.stdout.splitlines() == [
        "elasticsearch-8  8.19.13  not fetched",
        "elasticsearch-9  9.4.3  stopped",
        "opensearch-3  3.5.0  not fetched",
        "elasticsearch-9-secured  9.4.3  stopped",
    ]


@pytest.mark.parametrize("command", ["start", "stop", "fetch"])
def test_an_unknown_engine_is_a_usage_error(tmp_path: Path, command: str) -> None:
    result = _cli(tmp_path, command, "solr-9")
    assert result.returncode == 2
    assert "invalid choice: 'solr-9'" in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(("name", "minimum"), [("elasticsearch-8", 17), ("elasticsearch-9", 21), ("opensearch-3", 21)])
def test_a_start_without_a_jdk_says_so_before_it_fetches(tmp_path: Path, port: int, name: str, minimum: int) -> None:
    result = _cli(tmp_path, "start", name, "--port", str(port), MAXCOS_JAVA_HOME=str(tmp_path / "jdk"))
    expected = f"engine.py: MAXCOS_JAVA_HOME={tmp_path}/jdk holds no usable JDK {minimum} or newer\n"
    assert (result.returncode, result.stdout, result.stderr) == (1, "", expected)


@pytest.mark.parametrize("which", [0, 1])
def test_a_start_on_a_port_in_use_says_so_before_it_fetches(tmp_path: Path, port: int, which: int) -> None:
    with socket.create_server(("127.0.0.1", ports_of(port)[which])):
        result = _cli(tmp_path, "start", "opensearch-3", "--port", str(port))
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith(f"engine.py: port {ports_of(port)[which]} of 127.0.0.1 is not available")


# --- on real engines; tests/acceptance/test_secured.py starts the one with security

PLAIN = [name for name, engine in ENGINES.items() if not engine.secured]


@pytest.mark.parametrize("name", PLAIN)
def test_a_started_node_is_the_engine_that_it_is_called(name: str) -> None:
    url = start_engine(name)
    node = _get(url)
    assert (node["name"], node["cluster_name"]) == (name, f"maxcos-{name}")
    assert node["version"]["number"] == ENGINES[name].version


PLUGINS = [("elasticsearch-8", []), ("elasticsearch-9", []), ("opensearch-3", ["opensearch-knn 3.5.0.0"])]


@pytest.mark.parametrize(("name", "plugins"), PLUGINS)
def test_a_started_node_has_its_modules_and_plugins(name: str, plugins: list[str]) -> None:
    (node,) = _get(f"{start_engine(name)}/_nodes/plugins")["nodes"].values()
    assert {"lang-painless", "analysis-common", "reindex"} <= {module["name"] for module in node["modules"]}
    assert [f"{plugin['name']} {plugin['version']}" for plugin in node["plugins"]] == plugins


@pytest.mark.parametrize("name", PLAIN)
def test_a_node_that_cannot_boot_is_reported_with_its_log(cache: Path, port: int, name: str) -> None:
    start_engine(name)
    result = _cli(cache, "start", name, "--port", str(port), MAXCOS_ES_HEAP="1k")
    assert (result.returncode, result.stdout) == (1, "")
    assert f"{name} died as it booted; the end of {cache}/run/{name}/console.log:\n" in result.stderr
    assert "Too small" in result.stderr
    assert f"{name}  {ENGINES[name].version}  stopped\n" in _cli(cache, "status").stdout


def test_a_node_is_started_once_and_stopped(cache: Path, port: int) -> None:
    start_engine("opensearch-3")
    url = f"http://127.0.0.1:{port}"
    first = _cli(cache, "start", "opensearch-3", "--port", str(port))
    try:
        assert (first.returncode, first.stdout) == (0, f"{url}\n"), first.stderr
        again = _cli(cache, "start", "opensearch-3")
        assert (again.returncode, again.stdout, again.stderr) == (0, f"{url}\n", "")
        moved = _cli(cache, "start", "opensearch-3", "--port", str(port + 1))
        assert moved.returncode == 1
        assert f"opensearch-3 already runs on port {port}" in moved.stderr
        pid = (cache / "run" / "opensearch-3" / "pid").read_text().strip()
        assert f"opensearch-3  3.5.0  running  {url}  pid {pid}\n" in _cli(cache, "status").stdout
    finally:
        stopped = _cli(cache, "stop", "opensearch-3")
    assert (stopped.returncode, stopped.stderr) == (0, "opensearch-3 stopped\n")
    assert "opensearch-3  3.5.0  stopped\n" in _cli(cache, "status").stdout
    assert all(map(_is_free, ports_of(port)))

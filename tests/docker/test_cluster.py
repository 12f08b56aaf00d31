"""Starting, killing and stopping the nodes of a cluster, without engines: the acceptance tests have real ones."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from engine import execute, parse
from provision import commands
from provision.catalogue import ENGINES
from provision.host import EngineError
from provision.node import Node, cluster_folder

ENGINE = ENGINES["elasticsearch-9"]
URLS = [f"http://127.0.0.1:{port}" for port in (19500, 19510, 19520)]


class Machine:
    """Pretends to run nodes: which of them run, and what was done to them."""

    def __init__(self) -> None:
        self.running: dict[Path, int] = {}
        self.done: list[tuple[str, str]] = []

    def prepare(self, node: Node, port: int) -> None:
        (node.run / "data").mkdir(parents=True, exist_ok=True)
        (node.run / "port").write_text(str(port))

    def launch(self, node: Node, java: Path) -> Any:
        self.done.append(("launch", node.name))
        self.running[node.run] = 1000 + node.number
        return SimpleNamespace(pid=1000 + node.number)

    def running_pid(self, node: Node) -> int | None:
        return self.running.get(node.run)

    def end(self, node: Node, pid: int, sent: signal.Signals) -> bool:
        self.done.append((sent.name, node.name))
        return self.running.pop(node.run) == pid

    def taken(self) -> Sequence[tuple[str, str]]:
        done, self.done = self.done, []
        return done


def run(*arguments: str) -> None:
    execute(parse(arguments))


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    monkeypatch.setenv("MAXCOS_CACHE", str(tmp_path))
    machine = Machine()
    for name in ("prepare", "launch", "running_pid", "end"):
        monkeypatch.setattr(commands, name, getattr(machine, name))
    monkeypatch.setattr(commands.artifacts, "fetch", lambda engine: None)
    monkeypatch.setattr(commands, "ensure_java", lambda minimum: Path("/jdk"))
    monkeypatch.setattr(commands, "wait_healthy", lambda node, port, launcher: None)
    return machine


def test_a_cluster_is_started_once_and_begins_without_data(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    left = cluster_folder(ENGINE) / "1" / "data" / "left"
    left.parent.mkdir(parents=True)
    left.touch()
    for launched in ([("launch", f"elasticsearch-9-{number}") for number in (1, 2, 3)], []):
        run("start", "elasticsearch-9", "--nodes", "3", "--port", "19500")
        assert capsys.readouterr().out.splitlines() == URLS
        assert machine.taken() == launched
    assert not left.exists()


def test_a_killed_node_is_started_again_with_its_data(machine: Machine) -> None:
    commands.start_cluster(ENGINE, 3, 19500)
    machine.taken()
    kept = cluster_folder(ENGINE) / "2" / "data" / "kept"
    kept.touch()
    run("kill", "elasticsearch-9", "2")
    assert commands.start_cluster(ENGINE, 3, None) == URLS
    assert machine.taken() == [("SIGKILL", "elasticsearch-9-2"), ("launch", "elasticsearch-9-2")]
    assert kept.exists()


@pytest.mark.parametrize(("nodes", "port", "problem"), [(2, None, "a cluster of 3 nodes"), (3, 19501, "port 19500")])
def test_a_running_cluster_does_not_become_another(machine: Machine, nodes: int, port: int, problem: str) -> None:
    commands.start_cluster(ENGINE, 3, 19500)
    with pytest.raises(EngineError, match=f"already runs .*{problem}"):
        commands.start_cluster(ENGINE, nodes, port)


@pytest.mark.parametrize("number", [0, 2, 4])
def test_only_a_running_node_of_a_cluster_can_be_killed(machine: Machine, number: int) -> None:
    commands.start_cluster(ENGINE, 3, 19500)
    machine.running[Node(ENGINE).run] = 1
    del machine.running[cluster_folder(ENGINE) / "2"]
    with pytest.raises(EngineError, match=f"no node {number} of a cluster of elasticsearch-9 is running"):
        run("kill", "elasticsearch-9", str(number))


def test_the_node_alone_and_the_cluster_are_stopped_apart(machine: Machine) -> None:
    alone = [("SIGTERM", "elasticsearch-9")]
    several = [("SIGTERM", f"elasticsearch-9-{number}") for number in (1, 2, 3)]
    for arguments, ended in (
        (["elasticsearch-9"], alone),
        (["elasticsearch-9", "--cluster"], several),
        (["all"], several + alone),
    ):
        commands.start_cluster(ENGINE, 3, 19500)
        machine.running[Node(ENGINE).run] = 1
        machine.taken()
        run("stop", *arguments)
        assert machine.taken() == ended


def test_what_did_boot_ends_with_what_did_not(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    def wait(node: Node, port: int, launcher: Any) -> None:
        if node.number == 2:
            raise EngineError("died as it booted")

    ended: list[int] = []
    monkeypatch.setattr(commands, "wait_healthy", wait)
    monkeypatch.setattr(commands.os, "killpg", lambda group, sent: ended.append(group))
    with pytest.raises(EngineError, match="died"):
        commands.start_cluster(ENGINE, 3, 19500)
    assert ended == [1001, 1002, 1003]


def test_status_has_a_line_for_each_node(machine: Machine) -> None:
    ENGINE.home.mkdir(parents=True)
    commands.start_cluster(ENGINE, 3, 19500)
    machine.running.clear()
    machine.running[cluster_folder(ENGINE) / "3"] = 1003
    assert commands.status_lines(ENGINE) == [
        "elasticsearch-9  9.4.3  stopped",
        "elasticsearch-9-1  9.4.3  stopped",
        "elasticsearch-9-2  9.4.3  stopped",
        f"elasticsearch-9-3  9.4.3  not healthy  {URLS[2]}  pid 1003",
    ]


@pytest.mark.parametrize("number", ["1", "10", "three"])
def test_a_cluster_has_two_to_nine_nodes(number: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        parse(["start", "elasticsearch-9", "--nodes", number])
    assert "--nodes" in capsys.readouterr().err


def test_there_is_no_cluster_with_security(machine: Machine) -> None:
    with pytest.raises(EngineError, match="runs as a node alone"):
        run("start", "elasticsearch-9-secured", "--nodes=2")

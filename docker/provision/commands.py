"""What can be done with an engine: fetch it, start, stop and kill its nodes, and say how they stand."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence

from provision import artifacts
from provision.catalogue import Engine
from provision.host import EngineError, say
from provision.node import PORT_STEP, Node, cluster, cluster_folder, last_cluster, launch, ports_of, prepare
from provision.process import end, healthy, require_free, running_pid, running_port, url_of, wait_healthy
from provision.security import ADMIN, AUTHORITY, PASSWORD
from provision.tools import ensure_java


@contextlib.contextmanager
def _locked(engine: Engine) -> Iterator[None]:
    """Hold the engine's lock, waiting for whoever holds it now."""
    file = Node(engine).run.with_name(f"{engine.line}.lock")
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"{engine.name}: waiting for another engine.py that is busy with it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def fetch(engine: Engine) -> None:
    """Have the engine downloaded, verified and unpacked. Raises EngineError if that cannot be done."""
    with _locked(engine):
        artifacts.fetch(engine)
    say(f"{engine.name} is in {engine.home}")


def start(engine: Engine, port: int | None) -> str:
    """Have a healthy node running, and return its URL.

    Raises EngineError if the engine cannot be fetched or booted, or runs on another port than was asked for.
    """
    node = Node(engine)
    if running_pid(node) is not None and healthy(node, running_port(node)):
        return url_of(node, _check_port(node, port))
    with _locked(engine):
        if running_pid(node) is not None:
            chosen = _check_port(node, port)
            wait_healthy(node, chosen, launcher=None)
        else:
            chosen = port or node.port
            _boot(engine, [(node, chosen)])
    return url_of(node, chosen)


def start_cluster(engine: Engine, nodes: int, port: int | None) -> list[str]:
    """Have a cluster of so many healthy nodes running, the first of them on this port, and return their URLs.

    It begins without data, unless some of its nodes run: then those that do not are started with the data they had.
    Raises EngineError if the engine cannot be fetched or booted, or runs as another cluster than was asked for.
    """
    if engine.secured:
        raise EngineError(f"{engine.name} runs as a node alone: its transport has no TLS")
    with _locked(engine):
        members = last_cluster(engine)
        running = [node for node in members if running_pid(node) is not None]
        if not running:
            if cluster_folder(engine).exists():
                shutil.rmtree(cluster_folder(engine))
            members = cluster(engine, nodes)
        elif len(members) != nodes:
            raise EngineError(f"{engine.name} already runs as a cluster of {len(members)} nodes: stop it first")
        first = _check_port(members[0], port) if running else port or members[0].port
        placed = [(node, first + PORT_STEP * position) for position, node in enumerate(members)]
        _boot(engine, [(node, at) for node, at in placed if node not in running])
        for node in running:
            wait_healthy(node, running_port(node), launcher=None)
    return [url_of(node, at) for node, at in placed]


def _check_port(node: Node, wanted: int | None) -> int:
    """The running node's port. Raises EngineError if another one is wanted."""
    port = running_port(node)
    if wanted not in (None, port):
        raise EngineError(f"{node.name} already runs on port {port}: stop it first to move it to {wanted}")
    return port


def _boot(engine: Engine, placed: Sequence[tuple[Node, int]]) -> None:
    """Start nodes that do not run yet, and wait until they are healthy; a failure leaves none of them behind."""
    # What can be refused at once is not refused after a long download.
    for _, port in placed:
        for needed in ports_of(port):
            require_free(needed)
    java = ensure_java(engine.min_java)
    artifacts.fetch(engine)
    began = time.monotonic()
    launchers: list[subprocess.Popen[bytes]] = []
    try:
        for node, port in placed:
            prepare(node, port)
            say(f"starting {node.name} {engine.version} with {java}")
            launchers.append(launch(node, java))
        for (node, port), launcher in zip(placed, launchers, strict=True):
            wait_healthy(node, port, launcher)
            say(f"{node.name} is healthy after {time.monotonic() - began:.1f} s")
            if engine.secured:
                say(f"user {ADMIN}; {PASSWORD} and {AUTHORITY} are files in {node.run}")
    except BaseException:
        # A node is in its launcher's process group. That group is our own: its leader is our child.
        for launcher in launchers:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(launcher.pid, signal.SIGKILL)
        raise


def stop(engine: Engine) -> None:
    """Stop the engine's node alone, if it runs. Raises EngineError if it cannot be stopped."""
    with _locked(engine):
        _stop(Node(engine))


def stop_cluster(engine: Engine) -> None:
    """Stop the nodes of the engine's cluster that run. Raises EngineError if one cannot be stopped."""
    with _locked(engine):
        for node in last_cluster(engine):
            _stop(node)


def _stop(node: Node) -> None:
    pid = running_pid(node)
    if pid is None:
        say(f"{node.name} is not running")
        return
    for sent in (signal.SIGTERM, signal.SIGKILL):
        if end(node, pid, sent):
            say(f"{node.name} stopped" + (" (it had to be killed)" if sent == signal.SIGKILL else ""))
            return
    raise EngineError(f"{node.name}: process {pid} does not end")


def kill(engine: Engine, number: int) -> None:
    """End a node of the engine's cluster as a crash does. Raises EngineError if it does not run."""
    with _locked(engine):
        node = next((node for node in last_cluster(engine) if node.number == number), None)
        pid = running_pid(node) if node is not None else None
        if node is None or pid is None:
            raise EngineError(f"no node {number} of a cluster of {engine.name} is running")
        if not end(node, pid, signal.SIGKILL):
            raise EngineError(f"{node.name}: process {pid} does not end")
        say(f"{node.name} killed")


def status_lines(engine: Engine) -> list[str]:
    """A line on the engine's node alone, and one on each of its last cluster's: name, version, state, and the URL of a
    running node.
    """
    return [_status(node) for node in (Node(engine), *last_cluster(engine))]


def _status(node: Node) -> str:
    pid = running_pid(node)
    if pid is None:
        state = "stopped" if node.engine.home.is_dir() else "not fetched"
    else:
        port = running_port(node)
        state = f"{'running' if healthy(node, port) else 'not healthy'}  {url_of(node, port)}  pid {pid}"
    return f"{node.name}  {node.engine.version}  {state}"

"""An engine's node: its folders and configuration, and the command that launches it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from provision import security
from provision.catalogue import Engine
from provision.host import (
    SERVICE_USER,
    EngineError,
    as_service_user,
    cache_root,
    give_to_service_user,
    is_root,
    open_to_others,
)

HOST = "127.0.0.1"
TRANSPORT_PORT_OFFSET = 100

# From a cluster's node to the next. Engines' own ports differ in their last digits, so their clusters never meet, and
# neither do HTTP's ports and those of the transport, as long as there are fewer than ten nodes.
PORT_STEP = 10
MOST_NODES = 9


@dataclass(frozen=True)
class Node:
    """A node of an engine: alone, or a numbered one of a cluster."""

    engine: Engine
    number: int = 0  # from 1 on in a cluster; 0 is a node alone
    nodes: int = 1  # in its cluster

    @property
    def name(self) -> str:
        """What the node is called, in its cluster and to the user."""
        return f"{self.engine.name}-{self.number}" if self.number else self.engine.name

    @property
    def run(self) -> Path:
        """Its data, logs, configuration and temporary files."""
        folder = cluster_folder(self.engine) / str(self.number)
        return folder if self.number else cache_root() / "run" / self.engine.name

    @property
    def port(self) -> int:
        """Its port, unless another is asked for."""
        return self.engine.port + PORT_STEP * self.number

    @property
    def heap(self) -> str:
        """Its heap, unless another is asked for."""
        return "384m" if self.number else "512m"

    @property
    def jvm(self) -> tuple[str, ...]:
        """Further options of its JVM."""
        # Nodes that boot side by side share the cores: without the second compiler each takes half the time. One with
        # security is started for a few requests, and stopped again.
        return ("-XX:TieredStopAtLevel=1",) if self.number or self.engine.secured else ()


def cluster_folder(engine: Engine) -> Path:
    """What holds the folders of the nodes of an engine's cluster."""
    return cache_root() / "run" / f"{engine.name}-cluster"


def cluster(engine: Engine, nodes: int) -> tuple[Node, ...]:
    """The nodes of a cluster of so many."""
    return tuple(Node(engine, number, nodes) for number in range(1, nodes + 1))


def last_cluster(engine: Engine) -> tuple[Node, ...]:
    """The nodes of the cluster that was last started, whether they run or not; none if none ever was."""
    return cluster(engine, sum(1 for _ in cluster_folder(engine).glob("[1-9]")))


def ports_of(port: int) -> tuple[int, int]:
    """The ports of a node that is asked to be on this one: HTTP's, and that of its transport."""
    return port, port + TRANSPORT_PORT_OFFSET


def settings(node: Node, port: int) -> dict[str, str]:
    """The node's configuration, limited to the settings that its modules know."""
    engine = node.engine
    http, transport = ports_of(port)
    result = {
        "cluster.name": f"maxcos-{engine.name}",
        "node.name": node.name,
        **(_membership(node, port) if node.number else {"discovery.type": "single-node"}),
        "network.host": HOST,
        "http.port": str(http),
        "transport.port": str(transport),
        "path.data": str(node.run / "data"),
        "path.logs": str(node.run / "logs"),
        "cluster.routing.allocation.disk.threshold_enabled": "false",
    }
    for module, entries in engine.family.settings_by_module.items():
        if (engine.home / "modules" / module).is_dir():
            result.update(entries)
    return {**result, **security.SETTINGS} if engine.secured else result


def _membership(node: Node, port: int) -> dict[str, str]:
    """How a cluster's node finds the others, of which the first is as many steps below as its number tells."""
    members = cluster(node.engine, node.nodes)
    transports = (ports_of(port + PORT_STEP * (member.number - node.number))[1] for member in members)
    return {
        "discovery.seed_hosts": ",".join(f"{HOST}:{transport}" for transport in transports),
        # Heeded by nodes without data only, so that it may stay when a node is started again.
        "cluster.initial_master_nodes": ",".join(member.name for member in members),
    }


def prepare(node: Node, port: int) -> None:
    """Write the node's folders and configuration. Raises EngineError if its user could not reach them."""
    engine = node.engine
    config = node.run / "config"
    for folder in (node.run, config, *(node.run / name for name in ("data", "logs", "tmp"))):
        folder.mkdir(parents=True, exist_ok=True)
    shutil.copytree(engine.home / "config", config, dirs_exist_ok=True)
    lines = [f"{key}: {json.dumps(value)}\n" for key, value in settings(node, port).items()]
    (config / f"{engine.family.name}.yml").write_text("".join(lines), encoding="utf-8")
    _redirect(config / "jvm.options", node.run)
    if engine.secured:
        security.secure(node.run, HOST)
    (node.run / "port").write_text(f"{port}\n")
    (node.run / "pid").unlink(missing_ok=True)
    if is_root():
        give_to_service_user(node.run)
        for folder in (node.run, engine.home):
            if not open_to_others(folder):
                raise EngineError(
                    f"{SERVICE_USER}, whom the engine runs as, cannot reach {folder}: "
                    "set MAXCOS_CACHE to a folder that is open to all users"
                )


def _redirect(jvm_options: Path, run: Path) -> None:
    """Let a JVM write into this node's logs/ and data/ what its options put into those of the engine's home.

    OpenSearch's do. The home may not be writable, and a JVM that cannot write its log does not start.
    """
    text = jvm_options.read_text(encoding="utf-8")
    text = re.sub(r"=(?=(logs|data)(/|$))", lambda _: f"={run}/", text, flags=re.MULTILINE)
    jvm_options.write_text(text, encoding="utf-8")


def launch(node: Node, java: Path) -> subprocess.Popen[bytes]:
    """Start the engine's launcher, which detaches the node or becomes it, in a session of its own."""
    family = node.engine.family
    heap = os.environ.get("MAXCOS_ES_HEAP", node.heap)
    # Not our environment: engines heed, or stumble over, a good many variables.
    env = {"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8"}
    ours = {
        "JAVA_HOME": str(java),
        "JAVA_OPTS": " ".join((f"-Xms{heap}", f"-Xmx{heap}", *node.jvm)),
        "PATH_CONF": str(node.run / "config"),
        "TMPDIR": str(node.run / "tmp"),
    }
    env.update({f"{family.prefix}_{name}": value for name, value in ours.items()})
    command = [str(node.engine.home / "bin" / family.name), *family.options, "-p", str(node.run / "pid")]
    with (node.run / "console.log").open("wb") as console:
        return subprocess.Popen(
            as_service_user(command) if is_root() else command,
            cwd=node.run,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

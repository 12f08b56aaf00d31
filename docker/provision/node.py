"""An engine's node: its folders and configuration, and the command that launches it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

from provision.catalogue import Engine
from provision.host import SERVICE_USER, EngineError, as_service_user, give_to_service_user, is_root, open_to_others

HOST = "127.0.0.1"
TRANSPORT_PORT_OFFSET = 100


def ports_of(port: int) -> tuple[int, int]:
    """The ports of a node that is asked to be on this one: HTTP's, and that of its transport."""
    return port, port + TRANSPORT_PORT_OFFSET


def settings(engine: Engine, port: int) -> dict[str, str]:
    """The node's configuration, limited to the settings that its modules know."""
    http, transport = ports_of(port)
    result = {
        "cluster.name": f"maxcos-{engine.name}",
        "node.name": engine.name,
        "discovery.type": "single-node",
        "network.host": HOST,
        "http.port": str(http),
        "transport.port": str(transport),
        "path.data": str(engine.run / "data"),
        "path.logs": str(engine.run / "logs"),
        "cluster.routing.allocation.disk.threshold_enabled": "false",
    }
    for module, entries in engine.family.settings_by_module.items():
        if (engine.home / "modules" / module).is_dir():
            result.update(entries)
    return result


def prepare(engine: Engine, port: int) -> None:
    """Write the node's folders and configuration. Raises EngineError if its user could not reach them."""
    config = engine.run / "config"
    for folder in (engine.run, config, *(engine.run / name for name in ("data", "logs", "tmp"))):
        folder.mkdir(parents=True, exist_ok=True)
    shutil.copytree(engine.home / "config", config, dirs_exist_ok=True)
    lines = [f"{key}: {json.dumps(value)}\n" for key, value in settings(engine, port).items()]
    (config / f"{engine.family.name}.yml").write_text("".join(lines), encoding="utf-8")
    _redirect(config / "jvm.options", engine.run)
    (engine.run / "port").write_text(f"{port}\n")
    (engine.run / "pid").unlink(missing_ok=True)
    if is_root():
        give_to_service_user(engine.run)
        for folder in (engine.run, engine.home):
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


def launch(engine: Engine, java: Path) -> subprocess.Popen[bytes]:
    """Start the engine's launcher, which detaches the node or becomes it, in a session of its own."""
    heap = os.environ.get("MAXCOS_ES_HEAP", "512m")
    # Not our environment: engines heed, or stumble over, a good many variables.
    env = {"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8"}
    ours = {
        "JAVA_HOME": str(java),
        "JAVA_OPTS": f"-Xms{heap} -Xmx{heap}",
        "PATH_CONF": str(engine.run / "config"),
        "TMPDIR": str(engine.run / "tmp"),
    }
    env.update({f"{engine.family.prefix}_{name}": value for name, value in ours.items()})
    command = [str(engine.home / "bin" / engine.family.name), *engine.family.options, "-p", str(engine.run / "pid")]
    with (engine.run / "console.log").open("wb") as console:
        return subprocess.Popen(
            as_service_user(command) if is_root() else command,
            cwd=engine.run,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

"""A node's process: whether it runs, whether it answers, and how it is ended."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import time
from pathlib import Path

from provision.host import EngineError
from provision.node import HOST, Node
from provision.security import ADMIN, AUTHORITY, PASSWORD

BOOT_SECONDS = 180
STOP_SECONDS = 30


def running_pid(node: Node) -> int | None:
    """The recorded pid, if that process still is this node's."""
    pid = _read_int(node.run / "pid")
    return pid if pid is not None and _is_process_of(node, pid) else None


def running_port(node: Node) -> int:
    """The port that the node was last started on."""
    return _read_int(node.run / "port") or node.port


def _read_int(file: Path) -> int | None:
    try:
        return int(file.read_text().strip())
    except (OSError, ValueError):
        return None


def _is_process_of(node: Node, pid: int) -> bool:
    """Whether this process is the node's java, and not a later user of its number."""
    try:
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    # The temporary folder is this node's own, so it tells apart nodes of one engine, also in two caches.
    ours = os.fsencode(f"-Djava.io.tmpdir={node.run / 'tmp'}")
    return arguments[0].endswith(b"/java") and ours in arguments


def url_of(node: Node, port: int) -> str:
    """The node's URL on this port."""
    return f"{'https' if node.engine.secured else 'http'}://{HOST}:{port}"


def healthy(node: Node, port: int, wait_seconds: int = 1) -> bool:
    """Whether the node answers on this port, with a health of yellow or green."""
    try:
        connection, headers = _way_to(node, port, wait_seconds + 5)
    except OSError:
        return False
    try:
        connection.request("GET", f"/_cluster/health?wait_for_status=yellow&timeout={wait_seconds}s", headers=headers)
        response = connection.getresponse()
        return response.status == 200 and json.load(response).get("status") in ("yellow", "green")
    except (OSError, http.client.HTTPException, ValueError):
        return False
    finally:
        connection.close()


def _way_to(node: Node, port: int, seconds: int) -> tuple[http.client.HTTPConnection, dict[str, str]]:
    """A connection, and the headers of requests. Raises OSError where the node's secrets are not ours to read."""
    # http.client rather than urllib: a proxy in the environment must not get in between.
    if not node.engine.secured:
        return http.client.HTTPConnection(HOST, port, timeout=seconds), {}
    trust = ssl.create_default_context(cafile=node.run / AUTHORITY)
    pair = f"{ADMIN}:{(node.run / PASSWORD).read_text()}".encode()
    headers = {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}
    return http.client.HTTPSConnection(HOST, port, timeout=seconds, context=trust), headers


def wait_healthy(node: Node, port: int, launcher: subprocess.Popen[bytes] | None) -> None:
    """Wait for a booting node. Raises EngineError, with the log's tail, if it dies or takes too long."""
    deadline = time.monotonic() + BOOT_SECONDS
    while not healthy(node, port):
        booting = launcher is not None and launcher.poll() is None
        if not booting and running_pid(node) is None:
            problem = "died as it booted"
        elif time.monotonic() > deadline:
            problem = f"was not healthy after {BOOT_SECONDS} s"
        else:
            time.sleep(0.5)
            continue
        log = node.run / "console.log"
        raise EngineError(f"{node.name} {problem}; the end of {log}:\n{_tail(log)}")


def _tail(log: Path, lines: int = 25) -> str:
    """The last lines of a log."""
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])


def require_free(port: int) -> None:
    """Raises EngineError if something listens on the port already."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except (OSError, OverflowError) as error:
            raise EngineError(f"port {port} of {HOST} is not available: {error}") from None


def end(node: Node, pid: int, sent: signal.Signals) -> bool:
    """Send a signal to the node, and wait for its end; whether it ended."""
    deadline = time.monotonic() + STOP_SECONDS
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, sent)
    while _is_process_of(node, pid):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True

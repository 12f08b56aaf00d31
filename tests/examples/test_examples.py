"""The example applications do what their pages say: data, index, and the answers in the tables."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from es_mappings.settings import Settings, load_settings
from maxcos.cli import main
from query_api.service import SearchService

ROOT = Path(__file__).parents[2]
EPOCHS = "60"
"""Fewer than an ingestion takes by itself, and enough for these questions."""


@pytest.fixture
def example(request: pytest.FixtureRequest, tmp_path: Path, models: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The page of an example whose commands run in a copy of it, from the folder that its first command starts in."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples", ignore=shutil.ignore_patterns("data"))
    monkeypatch.setenv("MAXCOS_CACHE", str(models.parent))
    monkeypatch.chdir(tmp_path)
    return (ROOT / "examples" / request.param / "README.md").read_text("utf-8")


def lines(page: str) -> list[list[str]]:
    """The commands of a page, each as its words; what a backslash or an open quote continues is one of them."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    text = "".join(blocks).replace("\\\n", " ")
    return [shlex.split(line) for line in re.findall(r"(?:'[^']*'|[^'\n])+", text)]


def data(words: list[str]) -> None:
    """`python -m examples.NAME.data`, as a process, since it is found from the folder it starts in."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, *words], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert re.match(r"\d+ items in ", done.stdout)


@pytest.fixture(autouse=True)
def one_service(monkeypatch: pytest.MonkeyPatch) -> None:
    """The searches of a page share their encoders, which each of its commands would load for itself."""
    load, loaded = SearchService.from_settings, dict[str, SearchService]()

    def shared(settings: Settings) -> SearchService:
        if settings.engine.index not in loaded:
            loaded[settings.engine.index] = load(settings)
        return loaded[settings.engine.index]

    monkeypatch.setattr(SearchService, "from_settings", shared)


def maxcos(words: list[str]) -> str:
    done = CliRunner().invoke(main, words, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def titles(words: list[str]) -> list[str]:
    """What a command found: of `maxcos search`, or of a request to the service."""
    if words[0] == "maxcos":
        return re.findall(r"^-?\d\.\d+ +\w+ +(.+?)  \[", maxcos(words[1:]), re.MULTILINE)
    settings = load_settings(Path("maxcos.toml"))
    hits = SearchService.from_settings(settings).search(json.loads(words[words.index("--json") + 1]))["hits"]
    assert all(hit["paths"] for hit in hits)
    return [hit["source"][settings.page.title] for hit in hits]


def shown(page: str) -> list[list[str]]:
    """The answers in the page's table."""
    rows = [line.strip("|").split("|") for line in page.splitlines() if line.startswith("| ")]
    return [[title.strip().removesuffix(" itself") for title in row[1].split(",")] for row in rows[1:]]


@pytest.mark.parametrize("example", ["shop", "social", "medical", "travel"], indirect=True)
def test_an_example_answers_what_its_page_says(example: str) -> None:
    build, folder, ingest, *searches = lines(example)
    assert (build[0], folder[0], ingest[:2]) == ("python", "cd", ["maxcos", "ingest"])
    data(build[1:])
    os.chdir(folder[1])
    graph = ["--names", "data/names.tsv", "--output", "data/graph.npz", "--epochs", EPOCHS]
    maxcos(["graph", "train", "data/triples.tsv", *graph])
    summary = json.loads(maxcos([*ingest[1:], "--json"]).splitlines()[-1])
    assert summary["written"] == summary["read"] and not summary["lost"]
    for words, answers in zip(searches, shown(example), strict=True):
        found = titles(words)
        assert found[0] == answers[0]
        assert sorted(found) == sorted(answers)  # a graph's vectors differ a little between processors


def test_what_is_missing_is_said_in_a_line(tmp_path: Path) -> None:
    environment = {**os.environ, "MAXCOS_CACHE": str(tmp_path), "PATH": ""}
    command = [sys.executable, "-m", "examples.travel.data"]
    shutil.copytree(ROOT / "examples", tmp_path / "examples", ignore=shutil.ignore_patterns("data"))
    environment["PYTHONPATH"] = str(ROOT)
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("Error: ") and "npm" in done.stderr and "Traceback" not in done.stderr


def test_every_example_names_the_licence_of_its_data() -> None:
    for page in sorted((ROOT / "examples").glob("*/README.md")):
        assert re.search(r"MIT|CC-BY|Open Database License", page.read_text("utf-8")), page
        assert "NOTICE" in (page.parent / "data.py").read_text("utf-8")

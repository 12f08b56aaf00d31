"""The commands in the documents do what the documents say."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def commands(document: str) -> list[str]:
    text = (ROOT / document).read_text("utf-8")
    return re.findall(r"^```sh\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


def shell(script: str, folder: Path, **variables: str) -> str:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**os.environ, **variables, "PATH": path}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_the_quick_start_works(tmp_path: Path, models: Path) -> None:
    output = [shell(script, tmp_path, MODELS=str(models)) for script in commands("docs/quickstart.md")]
    assert len(output) == 4
    searches = output[2]
    assert "4 of 4 items written" in searches
    assert '"id": "bed-1"' in searches.replace('"id":"', '"id": "')
    assert "was built differently" in output[3]


def test_the_readme_s_requests_work(service: str, shop_folder: Path) -> None:
    (script,) = commands("README.md")
    answers = shell(script.replace("http://127.0.0.1:8000", service), shop_folder.parent).splitlines()
    words, mixed, picture = (json.loads(answer) for answer in answers)
    assert len(words["hits"]) == 3
    assert {hit["source"]["category"] for hit in mixed["hits"]} == {"Living room"}
    assert picture["hits"][0]["id"] == "scopia-bed1"


@pytest.mark.parametrize("document", ["README.md", "docs/architecture.md", "docs/quickstart.md"])
def test_links_lead_somewhere(document: str) -> None:
    text = (ROOT / document).read_text("utf-8")
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        assert ((ROOT / document).parent / target).exists(), target


def test_every_module_named_in_the_architecture_exists() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    tree = text.split("## The tree")[1].split("## A query")[0]
    existing = {path.name for path in ROOT.glob("[!.]*/**/*.py")}
    named = set(re.findall(r"\b\w+\.py\b", tree))
    assert named
    assert named <= existing, named - existing

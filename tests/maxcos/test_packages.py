"""What is installed is what is there: packages are listed by hand."""

from __future__ import annotations

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_package_is_listed() -> None:
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]["packages"]
    roots = {name.partition(".")[0] for name in listed}
    found = {".".join(file.parent.relative_to(ROOT).parts) for root in roots for file in (ROOT / root).rglob("*.py")}
    assert sorted(listed) == sorted(found)

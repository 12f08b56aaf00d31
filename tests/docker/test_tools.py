"""Finding Java and Maven."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from provision.host import EngineError
from provision.tools import choose_java, ensure_java, ensure_maven


@pytest.fixture
def not_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """Root would install what is missing, and may use only what its service user can reach."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)


def _jdk(home: Path, version: str) -> Path:
    (home / "bin").mkdir(parents=True)
    (home / "bin" / "java").write_text("#!/bin/sh\n")
    (home / "bin" / "java").chmod(0o755)
    lines = ('IMPLEMENTOR="Test"', f'JAVA_VERSION="{version}"', 'JAVA_VERSION_DATE="2026-01-01"')
    (home / "release").write_text("\n".join(lines))
    return home


@pytest.fixture
def jdks(tmp_path: Path, not_root: None) -> list[Path]:
    """Fake JDKs 25, 17, 8 and 21, in this order, and a folder that is none."""
    versions = ("25.0.3", "17.0.15", "1.8.0_442", "21")
    return [*(_jdk(tmp_path / f"jdk-{version}", version) for version in versions), tmp_path / "none"]


JDK_CHOICES = [(8, "1.8.0_442"), (17, "17.0.15"), (18, "21"), (22, "25.0.3")]


@pytest.mark.parametrize(("minimum", "version"), JDK_CHOICES)
def test_the_oldest_sufficient_jdk_is_chosen(jdks: list[Path], minimum: int, version: str) -> None:
    chosen = choose_java(jdks, minimum)
    assert chosen and chosen.name == f"jdk-{version}"


def test_no_jdk_is_chosen_where_none_suffices(jdks: list[Path]) -> None:
    assert choose_java(jdks, 26) is None


def test_a_jdk_without_a_runnable_java_is_passed_over(jdks: list[Path]) -> None:
    (jdks[1] / "bin" / "java").chmod(0o644)
    chosen = choose_java(jdks, 17)
    assert chosen and chosen.name == "jdk-21"


def test_a_named_jdk_that_is_too_old_is_an_error(jdks: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAXCOS_JAVA_HOME", str(jdks[1]))
    assert ensure_java(17) == jdks[1]
    with pytest.raises(EngineError, match="MAXCOS_JAVA_HOME"):
        ensure_java(21)


def test_a_missing_jdk_is_named_with_the_packages_that_have_it(
    jdks: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MAXCOS_JAVA_HOME", raising=False)
    monkeypatch.setenv("JAVA_HOME", str(jdks[3]))
    with pytest.raises(EngineError, match=r"no JDK 99 or newer: .*set JAVA_HOME"):
        ensure_java(99)


def test_a_missing_maven_is_named(not_root: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(EngineError, match="Maven is missing: install"):
        ensure_maven()

"""docker/engine.py: what it does short of the network and of running an engine."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "docker" / "engine.py"


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("maxcos_docker_engine", SCRIPT)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look their module up by name while it is being executed.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


engine = _load()


def _cli(cache: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "MAXCOS_CACHE": str(cache)}
    command = [sys.executable, str(SCRIPT), *arguments]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=30, check=False)


def _zip(file: Path, entries: Mapping[str, str], executable: tuple[str, ...] = ()) -> Path:
    with zipfile.ZipFile(file, "w") as archive:
        for name, text in entries.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = (0o100755 if name in executable else 0o100660) << 16
            archive.writestr(info, text)
    return file


def _jdk(home: Path, version: str) -> Path:
    (home / "bin").mkdir(parents=True)
    (home / "bin" / "java").write_text("#!/bin/sh\n")
    (home / "bin" / "java").chmod(0o755)
    lines = ('IMPLEMENTOR="Test"', f'JAVA_VERSION="{version}"', 'JAVA_VERSION_DATE="2026-01-01"')
    (home / "release").write_text("\n".join(lines))
    return home


@pytest.fixture
def jdks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Fake JDKs 25, 17, 8 and 21, in this order, and a folder that is none."""
    # pytest closes its temporary folders to others, and root may use only what its service user can reach.
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    versions = ("25.0.3", "17.0.15", "1.8.0_442", "21")
    return [*(_jdk(tmp_path / f"jdk-{version}", version) for version in versions), tmp_path / "none"]


JDK_CHOICES = [(8, "1.8.0_442"), (17, "17.0.15"), (18, "21"), (22, "25.0.3")]


@pytest.mark.parametrize(("minimum", "version"), JDK_CHOICES)
def test_the_oldest_sufficient_jdk_is_chosen(jdks: list[Path], minimum: int, version: str) -> None:
    assert engine.choose_java(jdks, minimum).name == f"jdk-{version}"


def test_no_jdk_is_chosen_where_none_suffices(jdks: list[Path]) -> None:
    assert engine.choose_java(jdks, 26) is None


def test_a_jdk_without_a_runnable_java_is_passed_over(jdks: list[Path]) -> None:
    (jdks[1] / "bin" / "java").chmod(0o644)
    assert engine.choose_java(jdks, 17).name == "jdk-21"


def test_a_named_jdk_that_is_too_old_is_an_error(jdks: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAXCOS_JAVA_HOME", str(jdks[1]))
    assert engine.ensure_java(17) == jdks[1]
    with pytest.raises(engine.EngineError, match="MAXCOS_JAVA_HOME"):
        engine.ensure_java(21)


def test_a_file_with_the_pinned_sha256_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "good.zip"
    file.write_bytes(b"good")
    engine.verify(file, hashlib.sha256(b"good").hexdigest())
    assert file.exists()


def test_a_file_with_another_sha256_is_refused_and_deleted(tmp_path: Path) -> None:
    file = tmp_path / "bad.zip"
    file.write_bytes(b"bad")
    with pytest.raises(engine.EngineError, match="sha256"):
        engine.verify(file, hashlib.sha256(b"good").hexdigest())
    assert not file.exists()


def test_a_bad_copy_from_maven_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("MAXCOS_CACHE", str(tmp_path / "cache"))
    artifact = engine.Artifact("org.example", "thing", "1", "0" * 64)
    artifact.file.parent.mkdir(parents=True)
    _zip(artifact.file, {"thing/a": "a"})
    thing = engine.Engine("thing-1", "1", 1, 17, (engine.Part(artifact, "thing"),))
    with pytest.raises(engine.EngineError, match="expected"):
        engine.fetch(thing)
    assert artifact.file == tmp_path / ".m2/repository/org/example/thing/1/thing-1.zip"
    assert not artifact.file.exists()
    assert not thing.home.exists()


def test_unpack_lays_parts_over_each_other_without_overwriting(tmp_path: Path) -> None:
    base = _zip(
        tmp_path / "base.zip",
        {"es-1/bin/run": "run", "es-1/config/x.yml": "x", "es-1/modules/core/a.jar": "base"},
        executable=("es-1/bin/run",),
    )
    extra = _zip(
        tmp_path / "extra.zip",
        {
            "s/es/modules/core/a.jar": "other",
            "s/es/modules/more/b.jar": "more",
            "s/es/modules-not/c": "",
            "s/d": "",
        },
    )
    home = tmp_path / "engines" / "es-1"
    engine.unpack([(base, "es-1", "."), (extra, "s/es/modules", "modules")], home)

    files = {str(path.relative_to(home)): path for path in home.rglob("*") if path.is_file()}
    assert set(files) == {"bin/run", "config/x.yml", "modules/core/a.jar", "modules/more/b.jar"}
    assert files["modules/core/a.jar"].read_text() == "base"
    assert files["bin/run"].stat().st_mode & 0o777 == 0o755
    assert files["config/x.yml"].stat().st_mode & 0o777 == 0o644
    assert [path.name for path in home.parent.iterdir()] == ["es-1"]


def test_an_unpack_that_fails_leaves_nothing_and_can_be_repeated(tmp_path: Path) -> None:
    base = _zip(tmp_path / "base.zip", {"es-1/a": "a"})
    home = tmp_path / "engines" / "es-1"
    with pytest.raises(engine.EngineError, match="no folder missing"):
        engine.unpack([(base, "es-1", "."), (base, "missing", "modules")], home)
    assert list(home.parent.iterdir()) == []
    # What a killed run leaves behind must not find its way into the next one.
    stale = home.with_name("es-1.partial")
    stale.mkdir()
    (stale / "stale").write_text("")
    engine.unpack([(base, "es-1", ".")], home)
    assert [path.name for path in home.iterdir()] == ["a"]


def test_an_entry_that_climbs_out_of_its_folder_is_refused(tmp_path: Path) -> None:
    evil = _zip(tmp_path / "evil.zip", {"es-1/../../evil": "x"})
    with pytest.raises(engine.EngineError, match="unsafe"):
        engine.unpack([(evil, "es-1", ".")], tmp_path / "engines" / "es-1")
    assert not (tmp_path / "evil").exists()


def test_settings_leave_out_what_no_module_knows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAXCOS_CACHE", str(tmp_path))
    node = engine.ENGINES["elasticsearch-9"]
    (node.home / "modules" / "x-pack-core").mkdir(parents=True)
    settings = engine.settings(node, 9409)
    assert settings["xpack.security.enabled"] == "false"
    assert "ingest.geoip.downloader.enabled" not in settings
    assert (settings["http.port"], settings["transport.port"]) == ("9409", "9509")
    assert settings["network.host"] == "127.0.0.1"


def test_engines_have_ports_of_their_own() -> None:
    ports = [port for node in engine.ENGINES.values() for port in (node.port, node.port + 100)]
    assert len(set(ports)) == len(ports)


def test_a_recorded_pid_of_another_process_is_not_taken_for_the_node(tmp_path: Path) -> None:
    run = tmp_path / "run" / "elasticsearch-8"
    run.mkdir(parents=True)
    (run / "pid").write_text(f"{os.getpid()}\n")
    result = _cli(tmp_path, "stop", "elasticsearch-8")
    assert (result.returncode, result.stderr) == (0, "elasticsearch-8 is not running\n")


def test_status_names_every_engine_and_its_state(tmp_path: Path) -> None:
    (tmp_path / "engines" / "elasticsearch-9-9.4.3").mkdir(parents=True)
    result = _cli(tmp_path, "status")
    assert result.returncode == 0
    assert result.stdout.splitlines() == [
        "elasticsearch-8  8.19.13  not fetched",
        "elasticsearch-9  9.4.3  stopped",
    ]


@pytest.mark.parametrize("command", ["start", "stop", "fetch"])
def test_an_unknown_engine_is_a_usage_error(tmp_path: Path, command: str) -> None:
    result = _cli(tmp_path, command, "solr-9")
    assert result.returncode == 2
    assert "invalid choice: 'solr-9'" in result.stderr
    assert result.stdout == ""

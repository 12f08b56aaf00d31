"""Putting an engine together: what is short of the network."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from provision.artifacts import fetch, unpack, verify
from provision.catalogue import OPENSEARCH, Artifact, Engine, Part
from provision.host import EngineError


def _zip(file: Path, entries: Mapping[str, str], executable: tuple[str, ...] = ()) -> Path:
    with zipfile.ZipFile(file, "w") as archive:
        for name, text in entries.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = (0o100755 if name in executable else 0o100660) << 16
            archive.writestr(info, text)
    return file


def _files(folder: Path) -> dict[str, Path]:
    return {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}


def test_a_file_with_the_pinned_sha256_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "good.zip"
    file.write_bytes(b"good")
    verify(file, hashlib.sha256(b"good").hexdigest())
    assert file.exists()


def test_a_file_with_another_sha256_is_refused_and_deleted(tmp_path: Path) -> None:
    file = tmp_path / "bad.zip"
    file.write_bytes(b"bad")
    with pytest.raises(EngineError, match="sha256"):
        verify(file, hashlib.sha256(b"good").hexdigest())
    assert not file.exists()


@pytest.fixture
def homes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with nothing in it for Maven, and a cache with nothing in it for us."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("MAXCOS_CACHE", str(tmp_path / "cache"))
    return tmp_path


def test_a_bad_copy_from_maven_is_not_unpacked(homes: Path) -> None:
    artifact = Artifact("org.example", "thing", "1", "0" * 64)
    artifact.file.parent.mkdir(parents=True)
    _zip(artifact.file, {"thing/a": "a"})
    thing = Engine("thing-1", "1", 1, 17, OPENSEARCH, (Part(artifact, "thing"),))
    with pytest.raises(EngineError, match="expected"):
        fetch(thing)
    assert artifact.file == homes / ".m2/repository/org/example/thing/1/thing-1.zip"
    assert not artifact.file.exists()
    assert not thing.home.exists()


def test_good_copies_from_maven_become_an_engine_with_its_plugin(homes: Path) -> None:
    parts = []
    for name, entries, source, target in (
        ("thing", {"thing-1/bin/thing": "run", "thing-1/plugins/": ""}, "thing-1", "."),
        ("plugin", {"plugin.jar": "jar", "licences/a": "a"}, ".", "plugins/plugin"),
    ):
        file = Artifact("org.example", name, "1", "").file
        file.parent.mkdir(parents=True)
        sha256 = hashlib.sha256(_zip(file, entries).read_bytes()).hexdigest()
        parts.append(Part(Artifact("org.example", name, "1", sha256), source, target))
    thing = Engine("thing-1", "1.2", 1, 17, OPENSEARCH, tuple(parts))
    fetch(thing)
    assert thing.home == homes / "cache/engines/thing-1-1.2"
    assert set(_files(thing.home)) == {"bin/thing", "plugins/plugin/plugin.jar", "plugins/plugin/licences/a"}


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
    unpack([(base, "es-1", "."), (extra, "s/es/modules", "modules")], home)

    files = _files(home)
    assert set(files) == {"bin/run", "config/x.yml", "modules/core/a.jar", "modules/more/b.jar"}
    assert files["modules/core/a.jar"].read_text() == "base"
    assert files["bin/run"].stat().st_mode & 0o777 == 0o755
    assert files["config/x.yml"].stat().st_mode & 0o777 == 0o644
    assert [path.name for path in home.parent.iterdir()] == ["es-1"]


def test_an_unpack_that_fails_leaves_nothing_and_can_be_repeated(tmp_path: Path) -> None:
    base = _zip(tmp_path / "base.zip", {"es-1/a": "a"})
    home = tmp_path / "engines" / "es-1"
    with pytest.raises(EngineError, match="no folder missing"):
        unpack([(base, "es-1", "."), (base, "missing", "modules")], home)
    assert list(home.parent.iterdir()) == []
    # What a killed run leaves behind must not find its way into the next one.
    stale = home.with_name("es-1.partial")
    stale.mkdir()
    (stale / "stale").write_text("")
    unpack([(base, "es-1", ".")], home)
    assert [path.name for path in home.iterdir()] == ["a"]


@pytest.mark.parametrize(("entry", "source"), [("es-1/../../evil", "es-1"), ("../evil", ".")])
def test_an_entry_that_climbs_out_of_its_folder_is_refused(tmp_path: Path, entry: str, source: str) -> None:
    evil = _zip(tmp_path / "evil.zip", {entry: "x"})
    with pytest.raises(EngineError, match="unsafe"):
        unpack([(evil, source, ".")], tmp_path / "engines" / "es-1")
    assert [path for path in tmp_path.rglob("*evil*") if path != evil] == []

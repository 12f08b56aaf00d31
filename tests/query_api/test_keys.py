"""The file of API keys, and the commands that change it."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from es_mappings.errors import SettingsError
from query_api.keys import KeyRing


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


def test_a_key_opens_until_it_is_revoked_also_for_who_has_the_file_open(file: Path) -> None:
    service, person = KeyRing(file), KeyRing(file)
    assert service.find("maxcos_x") is None
    key, secret = person.create("shop", ["search"])
    other, second = person.create("prometheus", ["admin"])
    assert service.find(secret) == key
    assert service.find(second) == other
    assert service.find(secret[:-1]) is None
    assert service.list() == [key, other]
    assert person.revoke(key.id) == key
    assert service.find(secret) is None
    assert service.find(second) == other


def test_the_file_tells_no_key_and_is_its_owners_alone(file: Path) -> None:
    _, secret = KeyRing(file).create("shop", ["search", "admin"])
    assert len(secret) > 45
    assert secret not in file.read_text("utf-8")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_a_file_that_is_gone_holds_no_keys(file: Path) -> None:
    ring = KeyRing(file)
    _, secret = ring.create("shop", ["search"])
    file.unlink()
    assert ring.find(secret) is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"keys": [{}]}', '{"keys": {"a": 1}}'])
def test_a_file_that_is_none_opens_nothing_and_says_so(file: Path, text: str) -> None:
    file.write_text(text, "utf-8")
    with pytest.raises(SettingsError, match=r"keys\.json: cannot be read"):
        KeyRing(file).find("maxcos_x")


def test_an_unknown_id_cannot_be_revoked(file: Path) -> None:
    with pytest.raises(SettingsError, match="no key has the id 'abc'"):
        KeyRing(file).revoke("abc")


def maxcos(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "maxcos.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)


def test_keys_by_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "maxcos.toml").write_text('[service]\nkeys = "own.json"\n', "utf-8")
    made = maxcos(tmp_path, "keys", "create", "shop")
    assert made.returncode == 0, made.stderr
    key = KeyRing(tmp_path / "own.json").find(made.stdout.strip())
    assert key is not None
    assert (key.name, key.scopes) == ("shop", {"search"})
    both = json.loads(
        maxcos(tmp_path, "keys", "create", "ops", "--scope", "admin", "--scope", "search", "--json").stdout
    )
    listed = maxcos(tmp_path, "keys", "list")
    assert [line.split()[0] for line in listed.stdout.splitlines()] == [key.id, both["id"]]
    assert both["key"] not in listed.stdout
    assert maxcos(tmp_path, "keys", "revoke", key.id).stdout == f"revoked: {key.id} (shop)\n"
    (left,) = json.loads(maxcos(tmp_path, "keys", "list", "--json").stdout)
    assert left == {name: both[name] for name in ("id", "name", "scopes", "made")}
    again = maxcos(tmp_path, "keys", "revoke", key.id)
    assert again.returncode == 1
    assert "no key has the id" in again.stderr


def test_no_service_for_other_machines_without_keys(tmp_path: Path) -> None:
    (tmp_path / "maxcos.toml").write_text('[engine]\nurl = "embedded:./store"\n', "utf-8")
    refused = maxcos(tmp_path, "serve", "--host", "0.0.0.0", "--port", "1")
    assert refused.returncode == 1
    assert "maxcos keys create" in refused.stderr
    assert str(tmp_path / "maxcos.keys.json") in refused.stderr

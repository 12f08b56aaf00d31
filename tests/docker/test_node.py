"""A node's configuration."""

from __future__ import annotations

import base64
import hashlib
import os
import ssl
from pathlib import Path

import pytest
from provision.catalogue import ENGINES, Engine
from provision.node import MOST_NODES, Node, cluster, last_cluster, ports_of, prepare, settings


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAXCOS_CACHE", str(tmp_path))
    # pytest closes its temporary folders to others, whom root would have to give the node to.
    monkeypatch.setattr(os, "geteuid", lambda: 1000)


def _with_module(engine: Engine, module: str) -> Engine:
    (engine.home / "modules" / module).mkdir(parents=True)
    return engine


def test_settings_leave_out_what_no_module_knows() -> None:
    found = settings(Node(_with_module(ENGINES["elasticsearch-9"], "x-pack-core")), 9409)
    assert found["xpack.security.enabled"] == "false"
    assert "ingest.geoip.downloader.enabled" not in found
    assert (found["http.port"], found["transport.port"]) == ("9409", "9509")
    assert found["network.host"] == "127.0.0.1"


def test_settings_leave_out_what_another_engines_module_of_that_name_knows() -> None:
    elasticsearch = settings(Node(_with_module(ENGINES["elasticsearch-9"], "ingest-geoip")), 9409)
    opensearch = settings(Node(_with_module(ENGINES["opensearch-3"], "ingest-geoip")), 9409)
    assert elasticsearch["ingest.geoip.downloader.enabled"] == "false"
    assert opensearch["cluster.name"] == "maxcos-opensearch-3"
    assert set(elasticsearch) - set(opensearch) == {"ingest.geoip.downloader.enabled"}


def test_nodes_have_ports_and_folders_of_their_own() -> None:
    nodes = [node for engine in ENGINES.values() for node in (Node(engine), *cluster(engine, MOST_NODES))]
    ports = [port for node in nodes for port in ports_of(node.port)]
    assert len(set(ports)) == len(ports)
    assert len({node.run for node in nodes}) == len({node.name for node in nodes}) == len(nodes)
    assert [node.port for node in nodes if not node.number] == [engine.port for engine in ENGINES.values()]


def test_a_cluster_s_nodes_find_each_other_on_loopback() -> None:
    engine = ENGINES["opensearch-3"]
    found = [settings(node, port) for node, port in zip(cluster(engine, 3), (9410, 9420, 9430), strict=True)]
    for about in found:
        assert about["network.host"] == "127.0.0.1"
        assert about["discovery.seed_hosts"] == "127.0.0.1:9510,127.0.0.1:9520,127.0.0.1:9530"
        assert about["cluster.initial_master_nodes"] == "opensearch-3-1,opensearch-3-2,opensearch-3-3"
        assert "discovery.type" not in about
    for own in ("node.name", "http.port", "transport.port", "path.data", "path.logs"):
        assert len({about[own] for about in found}) == 3
    alone = settings(Node(engine), 9403)
    assert alone["discovery.type"] == "single-node"
    assert not alone.keys() & {"discovery.seed_hosts", "cluster.initial_master_nodes"}


def test_the_last_cluster_is_known_by_its_folders() -> None:
    engine = ENGINES["elasticsearch-9"]
    assert last_cluster(engine) == ()
    (engine.home / "config").mkdir(parents=True)
    (engine.home / "config" / "jvm.options").write_text("")
    for node in cluster(engine, 3):
        prepare(node, node.port)
    assert last_cluster(engine) == cluster(engine, 3)


@pytest.mark.parametrize("engine", ENGINES.values(), ids=list(ENGINES))
def test_the_jvm_writes_into_the_nodes_folders(engine: Engine) -> None:
    config, run = engine.home / "config", Node(engine).run
    config.mkdir(parents=True)
    options = (
        "# logs/ and data",
        "-XX:HeapDumpPath=data",
        "-XX:ErrorFile=logs/hs_err_pid%p.log",
        "9-:-Xlog:gc*,gc+age=trace:file=logs/gc.log:utctime:filecount=32",
        "-Xlog:safepoint:file=safepoint.log",
        "-javaagent:agent/agent.jar",
        "-Ddatabase=database",
    )
    (config / "jvm.options").write_text("\n".join(options))
    # The second time, as a node that is started again.
    for _ in range(2):
        prepare(Node(engine), engine.port)
    assert (run / "config" / "jvm.options").read_text().splitlines() == [
        "# logs/ and data",
        f"-XX:HeapDumpPath={run}/data",
        f"-XX:ErrorFile={run}/logs/hs_err_pid%p.log",
        f"9-:-Xlog:gc*,gc+age=trace:file={run}/logs/gc.log:utctime:filecount=32",
        "-Xlog:safepoint:file=safepoint.log",
        "-javaagent:agent/agent.jar",
        "-Ddatabase=database",
    ]
    written = (run / "config" / f"{engine.family.name}.yml").read_text()
    assert f'path.logs: "{run}/logs"\n' in written


def test_a_node_with_security_has_tls_and_a_password_for_its_owners_eyes() -> None:
    engine = _with_module(ENGINES["elasticsearch-9-secured"], "x-pack-core")
    assert engine.home == ENGINES["elasticsearch-9"].home
    (engine.home / "config").mkdir()
    (engine.home / "config" / "jvm.options").write_text("")
    node = Node(engine)
    passwords = set()
    for _ in range(2):
        prepare(node, node.port)
        passwords.add((node.run / "password").read_text())
    assert len(passwords) == 2
    assert settings(node, node.port)["xpack.security.http.ssl.enabled"] == "true"
    assert settings(node, node.port)["xpack.security.enabled"] == "true"
    config = node.run / "config"
    for secret in (node.run / "password", config / "http.key", config / "users"):
        assert secret.stat().st_mode & 0o777 == 0o600
    ssl.create_default_context(cafile=node.run / "ca.pem").load_verify_locations(config / "http.pem")
    user, _, stored = (config / "users").read_text().strip().partition(":{PBKDF2}")
    rounds, salt, found = stored.split("$")
    password = (node.run / "password").read_bytes()
    expected = hashlib.pbkdf2_hmac("sha512", password, base64.b64decode(salt), int(rounds), 32)
    assert (user, base64.b64decode(found)) == ("admin", expected)

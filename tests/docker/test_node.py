"""A node's configuration."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from provision.catalogue import ENGINES, Engine
from provision.node import ports_of, prepare, settings


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAXCOS_CACHE", str(tmp_path))
    # pytest closes its temporary folders to others, whom root would have to give the node to.
    monkeypatch.setattr(os, "geteuid", lambda: 1000)


def _with_module(engine: Engine, module: str) -> Engine:
    (engine.home / "modules" / module).mkdir(parents=True)
    return engine


def test_settings_leave_out_what_no_module_knows() -> None:
    found = settings(_with_module(ENGINES["elasticsearch-9"], "x-pack-core"), 9409)
    assert found["xpack.security.enabled"] == "false"
    assert "ingest.geoip.downloader.enabled" not in found
    assert (found["http.port"], found["transport.port"]) == ("9409", "9509")
    assert found["network.host"] == "127.0.0.1"


def test_settings_leave_out_what_another_engines_module_of_that_name_knows() -> None:
    elasticsearch = settings(_with_module(ENGINES["elasticsearch-9"], "ingest-geoip"), 9409)
    opensearch = settings(_with_module(ENGINES["opensearch-3"], "ingest-geoip"), 9409)
    assert elasticsearch["ingest.geoip.downloader.enabled"] == "false"
    assert opensearch["cluster.name"] == "maxcos-opensearch-3"
    assert set(elasticsearch) - set(opensearch) == {"ingest.geoip.downloader.enabled"}


def test_engines_have_ports_of_their_own() -> None:
    ports = [port for engine in ENGINES.values() for port in ports_of(engine.port)]
    assert len(set(ports)) == len(ports)


@pytest.mark.parametrize("engine", ENGINES.values(), ids=list(ENGINES))
def test_the_jvm_writes_into_the_nodes_folders(engine: Engine) -> None:
    config = engine.home / "config"
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
        prepare(engine, engine.port)
    assert (engine.run / "config" / "jvm.options").read_text().splitlines() == [
        "# logs/ and data",
        f"-XX:HeapDumpPath={engine.run}/data",
        f"-XX:ErrorFile={engine.run}/logs/hs_err_pid%p.log",
        f"9-:-Xlog:gc*,gc+age=trace:file={engine.run}/logs/gc.log:utctime:filecount=32",
        "-Xlog:safepoint:file=safepoint.log",
        "-javaagent:agent/agent.jar",
        "-Ddatabase=database",
    ]
    written = (engine.run / "config" / f"{engine.family.name}.yml").read_text()
    assert f'path.logs: "{engine.run}/logs"\n' in written

"""`maxcos doctor` on real engines: what is well, and what it says of what is not."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from pydantic import SecretStr

from engines import ENGINES, cluster_setting, start_engine
from es_mappings.cluster import Cluster, connect, probe
from es_mappings.mappings import index_body
from es_mappings.provenance import Manifest, Receipt
from es_mappings.schema import build_schema
from es_mappings.settings import Settings, load_settings
from maxcos.cli import main
from maxcos.doctor import Finding, examine

CLUSTERS = [name for name in ENGINES if name != "embedded"]
LEXICAL = """
[lexical]
fields = ["title"]
filters = ["price:number"]
"""


def settings_for(folder: Path, url: str, index: str) -> Settings:
    file = folder / "maxcos.toml"
    file.write_text(f'[engine]\nurl = "{url}"\nindex = "{index}"\n{LEXICAL}', "utf-8")
    return load_settings(file)


def found(settings: Settings) -> dict[str, Finding]:
    return {finding.check: finding for finding in examine(settings)}


@contextmanager
def index_on(settings: Settings, **changed: Any) -> Iterator[Cluster]:
    """An index as the settings want it, but for some fields of its mapping."""
    cluster = connect(settings.engine)
    schema = build_schema(settings.lexical, [])
    body = index_body(schema, probe(cluster)[0], settings.engine, Manifest(Receipt(0, "test")))
    body["mappings"]["properties"] |= changed
    cluster.request("PUT", f"/{settings.engine.index}", body=body)
    try:
        yield cluster
    finally:
        cluster.request("DELETE", f"/{settings.engine.index}")
        cluster.close()


@pytest.fixture(params=CLUSTERS)
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    return settings_for(tmp_path, start_engine(request.param), f"maxcos-test-{uuid.uuid4().hex}")


def test_a_whole_index_passes_every_check(settings: Settings) -> None:
    with index_on(settings):
        findings = found(settings)
    assert {finding.status for finding in findings.values()} == {"ok"}
    assert {
        "engine",
        "scripts",
        "dimensions",
        "index",
        "ingestion",
        "calibration",
        "shards",
        "mapping",
        "search",
    } <= set(findings)
    assert ("licence" in findings) != ("plugin" in findings)


def test_a_mapping_that_drifted_is_named_field_by_field(settings: Settings) -> None:
    with index_on(settings, price={"type": "keyword"}, title={"type": "text", "analyzer": "standard"}):
        drift = found(settings)["mapping"]
    assert drift.status == "failed"
    assert "price.type is 'keyword' instead of 'double'" in drift.detail
    assert "title.analyzer is 'standard' instead of 'maxcos_en'" in drift.detail


def test_a_missing_index_is_no_failure_yet(settings: Settings) -> None:
    finding = found(settings)["index"]
    assert (finding.status, finding.remedy) == ("warning", "run maxcos ingest")


def test_an_index_of_somebody_else_is_refused(settings: Settings) -> None:
    cluster = connect(settings.engine)
    cluster.request("PUT", f"/{settings.engine.index}", body={})
    try:
        finding = found(settings)["index"]
    finally:
        cluster.request("DELETE", f"/{settings.engine.index}")
        cluster.close()
    assert finding.status == "failed"
    assert "was not made by maxcos" in finding.detail


def test_forbidden_scripts_are_found_before_a_search_fails(settings: Settings) -> None:
    with cluster_setting(settings.engine.url, "search.allow_expensive_queries", False):
        finding = found(settings)["scripts"]
    assert finding.status == "failed"
    assert "search.allow_expensive_queries" in finding.detail


def test_an_unreachable_engine_is_one_finding_and_exit_code_1(tmp_path: Path) -> None:
    settings_for(tmp_path, "http://127.0.0.1:1", "nothing")
    done = CliRunner().invoke(main, ["doctor", "--config", str(tmp_path / "maxcos.toml"), "--json"])
    assert done.exit_code == 1
    (engine,) = json.loads(done.stdout)
    assert (engine["check"], engine["status"]) == ("engine", "failed")
    assert "cannot be reached" in engine["detail"]


def test_a_broken_modality_is_named(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, f"embedded:{tmp_path}", "items")
    broken = {"graph": {"encoder": "graph", "model": str(tmp_path / "missing.npz"), "source": "id"}}
    findings = found(Settings.model_validate({**settings.model_dump(), "modalities": broken}))
    assert findings["modality graph"].status == "failed"
    assert "no such graph" in findings["modality graph"].detail


def test_the_demo_is_well(shop: Settings, shop_folder: Path) -> None:
    done = CliRunner().invoke(main, ["doctor", "--config", str(shop_folder / "maxcos.toml")])
    assert done.exit_code == 0, done.output
    assert "FAILED" not in done.output
    assert "the embedded store" in done.output


@pytest.mark.parametrize(
    ("url", "status"),
    [
        ("http://nowhere.invalid:9200", "warning"),
        ("https://nowhere.invalid:9200", "ok"),
        ("http://localhost:9,http://127.0.0.1:9", "ok"),
        ("http://localhost:9,http://nowhere.invalid:9200", "warning"),
    ],
)
def test_credentials_that_others_may_read_are_warned_of(tmp_path: Path, url: str, status: str) -> None:
    settings = settings_for(tmp_path, url, "items")
    engine = settings.engine.model_copy(update={"api_key": SecretStr("secret")})
    findings = found(settings.model_copy(update={"engine": engine}))
    assert findings["credentials"].status == status
    assert findings["engine"].status == "failed"

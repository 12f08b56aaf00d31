"""What an operator learns of requests, and what the log never holds."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

from encoders.contract import Encoder, load_encoders
from es_mappings.errors import EncoderError
from es_mappings.settings import Settings
from es_mappings.types import Term, Vector
from query_api.app import create_app
from query_api.keys import KeyRing
from query_api.searchers import open_searcher
from query_api.service import SearchService


@pytest.fixture(scope="module")
def search(shop: Settings) -> SearchService:
    return SearchService.from_settings(shop)


@pytest.fixture
def client(shop: Settings, search: SearchService) -> FlaskClient:
    return create_app(shop, search).test_client()


def numbers(client: FlaskClient, **headers: str) -> dict[tuple[str, ...], float]:
    """By name and labels in the order of their names."""
    answer = client.get("/metrics", headers=headers)
    assert answer.status_code == 200
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_requests_are_counted_by_route_and_timed_by_stage(client: FlaskClient) -> None:
    for _ in range(2):
        assert client.post("/v1/search", json={"query": "a word that nobody has asked for"}).status_code == 200
    client.get("/v1/items/nobody")
    client.get("/wp-login.php")
    found = numbers(client)
    assert found["maxcos_requests_total", "POST", "/v1/search", "200"] == 2
    assert found["maxcos_requests_total", "GET", "/v1/items/<path:identifier>", "404"] == 1
    assert found["maxcos_requests_total", "GET", "none", "404"] == 1
    assert found["maxcos_request_seconds_count", "/v1/search"] == 2
    for stage, modality, count in (("parse", "", 2), ("encode", "text", 2), ("encode", "graph", 2), ("engine", "", 3)):
        assert found["maxcos_stage_seconds_count", modality, stage] == count
        assert found["maxcos_stage_seconds_sum", modality, stage] > 0
    for modality in ("text", "image", "graph"):
        assert found["maxcos_vectors_made_total", modality] == 1
        assert found["maxcos_vectors_remembered_total", modality] == 1
    assert found["process_resident_memory_bytes",] > 0


class Broken:
    """An encoder whose weights have gone away."""

    def __init__(self, encoder: Encoder) -> None:
        self.spaces, self.provenance = encoder.spaces, encoder.provenance
        self.encode_items = encoder.encode_items

    def encode_query(self, term: Term) -> Mapping[str, Vector]:
        raise EncoderError("the weights are gone")


def test_answers_without_a_modality_are_counted(shop: Settings, search: SearchService) -> None:
    encoders = load_encoders(shop.modalities)
    searcher = open_searcher(shop.engine, search.schema)
    service = SearchService(search.schema, {**encoders, "image": Broken(encoders["image"])}, searcher)
    client = create_app(shop, service).test_client()
    answer = client.post("/v1/search", json={"query": "sofa"})
    assert (answer.status_code, answer.get_json()["degraded"]) == (200, ["image"])
    assert numbers(client)["maxcos_degraded_total", "image"] == 1


def test_only_who_may_see_the_numbers_sees_them(shop: Settings, search: SearchService, tmp_path: Path) -> None:
    ring = KeyRing(tmp_path / "keys.json")
    client = create_app(shop, search, ring).test_client()
    _, searching = ring.create("shop", ["search"])
    _, watching = ring.create("prometheus", ["admin"])
    assert client.get("/metrics").status_code == 401
    assert client.get("/metrics", headers={"Authorization": f"Bearer {searching}"}).status_code == 403
    assert numbers(client, Authorization=f"Bearer {watching}")["maxcos_requests_total", "GET", "/metrics", "403"] == 1


def test_the_log_has_a_line_of_each_request_without_what_was_looked_for_or_a_key(
    shop: Settings, search: SearchService, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ring = KeyRing(tmp_path / "keys.json")
    key, secret = ring.create("shop", ["search"])
    client = create_app(shop, search, ring).test_client()
    with caplog.at_level(logging.DEBUG):
        headers = {"Authorization": f"Bearer {secret}", "X-Request-Id": "r-1"}
        assert client.get("/v1/search?q=my+secret+wish", headers=headers).status_code == 200
        assert client.get(f"/v1/search?q=bed&key={secret}", headers=headers).status_code == 400
        assert client.get("/v1/search?q=bed", headers={"Authorization": f"Bearer {secret}x"}).status_code == 401
    lines = [line for line in caplog.records if line.name == "maxcos.requests"]
    first = lines[0].__dict__
    assert len(lines) == 3
    told = ("request_id", "method", "path", "status", "key")
    assert [first[name] for name in told] == ["r-1", "GET", "/v1/search", 200, key.id]
    assert set(first["stages"]) >= {"parse", "encode text", "engine"}
    assert first["ms"] >= first["stages"]["engine"]
    for line in caplog.records:
        assert secret not in str(line.__dict__)
        assert "secret wish" not in str(line.__dict__)
        assert "secret+wish" not in str(line.__dict__)

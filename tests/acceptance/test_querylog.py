"""The query log on real engines: what is written of a search, and that no search waits for it."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

from corner import corner_shop
from engines import ENGINES, start_engine
from es_mappings.cluster import connect
from es_mappings.settings import Settings
from query_api.app import create_app
from query_api.keys import KeyRing
from query_api.querylog.writer import QueryLog, open_log
from query_api.service import SearchService
from served import running
from switch import switched

JSON = dict[str, Any]

CLUSTERS = [name for name in ENGINES if name != "embedded"]
KEY = "a key of the tests alone"


@contextmanager
def searching(settings: Settings, keys: KeyRing | None = None) -> Iterator[tuple[FlaskClient, QueryLog]]:
    """A client of an application that logs; at the end the log is closed, and so written."""
    with closing(SearchService.from_settings(settings)) as service:
        log = open_log(settings, service.schema)
        assert log is not None
        with closing(log):
            yield create_app(settings, service, keys, log).test_client(), log


def ask(client: FlaskClient, query: Any, headers: dict[str, str] | None = None, **body: Any) -> JSON:
    answer = client.post("/v1/search", json={"query": query, **body}, headers=headers)
    assert answer.status_code == 200, answer.text
    found: JSON = answer.get_json()
    return found


def logged(settings: Settings) -> list[JSON]:
    """The documents of the log, the oldest first."""
    index = settings.log.index
    with closing(connect(settings.engine)) as cluster:
        cluster.request("POST", f"/{index}/_refresh")
        body = {"size": 100, "sort": ["@timestamp"]}
        hits = cluster.request("POST", f"/{index}/_search", body=body)["hits"]["hits"]
    return [hit["_source"] for hit in hits]


def outcomes(client: FlaskClient) -> dict[str, float]:
    families = text_string_to_metric_families(client.get("/metrics").text)
    samples = (sample for family in families for sample in family.samples if sample.name == "maxcos_querylog_total")
    return {sample.labels["outcome"]: sample.value for sample in samples}


def patiently(reached: Callable[[], bool]) -> None:
    for _ in range(300):
        if reached():
            return
        time.sleep(0.1)
    pytest.fail("the query log did not get there in half a minute")


@pytest.mark.parametrize("engine", CLUSTERS)
def test_each_search_is_one_document(tmp_path: Path, engine: str) -> None:
    with corner_shop(tmp_path, start_engine(engine), texts="plain") as settings:
        with searching(settings) as (client, _):
            first = ask(client, "Red  SOFA", {"X-Request-Id": "the-first"}, size=3)
            ask(client, "unheard of", fusion={"method": "lexical"})
            ask(client, [{"entity": "tag:red", "modalities": ["graph"]}], fusion={"method": "rrf"}, **{"from": 4})
            assert client.get("/v1/items/item-0/similar").status_code == 200
            assert client.post("/v1/search", json={"query": ""}).status_code == 400
            patiently(lambda: outcomes(client)["written"] == 4)
            assert outcomes(client) == {"written": 4, "full": 0, "lost": 0}
        sofa, unheard, entity, similar = logged(settings)
        with closing(connect(settings.engine)) as cluster:
            ((_, found),) = cluster.request("GET", f"/{settings.log.index}/_mapping").items()
    winners = [hit["modality"] for hit in first["hits"]]
    told = {name: sofa[name] for name in ("took_ms", "engine_ms", "request_id", "route", "key", "winner", "score")}
    assert told == {
        "took_ms": first["took_ms"],
        "engine_ms": first["engine_ms"],
        "request_id": "the-first",
        "route": "/v1/search",
        "key": None,
        "winner": winners[0],
        "score": first["hits"][0]["score"],
    }
    assert sofa["winners"] == {name: winners.count(name) for name in winners}
    assert (sofa["fusion"], sofa["calibration"], sofa["plan"]) == ("hybrid", "raw", "exact")
    assert (sofa["terms"], sofa["texts"], sofa["scripts"]) == (["text"], ["red sofa"], ["Latin"])
    assert sofa["entities"] == ["tag:red", "tag:sofa", "sofa"]
    assert (sofa["total"], sofa["hits"], sofa["first_page"], sofa["zero_result"]) == (10, 3, True, False)
    assert (sofa["degraded"], sofa["partial"]) == ([], False)
    assert sofa["stages"].keys() == {"parse", "encode", "engine"}
    assert all(taken >= 0 for taken in sofa["stages"].values())
    assert (unheard["hits"], unheard["zero_result"], unheard["entities"]) == (0, True, [])
    assert unheard.keys() & {"winner", "winners", "score"} == set()
    assert (entity["terms"], entity["entities"], entity["texts"]) == (["entity"], ["tag:red"], [])
    assert (entity["first_page"], "zero_result" in entity) == (False, False)
    assert (similar["route"], similar["terms"]) == ("/v1/items/<path:identifier>/similar", ["item"])
    assert similar["entities"] == []
    fields = found["mappings"]["properties"]
    assert found["mappings"]["dynamic"] == "false"
    assert sofa.keys() | unheard.keys() == fields.keys()
    assert fields["winners"]["properties"].keys() == {"graph", "kinds", "lexical", "background"}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    with corner_shop(tmp_path_factory.mktemp("corner"), start_engine("elasticsearch-9")) as settings:
        yield settings


@pytest.fixture
def settings(shop: Settings) -> Iterator[Settings]:
    """The shop with a log that is not there yet."""
    yield shop
    with closing(connect(shop.engine)) as cluster:
        cluster.request("DELETE", f"/{shop.log.index}", params={"ignore_unavailable": "true"})


def with_texts(settings: Settings, texts: str, key: str) -> Settings:
    given = {"index": settings.log.index, "texts": texts, "hash_key": key}
    return settings.model_copy(update={"log": type(settings.log).model_validate(given)})


def test_nothing_of_a_text_is_written_by_default(settings: Settings) -> None:
    with searching(settings) as (client, _):
        ask(client, "a Confidential question, zzqy")
    (entry,) = logged(settings)
    assert entry["texts"] == []
    assert "confidential" not in json.dumps(entry).lower()


def test_hashed_texts_can_be_counted_and_not_read(settings: Settings) -> None:
    for key, texts in (
        (KEY, ("Red ｓofa", " red sofa ", "sofa")),
        ("another key of the tests", ("red sofa",)),
    ):
        with searching(with_texts(settings, "hashed", key)) as (client, _):
            for text in texts:
                ask(client, text)
    one, same, other, elsewhere = (entry["texts"] for entry in logged(settings))
    assert one == same
    assert len({*one, *other, *elsewhere}) == 3
    assert all(len(digest) == 32 and int(digest, 16) for digest in (*one, *other, *elsewhere))


def test_a_key_is_named_and_not_told(settings: Settings, tmp_path: Path) -> None:
    ring = KeyRing(tmp_path / "keys.json")
    _, secret = ring.create("shop window", ["search"])
    with searching(settings, ring) as (client, _):
        ask(client, "sofa", {"Authorization": f"Bearer {secret}"})
    (entry,) = logged(settings)
    assert entry["key"] == "shop window"
    assert secret not in json.dumps(entry)


def test_a_log_that_was_deleted_is_made_again_with_its_mapping(settings: Settings) -> None:
    path = f"/{settings.log.index}"
    with closing(connect(settings.engine)) as cluster, searching(settings) as (client, _):
        mappings = []
        for written in (1, 2):
            ask(client, "sofa")
            patiently(lambda written=written: outcomes(client)["written"] == written)  # type: ignore[misc]
            mappings.append(cluster.request("GET", f"{path}/_mapping"))
            cluster.request("DELETE", path)
        ask(client, "sofa")
    assert mappings[0] == mappings[1]
    assert len(logged(settings)) == 1


def test_old_searches_can_be_deleted_by_their_date(settings: Settings) -> None:
    """As docs/kibana.md says."""
    with searching(settings) as (client, _):
        ask(client, "sofa")
    assert len(logged(settings)) == 1
    with closing(connect(settings.engine)) as cluster:
        body = {"query": {"range": {"@timestamp": {"lt": "now"}}}}
        assert cluster.request("POST", f"/{settings.log.index}/_delete_by_query", body=body)["deleted"] == 1
    assert logged(settings) == []


def test_an_engine_that_hangs_costs_entries_and_no_search(settings: Settings) -> None:
    """Only the log's own line to the engine is cut, so that searches can be answered at all."""
    with switched(settings.engine.url) as line, closing(SearchService.from_settings(settings)) as service:
        engine = settings.engine.model_copy(update={"url": line.url, "timeout": 1.0})
        body = {"settings": {"index": {"number_of_replicas": 0}}}
        assert settings.log.index is not None
        log = QueryLog(connect(engine), settings.log.index, body, None, size=2)
        client = create_app(settings, service, None, log).test_client()
        ask(client, "sofa")
        patiently(lambda: outcomes(client)["written"] == 1)
        line.on.clear()
        for _ in range(9):
            assert len(ask(client, "sofa")["hits"]) == 8
        assert outcomes(client)["full"] >= 5
        line.on.set()
        patiently(lambda: sum(outcomes(client).values()) == 10)
        found = outcomes(client)
        assert found["written"] >= 2
        line.on.clear()
        ask(client, "sofa")
        log.close(0.1)
        assert sum(outcomes(client).values()) == 11
        assert outcomes(client)["lost"] == found["lost"] + 1


def test_what_the_engine_refuses_is_lost_and_counted(settings: Settings) -> None:
    assert settings.log.index is not None
    body = {"mappings": {"properties": {"hits": {"type": "date"}, "route": {"type": "long"}}}}
    with closing(SearchService.from_settings(settings)) as service:
        log = QueryLog(connect(settings.engine), settings.log.index, body, None)
        client = create_app(settings, service, None, log).test_client()
        assert ask(client, "sofa")["hits"]
        log.close()
    assert outcomes(client) == {"written": 0, "full": 0, "lost": 1}


def test_a_service_that_stops_writes_what_it_has_answered(settings: Settings, shop: Settings) -> None:
    config = Path(shop.modalities["graph"].model or "").with_name("maxcos.toml")
    with running(settings, config) as (url, _):
        for _ in range(3):
            urllib.request.urlopen(f"{url}/v1/search?q=sofa", timeout=30).close()
    assert len(logged(settings)) == 3

"""A cursor comes from outside. Who may search one index of a cluster reads no other by it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from es_mappings.cluster import connect
from es_mappings.settings import Settings
from es_mappings.types import Walk
from query_api import cursor
from query_api.app import create_app


@pytest.fixture
def foreign(shop_on_cluster: Settings) -> Iterator[str]:
    """The name of a snapshot of another index of the same cluster, with the same mapping and some of the items."""
    index, other = shop_on_cluster.engine.index, f"maxcos-test-{uuid.uuid4().hex}"
    with closing(connect(shop_on_cluster.engine)) as cluster:
        found = cluster.request("GET", f"/{index}")[index]
        settings = {"index": {"analysis": found["settings"]["index"]["analysis"]}}
        cluster.request("PUT", f"/{other}", body={"settings": settings, "mappings": found["mappings"]})
        copied = {"max_docs": 50, "source": {"index": index}, "dest": {"index": other}}
        cluster.request("POST", "/_reindex", params={"refresh": "true"}, body=copied)
        yield cluster.request("POST", f"/{other}/_pit", params={"keep_alive": "1m"})["id"]
        cluster.request("DELETE", f"/{other}")


@pytest.mark.parametrize("method", ["max", "hybrid", "lexical", "rrf"])
def test_a_walk_reads_no_other_index(shop_on_cluster: Settings, foreign: str, method: str) -> None:
    client = create_app(shop_on_cluster).test_client()
    body: dict[str, Any] = {"query": "bed chair table lamp", "size": 3, "fusion": {"method": method}}
    forged = cursor.encode(Walk(foreign, None), cursor.digest(body, None))
    answer = client.post("/v1/search", json={**body, "after": forged})
    assert answer.status_code == 400
    told = json.loads(answer.data)
    assert [(problem["field"], problem["message"].partition(":")[0]) for problem in told["errors"]] == [
        ("after", "has expired")
    ]
    assert client.post("/v1/search", json={**body, "after": "*"}).status_code == 200

"""The client against the running service, and against its description."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3

from es_mappings.errors import FieldProblem
from maxcos.client import Client, ServiceProblem

PLAIN = {"/healthz", "/metrics"}
"""What operators ask, not callers."""


class Noting(Client):
    """Notes what it asks for."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.asked: set[tuple[str, str]] = set()

    def _answer(self, method: str, path: str, **sent: Any) -> urllib3.BaseHTTPResponse:
        self.asked.add((method.lower(), path))
        return super()._answer(method, path, **sent)


@pytest.fixture
def client(service: str) -> Iterator[Noting]:
    with Noting(service) as made:
        yield made


def test_it_asks_for_everything_that_is_described(client: Noting, service: str, shop_folder: Path) -> None:
    picture = (shop_folder / "icons" / "scopia-bed1.png").read_bytes()
    found = client.search("椅子", size=3, from_=1, facets=["category"], filter={"width": {"gt": 1}})
    assert len(found.hits) == 3
    assert found.facets["category"][0].count > 0
    assert client.search(image=picture, size=1).hits[0].id == "scopia-bed1"
    assert client.search([{"item": "scopia-bed1"}], paths=True).hits[0].paths
    assert client.why("scopia-bed1", "wooden bed").query[0].pieces[1].text == "bed"
    assert client.why("scopia-bed1", image=picture).hit is not None
    assert len(client.recommend(items=["scopia-bed1"], size=2).hits) == 2
    assert client.suggest("arm").suggestions[0].count > 0
    assert client.entities("couch").entities[0].id == "tag:couch"
    assert client.item("scopia-bed1").source["title"] == "Bed"
    assert client.picture("scopia-bed1") == picture
    assert {hit.modality for hit in client.similar("scopia-bed1", modalities=["image"]).hits} == {"image"}
    assert client.config().facets == ["category", "size", "tags"]
    assert client.ready().items == 820
    described = urllib3.request("GET", f"{service}/openapi.json").json()["paths"]
    operations = {(method, path) for path in described for method in described[path] if path not in PLAIN}
    operations.discard(("get", "/v1/search"))  # POST does all that GET does
    asked = {(method, re.sub("scopia-bed1", "{identifier}", path)) for method, path in client.asked}
    assert asked == operations


def test_it_walks_through_all_hits(client: Noting) -> None:
    walked = [hit.id for hit in client.walk("chair", size=200)]
    assert len(walked) == len(set(walked)) == client.search("chair", size=0).total.value  # type: ignore[union-attr]


def test_a_refusal_names_the_fields(client: Noting) -> None:
    with pytest.raises(ServiceProblem, match="there is no such member") as refused:
        client.search("a", colour="red")
    assert (refused.value.status, refused.value.title) == (400, "Invalid request")
    assert refused.value.problems == (FieldProblem("colour", "there is no such member"),)
    assert refused.value.request_id
    with pytest.raises(ServiceProblem, match="no item has the id 'a/b'") as unknown:
        client.item("a/b")
    assert unknown.value.status == 404


def test_nothing_that_answers_is_a_problem_too() -> None:
    with Client("http://127.0.0.1:9", patience=0) as client, pytest.raises(ServiceProblem, match="does not answer"):
        client.ready()

"""Vectors for an index that somebody else made and goes on writing, on real clusters."""

from __future__ import annotations

import json
import os
import random
import signal
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from encoders.contract import Encoded
from engines import ENGINES, start_engine
from es_mappings.cluster import Cluster, connect, probe
from es_mappings.errors import BadInput, IndexMissing, ProvenanceMismatch, SettingsError
from es_mappings.schema import Schema, build_schema
from es_mappings.settings import EngineSettings, LexicalSettings, ModalitySettings
from es_mappings.types import Provenance, Space, Term, TextTerm, Vector
from ingest.attach.run import Attaching, Summary, attach, prepared
from ingest.attach.target import detach, look_at
from ingest.sinks import open_sink
from query_api.searchers import open_searcher
from query_api.service import SearchService

DIMS = 8
NUMBER = 300


class Letters:
    """A text becomes a direction that depends on its words; "broken" cannot be encoded."""

    def __init__(self, modality: str, version: str = "1") -> None:
        self.spaces = (Space(modality, modality, DIMS),)
        self.provenance = {modality: Provenance("letters", version, DIMS)}
        self.encoded = 0

    def encode_items(self, values: Sequence[Sequence[Any]], base: Path) -> Encoded:
        self.encoded += len(values)
        bad = {i: BadInput("it is broken") for i, value in enumerate(values) if value and value[0] == "broken"}
        name = self.spaces[0].name
        return Encoded({name: [direction(v[0]) if v and i not in bad else None for i, v in enumerate(values)]}, bad)

    def encode_query(self, term: Term) -> Mapping[str, Vector]:
        return {self.spaces[0].name: direction(term.text)} if isinstance(term, TextTerm) else {}


def direction(text: str) -> Vector:
    words = [np.random.default_rng(list(word.encode())).normal(size=DIMS) for word in text.lower().split()]
    row = np.sum(words, axis=0)
    return np.asarray(row / np.linalg.norm(row), dtype=np.float32)


LEXICAL = LexicalSettings(
    fields=("title^2", "text"),
    languages=("en", "zh"),
    filters=("title", "colour", "price:number", "made:date", "fresh:boolean", "variants.size:number"),
    facets=("colour",),
    nested=("variants",),
)
MODALITIES = {
    "text": ModalitySettings(encoder="letters", source=("title",)),
    "image": ModalitySettings(encoder="letters", source=("photo",)),
}
MAPPING = {
    "_meta": {"owner": "the shop"},
    "properties": {
        "id": {"type": "long"},
        "title": {"type": "text", "analyzer": "english", "fields": {"raw": {"type": "keyword"}}},
        "text": {"type": "text"},
        "colour": {"type": "text", "fields": {"keyword": {"type": "keyword"}}},
        "price": {"type": "float"},
        "made": {"type": "date"},
        "fresh": {"type": "boolean"},
        "photo": {"type": "keyword"},
        "variants": {"type": "nested", "properties": {"size": {"type": "integer"}}},
    },
}
WORDS = ["oak", "lamp", "chair", "sofa", "red", "old", "desk", "bed"]


def made(number: int, drawn: random.Random) -> dict[str, Any]:
    """A document as its owner writes it; one in three has no photo."""
    found = {
        "id": number,
        "title": " ".join(drawn.sample(WORDS, 2)),
        "colour": drawn.choice(["red", "blue"]),
        "price": 1.50 + number,
        "made": "2024-05-31",
        "fresh": number % 2 == 0,
        "deep": {"list": [{"a": "ü"}, {"a": None}], "none": [1, None], "big": 12345678901234567},
        "variants": [{"size": number % 5}],
    }
    return found | ({"photo": f"photo {drawn.choice(WORDS)}"} if number % 3 else {})


@pytest.fixture(scope="module", params=[name for name in ENGINES if name != "embedded"])
def url(request: pytest.FixtureRequest) -> str:
    return start_engine(request.param)


@pytest.fixture(scope="module")
def cluster(url: str) -> Iterator[Cluster]:
    with closing(connect(EngineSettings(url=url))) as client:
        yield client


class Shop:
    """Somebody's index: its owner writes it by plain requests, and `expected` is what it has to hold."""

    def __init__(self, cluster: Cluster, letters: Path, *, knn: bool = True) -> None:
        self.cluster = cluster
        self.letters = letters
        self.name = f"maxcos-test-{uuid.uuid4().hex}"
        self.path = f"/{self.name}"
        self.encoders = {name: Letters(name) for name in MODALITIES}
        self.drawn = random.Random(0)
        self.expected: dict[str, dict[str, Any]] = {}
        settings = {"number_of_shards": 2, **(probe(cluster)[0].index_settings if knn else {})}
        cluster.request("PUT", self.path, body={"settings": {"index": settings}, "mappings": MAPPING})
        for number in range(NUMBER):
            self.put(number, routing=f"r{number}" if number % 7 == 0 else None)
        cluster.request("POST", f"{self.path}/_refresh")

    def put(self, number: int, routing: str | None = None) -> None:
        source = made(number, self.drawn)
        params = {"routing": routing} if routing else None
        self.cluster.request("PUT", f"{self.path}/_doc/{number}", params=params, body=source)
        self.expected[str(number)] = source

    def update(self, number: int, **fields: Any) -> None:
        # Whoever updates parts of documents that others write too has to try again; attaching is one of the others.
        params = {"retry_on_conflict": "10"}
        self.cluster.request("POST", f"{self.path}/_update/{number}", params=params, body={"doc": fields})
        self.expected[str(number)] |= fields

    def delete(self, number: int) -> None:
        self.cluster.request("DELETE", f"{self.path}/_doc/{number}")
        del self.expected[str(number)]

    @property
    def schema(self) -> Schema:
        return build_schema(LEXICAL, self.encoders.values())

    def attach(self, *, only: frozenset[str] | None = None, index: str | None = None) -> Summary:
        target = look_at(self.cluster, index or self.name)
        run = Attaching(self.cluster, target, self.schema, MODALITIES, self.encoders, Path(), only)
        summary = Summary()
        attach(run, prepared(run), summary, self.letters)
        return summary

    def detach(self) -> int:
        return detach(self.cluster, look_at(self.cluster, self.name))

    def documents(self) -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
        """By id the source without what is attached, and what is attached with its vectors."""
        self.cluster.request("POST", f"{self.path}/_refresh")
        body = {"size": 10_000, "fields": ["maxcos.*"]}
        found = {}
        for hit in self.cluster.request("POST", f"{self.path}/_search", body=body)["hits"]["hits"]:
            source = hit["_source"]
            source.pop("maxcos", None)
            found[hit["_id"]] = (source, hit.get("fields", {}))
        return found

    def check(self) -> None:
        """Every document is as its owner left it, and has the vectors of just what it says."""
        found = self.documents()
        assert found.keys() == self.expected.keys()
        manifest = look_at(self.cluster, self.name).manifest(self.schema)
        assert manifest is not None
        for identifier, (source, attached) in found.items():
            expected = self.expected[identifier]
            assert json.dumps(source, sort_keys=True) == json.dumps(expected, sort_keys=True)
            assert attached["maxcos.id"] == [identifier]
            photo = expected.get("photo") not in {None, "broken"}
            assert attached["maxcos.modalities"] == ["text", *(["image"] if photo else [])]
            assert ("maxcos.image" in attached) == photo
            for space, field in (("text", "title"), ("image", "photo")):
                if f"maxcos.{space}" in attached:
                    vector = direction(expected[field]) - manifest.centres[space].items
                    vector /= np.linalg.norm(vector)
                    assert np.allclose(attached[f"maxcos.{space}"], vector, atol=1e-5)


@pytest.fixture
def shop(cluster: Cluster, tmp_path: Path) -> Iterator[Shop]:
    opened = Shop(cluster, tmp_path / "letters.jsonl")
    yield opened
    cluster.request("DELETE", opened.path)


def test_every_document_gets_its_vectors_and_a_second_run_writes_nothing(shop: Shop) -> None:
    first = shop.attach()
    assert (first.written, first.conflicts, first.lost) == (NUMBER, 0, {})
    assert first.encoded == {"text": NUMBER, "image": NUMBER - NUMBER // 3}
    shop.check()
    before = {name: encoder.encoded for name, encoder in shop.encoders.items()}
    second = shop.attach()
    assert (second.read, second.written, second.unchanged) == (NUMBER, 0, NUMBER)
    assert {name: encoder.encoded for name, encoder in shop.encoders.items()} == before
    assert look_at(shop.cluster, shop.name).meta["owner"] == "the shop"
    assert not shop.letters.exists()


def test_what_changes_is_encoded_again_and_nothing_else(shop: Shop) -> None:
    shop.attach()
    shop.update(1, title="red bed")
    shop.update(3, photo="photo desk")  # it had none
    shop.update(4, photo=None)
    shop.update(5, stock=7)
    shop.delete(6)
    shop.put(1000)
    summary = shop.attach()
    assert (summary.written, summary.encoded) == (4, {"text": 2, "image": 2})
    shop.check()


def test_one_modality_alone(shop: Shop) -> None:
    first = shop.attach(only=frozenset({"image"}))
    assert first.encoded == {"image": NUMBER - NUMBER // 3}
    assert {tuple(a.get("maxcos.modalities", ())) for _, a in shop.documents().values()} == {(), ("image",)}
    second = shop.attach(only=frozenset({"text"}))
    assert second.encoded == {"text": NUMBER}
    shop.check()


def test_what_cannot_be_encoded_is_a_dead_letter_each_time(shop: Shop) -> None:
    shop.update(1, photo="broken")
    for written in (NUMBER, 0):
        summary = shop.attach()
        assert summary.written == written
        letters = list(map(json.loads, shop.letters.read_text().splitlines()))
        assert {letter["place"] for letter in letters} == {f"{shop.name}/1"}
        assert {letter["reason"] for letter in letters} == {"image: it is broken"}
    shop.check()


def test_no_update_of_a_writer_is_lost(shop: Shop) -> None:
    """It changes, adds and deletes documents all the time while vectors are attached."""
    stop = threading.Event()
    failures: list[BaseException] = []

    def write() -> None:
        drawn, counter = random.Random(1), 0
        try:
            while not stop.is_set():
                counter += 1
                time.sleep(0.002)
                number = drawn.randrange(NUMBER)
                if str(number) not in shop.expected or number % 7 == 0:
                    continue
                match drawn.randrange(10):
                    case 0:
                        shop.put(1000 + counter)
                    case 1 if number > 50:
                        shop.delete(number)
                    case 2:
                        shop.update(number, title=" ".join(drawn.sample(WORDS, 3)))
                    case 3:
                        shop.update(number, photo=f"photo {drawn.choice(WORDS)}")
                    case _:
                        shop.update(number, stock=counter)
        except BaseException as error:
            failures.append(error)

    writer = threading.Thread(target=write)
    writer.start()
    summaries = [shop.attach() for _ in range(3)]
    stop.set()
    writer.join()
    assert failures == []
    summaries.append(shop.attach())
    assert sum(summary.written for summary in summaries) > NUMBER
    assert all(summary.lost == {} for summary in summaries)
    shop.check()


def test_a_run_that_is_killed_is_gone_on_with(shop: Shop, url: str) -> None:
    """kill -9 at random moments; a document is then either as it was or has all of its vectors."""
    drawn, killed = random.Random(2), 0
    for _ in range(8):
        child = os.fork()
        if child == 0:
            shop.cluster = connect(EngineSettings(url=url))
            shop.attach()
            os._exit(0)
        time.sleep(drawn.uniform(0.02, 0.3))
        os.kill(child, signal.SIGKILL)
        killed += os.WIFSIGNALED(os.waitpid(child, 0)[1])
        for _, attached in shop.documents().values():
            assert ("maxcos.text" in attached) == ("maxcos.id" in attached)
    assert killed > 0
    assert shop.attach().lost == {}
    shop.check()
    assert shop.attach().written == 0


def test_an_attached_index_is_searched_like_any_other(shop: Shop, url: str) -> None:
    shop.attach()
    engine = EngineSettings(url=url, index=shop.name)
    with closing(open_searcher(engine, shop.schema)) as searcher:
        service = SearchService(shop.schema, shop.encoders, searcher)
        for method in ("max", "hybrid", "rrf", "lexical"):
            for plan in ("exact", "ann"):
                body = {"query": "old lamp", "fusion": {"method": method}, "plan": plan, "highlight": True, "size": 5}
                best = service.search(body)["hits"][0]
                assert set(best["source"]["title"].split()) == {"old", "lamp"}, (method, plan)
                assert "maxcos" not in best["source"]
                assert best["id"] == str(best["source"]["id"])
                assert ("title" in best["highlight"]) == (method != "max")
        answer = service.search(
            {
                "query": [{"item": "1"}],
                "filter": {
                    "colour": "red",
                    "price": {"lt": 100},
                    "made": {"gte": "2024-01-01"},
                    "fresh": True,
                    "variants": {"size": {"gte": 1}},
                    "not": {"title": "old lamp"},
                },
                "facets": ["colour"],
                "sort": ["colour", {"price": "desc"}],
            }
        )
        assert answer["hits"]
        assert all(hit["source"]["colour"] == "red" and hit["source"]["fresh"] for hit in answer["hits"])
        assert {bucket["value"] for bucket in answer["facets"]["colour"]} == {"red", "blue"}
        assert service.suggest("old la")["suggestions"]
        assert service.item("1")["modalities"] == ["text", "image"]
        assert len(searcher.sample(10, seed=1)) == 10
        walked, after = [], "*"
        while after:
            page = service.search({"query": "lamp", "size": 100, "after": after})
            walked += [hit["id"] for hit in page["hits"]]
            after = page["next"]
        assert sorted(walked) == sorted(shop.expected)


def test_an_alias_of_one_index_is_as_good_as_its_name(shop: Shop) -> None:
    alias, other = f"{shop.name}-alias", f"{shop.name}-other"
    shop.cluster.request("PUT", f"{shop.path}/_alias/{alias}")
    assert shop.attach(index=alias).written == NUMBER
    shop.check()
    shop.cluster.request("PUT", f"/{other}")
    shop.cluster.request("PUT", f"/{other}/_alias/{alias}")
    with pytest.raises(SettingsError, match="alias of several indices"):
        shop.attach(index=alias)
    shop.cluster.request("DELETE", f"/{other}")
    with pytest.raises(IndexMissing):
        shop.attach(index="maxcos-test-nobody")


def test_detaching_leaves_the_documents_as_they_were(shop: Shop) -> None:
    shop.attach()
    assert shop.detach() == NUMBER
    for identifier, (source, attached) in shop.documents().items():
        assert source == shop.expected[identifier]
        assert attached == {}
    assert look_at(shop.cluster, shop.name).meta == {"owner": "the shop"}
    assert shop.attach().written == NUMBER
    shop.check()


def test_other_encoders_are_refused_until_the_old_vectors_are_gone(shop: Shop) -> None:
    shop.attach()
    shop.encoders["text"] = Letters("text", version="2")
    with pytest.raises(ProvenanceMismatch, match="built differently"):
        shop.attach()
    shop.detach()
    assert shop.attach().written == NUMBER


def test_nothing_is_ingested_into_somebody_else_s_index_nor_attached_to_our_own(shop: Shop, url: str) -> None:
    shop.attach()
    engine = EngineSettings(url=url, index=shop.name)
    with closing(open_sink(engine, shop.schema)) as sink, pytest.raises(SettingsError, match="somebody else's"):
        sink.prepare({})
    own = EngineSettings(url=url, index=f"{shop.name}-own")
    with closing(open_sink(own, shop.schema)) as sink:
        sink.prepare({})
    with pytest.raises(ProvenanceMismatch, match="made by maxcos ingest"):
        shop.attach(index=own.index)
    with pytest.raises(ProvenanceMismatch, match="made by maxcos ingest"):
        detach(shop.cluster, look_at(shop.cluster, own.index))
    shop.cluster.request("DELETE", f"/{own.index}")


def test_data_streams_are_refused() -> None:
    """On OpenSearch, since the builds of Elasticsearch that run here have no data streams."""
    name = f"maxcos-test-{uuid.uuid4().hex}"
    with closing(connect(EngineSettings(url=start_engine("opensearch-3")))) as cluster:
        template = {"index_patterns": [f"{name}*"], "data_stream": {}, "priority": 1000}
        cluster.request("PUT", f"/_index_template/{name}", body=template)
        cluster.request("PUT", f"/_data_stream/{name}")
        try:
            with pytest.raises(SettingsError, match="data stream"):
                look_at(cluster, name)
        finally:
            cluster.request("DELETE", f"/_data_stream/{name}")
            cluster.request("DELETE", f"/_index_template/{name}")


def test_a_setting_that_the_engine_needs_is_asked_for(cluster: Cluster, tmp_path: Path) -> None:
    """And what the message says helps."""
    shop = Shop(cluster, tmp_path / "letters.jsonl", knn=False)
    if probe(cluster)[0].index_settings:
        with pytest.raises(SettingsError, match=r'"index.knn": true'):
            shop.attach()
        cluster.request("PUT", f"{shop.path}/_settings", body={"index.blocks.write": True})
        clone = f"{shop.name}-clone"
        settings = {"index.knn": True, "index.blocks.write": None}
        cluster.request("POST", f"{shop.path}/_clone/{clone}", body={"settings": settings})
        cluster.request("DELETE", shop.path)
        shop.name, shop.path = clone, f"/{clone}"
        cluster.request("GET", f"/_cluster/health/{clone}", params={"wait_for_status": "yellow"})
    assert shop.attach().written == NUMBER
    shop.check()
    cluster.request("DELETE", shop.path)


def test_fields_that_the_index_does_not_have_are_named_all_at_once(shop: Shop) -> None:
    wrong = LexicalSettings(
        fields=("title", "price", "nothing"), filters=("text", "colour:number", "nobody"), suggest=("title",)
    )
    schema = build_schema(wrong, shop.encoders.values())
    run = Attaching(shop.cluster, look_at(shop.cluster, shop.name), schema, MODALITIES, shop.encoders, Path())
    with pytest.raises(SettingsError) as refused:
        prepared(run)
    for name in ("price", "nothing", "text", "colour", "nobody"):
        assert f"'{name}'" in str(refused.value)
    assert "maxcos" not in look_at(shop.cluster, shop.name).properties

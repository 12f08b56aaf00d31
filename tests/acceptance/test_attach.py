"""Vectors for an index that somebody else made and goes on writing, on real clusters."""

from __future__ import annotations

import json
import os
import random
import signal
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from engines import ENGINES, start_engine
from es_mappings.cluster import Cluster, connect, probe
from es_mappings.errors import IndexMissing, ProvenanceMismatch, SettingsError
from es_mappings.schema import build_schema
from es_mappings.settings import EngineSettings, LexicalSettings, load_settings
from foreign import MODALITIES, NUMBER, WORDS, Letters, Shop
from ingest.attach.run import Attaching, Summary, attach, prepared
from ingest.attach.target import detach, look_at
from ingest.encoding import Encoding
from ingest.sinks import open_sink
from maxcos.cli import main
from query_api.searchers import open_searcher
from query_api.service import SearchService


@pytest.fixture(scope="module", params=[name for name in ENGINES if name != "embedded"])
def url(request: pytest.FixtureRequest) -> str:
    return start_engine(request.param)


@pytest.fixture(scope="module")
def cluster(url: str) -> Iterator[Cluster]:
    with closing(connect(EngineSettings(url=url))) as client:
        yield client


@pytest.fixture
def shop(cluster: Cluster, tmp_path: Path) -> Iterator[Shop]:
    opened = Shop(cluster, tmp_path / "letters.jsonl")
    yield opened
    cluster.request("DELETE", opened.path)


def test_every_document_gets_its_vectors_and_a_second_run_writes_nothing(shop: Shop) -> None:
    first = shop.attach()
    assert (first.written, first.conflicts, first.lost) == (NUMBER, 0, {})
    assert first.encoded == {"text": NUMBER, "image": NUMBER - NUMBER // 3}
    assert first.read == NUMBER  # what it wrote itself is no news
    shop.check()
    before = {name: encoder.encoded for name, encoder in shop.encoders.items()}
    second = shop.attach()
    assert (second.read, second.written, second.unchanged) == (NUMBER, 0, NUMBER)
    assert {name: encoder.encoded for name, encoder in shop.encoders.items()} == before
    assert look_at(shop.cluster, shop.name).meta["owner"] == "the shop"
    assert not shop.letters.exists()


def test_own_writes_are_not_read_again_but_those_of_others_are(shop: Shop) -> None:
    assert shop.attach().read == NUMBER
    shop.update(1, title="red bed")
    target = look_at(shop.cluster, shop.name)
    run = Attaching(shop.cluster, target, Encoding(shop.schema, MODALITIES, shop.encoders, Path()))
    summary = Summary()

    def meanwhile(documents: int) -> None:
        if summary.read == documents:
            shop.update(2, title="old bed")

    attach(run, prepared(run), summary, shop.letters, on_progress=meanwhile)
    assert summary.read > NUMBER
    shop.check()


def test_a_run_that_follows_attaches_what_comes_and_keeps_the_receipt(shop: Shop) -> None:
    run = Attaching(
        shop.cluster, look_at(shop.cluster, shop.name), Encoding(shop.schema, MODALITIES, shop.encoders, Path())
    )
    summary, waits = Summary(), 0

    def wait() -> bool:
        nonlocal waits
        waits += 1
        manifest = look_at(shop.cluster, shop.name).manifest(shop.schema)
        assert manifest is not None
        assert manifest.receipt is not None
        shop.check()
        if waits == 1:
            shop.put(1000)
            shop.update(5, title="old desk")
        elif waits == 2:
            shop.delete(6)
            shop.update(8, stock=3)
        return waits < 4

    attach(run, prepared(run), summary, shop.letters, wait=wait)
    assert waits == 4
    assert (summary.written, summary.lost) == (NUMBER + 2, {})
    shop.check()


def test_one_modality_gets_another_encoder_and_the_others_stay(shop: Shop) -> None:
    shop.attach()
    before = shop.encoders["text"].encoded
    shop.encoders["image"] = Letters("image", version="2")
    with pytest.raises(ProvenanceMismatch, match="--only"):
        shop.attach()
    summary = shop.attach(only=frozenset({"image"}))
    assert summary.encoded == {"image": NUMBER - NUMBER // 3}
    assert shop.encoders["text"].encoded == before
    shop.check()
    assert shop.attach().written == 0


def test_a_source_that_is_not_kept_whole_is_refused(cluster: Cluster) -> None:
    for source in ({"enabled": False}, {"excludes": ["secret"]}):
        name = f"maxcos-test-{uuid.uuid4().hex}"
        settings = {"index": probe(cluster)[0].index_settings}
        cluster.request("PUT", f"/{name}", body={"settings": settings, "mappings": {"_source": source}})
        with pytest.raises(SettingsError, match="does not keep its documents"):
            look_at(cluster, name)
        cluster.request("DELETE", f"/{name}")


def test_what_is_proposed_can_be_attached(shop: Shop, url: str, tmp_path: Path) -> None:
    command = ["attach", "--propose", "--engine", url, "--index", shop.name]
    printed = CliRunner().invoke(main, command)
    assert printed.exit_code == 0, printed.stderr
    config = tmp_path / "maxcos.toml"
    config.write_text(printed.stdout, "utf-8")
    settings = load_settings(config)
    assert (settings.engine.url, settings.engine.index) == (url, shop.name)
    assert {"colour", "price:number", "made:date", "fresh:boolean"} <= {*settings.lexical.filters}
    found = json.loads(CliRunner().invoke(main, [*command, "--json"]).stdout)
    assert {"colour", "fresh"} <= {*found["facets"]}
    shop.lexical = settings.lexical
    assert shop.attach().written == NUMBER


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
                # Ranks of pictures, which say nothing about words, may bring another lamp first.
                wanted = {"lamp"} if method == "rrf" else {"old", "lamp"}
                assert wanted <= set(best["source"]["title"].split()), (method, plan)
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
    encoding = Encoding(schema, MODALITIES, shop.encoders, Path())
    run = Attaching(shop.cluster, look_at(shop.cluster, shop.name), encoding)
    with pytest.raises(SettingsError) as refused:
        prepared(run)
    for name in ("price", "nothing", "text", "colour", "nobody"):
        assert f"'{name}'" in str(refused.value)
    assert "maxcos" not in look_at(shop.cluster, shop.name).properties

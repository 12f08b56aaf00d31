"""What the saved objects and the Console's requests ask, on real Elasticsearch, of an index and a log of searches."""

from __future__ import annotations

import json
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import vl_convert
from click.testing import CliRunner

from corner import ITEMS, corner_shop
from encoders.contract import Encoder, load_encoders
from engines import start_engine
from es_mappings.errors import EncoderError
from es_mappings.schema import build_schema
from es_mappings.settings import Settings
from es_mappings.types import Term, Vector
from kibana import search_body, vega_request
from maxcos.cli import main
from query_api.app import create_app
from query_api.querylog.writer import open_log
from query_api.searchers import open_searcher
from query_api.service import SearchService

JSON = dict[str, Any]

SEARCHES: list[JSON] = [
    {"query": "red sofa", "size": 3},
    {"query": "sofa"},
    {"query": "unheard of", "fusion": {"method": "lexical"}},
    {"query": "Unheard OF", "fusion": {"method": "lexical"}},
    {"query": [{"entity": "tag:red", "modalities": ["graph"]}], "fusion": {"method": "max"}},
]


class Failing:
    """An encoder whose items have vectors, and which fails at every query."""

    def __init__(self, encoder: Encoder) -> None:
        self.spaces, self.provenance, self.encode_items = encoder.spaces, encoder.provenance, encoder.encode_items

    def encode_query(self, term: Term) -> Mapping[str, Vector]:
        raise EncoderError("no query for today")


@dataclass(frozen=True)
class Exported:
    """What was exported for an index, and the answers to the searches in its log, the last of which is degraded."""

    url: str
    objects: list[JSON]
    console: str
    answers: list[JSON]

    def ask(self, method: str, path: str, body: JSON | None = None) -> JSON:
        data = None if body is None else json.dumps(body).encode()
        asked = urllib.request.Request(self.url + path, data, {"content-type": "application/json"}, method=method)
        with urllib.request.urlopen(asked, timeout=60) as answer:
            found: JSON = json.load(answer)
            return found

    def drawn(self, name: str) -> tuple[JSON, JSON]:
        """A panel's spec, and the aggregations that answer it over the last hour."""
        (saved,) = (o for o in self.objects if o["type"] == "visualization" and o["id"].endswith(f"-{name}"))
        spec: JSON = json.loads(json.loads(saved["attributes"]["visState"])["params"]["spec"])
        index, body = vega_request(spec, *lately())
        answer = self.ask("POST", f"/{index}/_search", body)
        assert answer["_shards"]["failed"] == 0
        return spec, answer

    def listed(self, name: str) -> list[JSON]:
        """The documents of a saved search over the last hour, field by field."""
        (saved,) = (o for o in self.objects if o["type"] == "search" and o["id"].endswith(f"-{name}"))
        (view,) = (o for o in self.objects if o["id"] == saved["references"][0]["id"])
        body = search_body(saved["attributes"], view["attributes"].get("timeFieldName"), *lately())
        found = self.ask("POST", f"/{view['attributes']['title']}/_search", body)["hits"]["hits"]
        return [hit["fields"] for hit in found]


def lately() -> tuple[datetime, datetime]:
    now = datetime.now(UTC)
    return now - timedelta(hours=1), now + timedelta(minutes=1)


@pytest.fixture(scope="module", params=["elasticsearch-8", "elasticsearch-9"])
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exported]:
    folder = tmp_path_factory.mktemp("kibana")
    url = start_engine(request.param)
    with corner_shop(folder, url, texts="plain") as settings:
        answers = searched(settings)
        files = [folder / "out.ndjson", folder / "console.txt"]
        command = ["kibana", "export", "--config", str(folder / "maxcos.toml"), "--query", "red sofa"]
        done = CliRunner().invoke(main, [*command, "--out", str(files[0]), "--console", str(files[1])])
        assert done.exit_code == 0, done.output
        lines, console = (file.read_text("utf-8") for file in files)
        found = Exported(url, [json.loads(line) for line in lines.splitlines()], console, answers)
        found.ask("POST", f"/{settings.log.index}/_refresh")
        yield found


def searched(settings: Settings) -> list[JSON]:
    """The answers to SEARCHES, and to the second of them once more when an encoder fails."""
    encoders = load_encoders(settings.modalities)
    schema = build_schema(settings.lexical, encoders.values())
    broken = {**encoders, "kinds": Failing(encoders["kinds"])}
    log = open_log(settings, schema)
    assert log is not None
    answers = []
    with closing(log):
        for made, bodies in ((encoders, SEARCHES), (broken, SEARCHES[1:2])):
            with closing(SearchService(schema, made, open_searcher(settings.engine, schema))) as service:
                client = create_app(settings, service, None, log).test_client()
                answers += [client.post("/v1/search", json=body).get_json() for body in bodies]
    return answers


def summed(buckets: list[JSON], count: Callable[[JSON], int]) -> int:
    """Over the parts of a time: searches of one second may fall into two of them."""
    return sum(count(bucket) for bucket in buckets)


def test_coverage(exported: Exported) -> None:
    _, answer = exported.drawn("coverage")
    buckets = answer["aggregations"]["coverage"]["buckets"]
    found = {bucket["key"]: bucket["doc_count"] for bucket in buckets}
    assert found == {"all items": 10, "graph": 8, "kinds": 6, "no vector": 2}


def test_freshness(exported: Exported) -> None:
    _, answer = exported.drawn("freshness")
    buckets = answer["aggregations"]["times"]["buckets"]
    assert sum(bucket["doc_count"] for bucket in buckets) == len(ITEMS)
    start, end = (moment.timestamp() * 1000 for moment in lately())
    assert all(start <= bucket["key"] <= end for bucket in buckets)


def test_winners(exported: Exported) -> None:
    _, answer = exported.drawn("winners")
    found: Counter[str] = Counter()
    for bucket in answer["aggregations"]["times"]["buckets"]:
        found.update({winner["key"]: winner["doc_count"] for winner in bucket["winners"]["buckets"]})
    assert found == Counter(answer["hits"][0]["modality"] for answer in exported.answers if answer["hits"])
    _, answer = exported.drawn("won")
    sums = {name: value["value"] for name, value in answer["aggregations"].items()}
    won = Counter(hit["modality"] for answer in exported.answers for hit in answer["hits"])
    assert sums == {name: won[name] for name in ("graph", "kinds", "lexical", "background")}
    assert sum(won.values()) > 20


def test_latency(exported: Exported) -> None:
    _, answer = exported.drawn("latency")
    buckets = answer["aggregations"]["times"]["buckets"]
    took = sorted(answer["took_ms"] for answer in exported.answers)
    assert summed(buckets, lambda bucket: bucket["doc_count"]) == len(took)
    for bucket in buckets:
        values = {value["key"]: value["value"] for value in bucket["took"]["values"]}
        assert [*values] == [50, 95, 99]
        assert [*values.values()] == sorted(values.values())
        assert took[0] * 0.999 <= values[50] <= values[99] <= took[-1] * 1.001
    if len(buckets) == 1:
        assert took[2] * 0.999 <= values[50] <= took[3] * 1.001


def test_searches_without_results(exported: Exported) -> None:
    _, answer = exported.drawn("zero-results")
    buckets = answer["aggregations"]["times"]["buckets"]
    assert summed(buckets, lambda bucket: bucket["empty"]["doc_count"]) == 2
    assert summed(buckets, lambda bucket: bucket["first"]["doc_count"]) == 6
    _, answer = exported.drawn("without-results")
    buckets = answer["aggregations"]["empty"]["texts"]["buckets"]
    assert [(bucket["key"], bucket["doc_count"]) for bucket in buckets] == [("unheard of", 2)]


def test_top_entities(exported: Exported) -> None:
    _, answer = exported.drawn("entities")
    buckets = answer["aggregations"]["entities"]["buckets"]
    found = {bucket["key"]: bucket["doc_count"] for bucket in buckets}
    # The kinds' graph, whose node "sofa" is, failed for the last of three.
    assert found == {"tag:sofa": 3, "tag:red": 2, "sofa": 2}


def test_saved_searches(exported: Exported) -> None:
    assert len(exported.listed("items-all")) == 10
    titles = [title for found in exported.listed("items-incomplete") for title in found["title"]]
    assert sorted(titles) == ["a", "b", "elm table", "oak table"]
    times = [found["@timestamp"] for found in exported.listed("searches-all")]
    assert len(times) == 6
    assert times == sorted(times, reverse=True)
    assert [found["texts"] for found in exported.listed("searches-empty")] == [["unheard of"]] * 2
    took = [found["took_ms"][0] for found in exported.listed("searches-slow")]
    assert took == sorted(took, reverse=True)
    assert [found["degraded"] for found in exported.listed("searches-degraded")] == [["kinds"]]


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("coverage", ["all items", "graph", "kinds", "no vector", "80%"]),
        ("freshness", ["encoded", "items"]),
        ("winners", ["won by", "graph", "share of the first hits"]),
        ("won", ["graph", "kinds", "lexical", "background"]),
        ("latency", ["99%", "95%", "50%", "milliseconds"]),
        ("zero-results", ["share of the searches"]),
        ("without-results", ["unheard of"]),
        ("entities", ["tag:sofa", "tag:red"]),
    ],
)
@pytest.mark.parametrize("version", ["5.8", "6.4"])
def test_panels_can_be_drawn_from_the_answers(exported: Exported, name: str, labels: list[str], version: str) -> None:
    spec, answer = exported.drawn(name)
    data = {"values": answer, "format": spec["data"]["format"]}
    drawn = vl_convert.vegalite_to_svg({**spec, "data": data, "width": 400, "height": 200}, vl_version=version)
    assert [label for label in labels if f">{label}<" not in drawn] == []
    assert drawn.count('aria-roledescription="bar"') + drawn.count('aria-roledescription="point"') > 0


def test_the_consoles_requests_are_taken(exported: Exported) -> None:
    found = {}
    for block in exported.console.strip().split("\n\n"):
        about, line, *body = block.split("\n")
        method, path = line.split(" ")
        found[about] = exported.ask(method, path, json.loads("\n".join(body)) if body else None)
    assert len(found) == 13
    lacking = found["# Items that lack a modality"]["hits"]
    assert lacking["total"]["value"] == 4
    same = found["# Items with the same kinds vectors, made of the same"]["aggregations"]["same"]["buckets"]
    assert sorted(bucket["doc_count"] for bucket in same) == [3, 3]
    empty = found["# The latest searches without results"]["hits"]["hits"]
    assert [hit["_source"]["texts"] for hit in empty] == [["unheard of"]] * 2
    (plan,) = found["# Latency of a day, by kind of plan"]["aggregations"]["plans"]["buckets"]
    assert (plan["key"], plan["doc_count"]) == ("exact", 6)
    hits = found["# A search for 'red sofa': what finds and scores"]["hits"]["hits"]
    first = exported.answers[0]["hits"]
    assert [hit["_id"] for hit in hits[:3]] == [hit["id"] for hit in first]
    counted = found["# A search for 'red sofa': what counts"]["hits"]["total"]
    assert counted["value"] == 10

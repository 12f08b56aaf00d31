"""What the measurements of load ask: the service over HTTP, and the engine by its bare official client."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

import orjson
import psutil
from elastic_transport import NdjsonSerializer
from elasticsearch import Elasticsearch, OrjsonSerializer

JSON = dict[str, Any]

CONNECTIONS = 16

WORDS = ("sofa", "椅子", "wooden table", "床", "something to sit on", "台灯", "office chair", "厨房", "lamp", "书架")
FILTERS: tuple[JSON | None, ...] = (None, {"width": {"lt": 120}}, {"category": ["Office", "Kitchen", "Bedroom"]})
ITEMS = ("scopia-bed1", "blend-swap-cc-0-bed1", "blend-swap-cc-0-armchair")

QUERIES: tuple[JSON, ...] = (
    *({"query": text, "filter": clause} for text in WORDS for clause in FILTERS),
    *({"query": text, "fusion": {"method": "max"}} for text in WORDS),
    *({"query": text, "facets": ["category", "size"], "highlight": True} for text in WORDS),
    *({"query": [{"item": item}], "filter": clause} for item in ITEMS for clause in FILTERS),
)
"""What is asked, one after the other. No fusion of ranks: its second request depends on the answer to the first."""

NDJSON = {"accept": "application/json", "content-type": "application/x-ndjson"}


Ask = Callable[[int], str]
"""Sends the query of a number (modulo their number), and tells how it ended: "200", another status, or an error."""


def of_service(url: str) -> Callable[[], Ask]:
    address = urlsplit(url)
    bodies = [orjson.dumps(query) for query in QUERIES]

    def opened() -> Ask:
        connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=60)

        def ask(number: int) -> str:
            try:
                connection.request(
                    "POST", "/v1/search", bodies[number % len(bodies)], {"Content-Type": "application/json"}
                )
                answer = connection.getresponse()
                hits = orjson.loads(answer.read()).get("hits")
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                return type(error).__name__
            if answer.status == 503 and "Retry-After" not in answer.headers:
                return "503 without Retry-After"
            return str(answer.status) if answer.status != 200 or hits else "200 without hits"

        return ask

    return opened


def of_engine(client: Elasticsearch, asked: Sequence[Sequence[JSON]]) -> Callable[[], Ask]:
    """asked: for each query the lines of its multi-search."""

    params = {"include_named_queries_score": "true"}  # no argument of `msearch`, but of the engine's

    def ask(number: int) -> str:
        answers = client.options(request_timeout=60).perform_request(
            "POST", "/_msearch", params=params, headers=NDJSON, body=asked[number % len(asked)]
        )
        found = answers.body["responses"][0]
        return "200" if found.get("hits", {}).get("hits") else str(found["status"])

    return lambda: ask


def lines_of(url: str) -> list[list[JSON]]:
    """For each query the lines of the multi-search that the service sends for it: header, body, header, body."""
    address = urlsplit(url)
    found = []
    with closing(http.client.HTTPConnection(address.hostname or "", address.port, timeout=60)) as connection:
        for query in QUERIES:
            body = orjson.dumps({**query, "explain": "engine"})
            connection.request("POST", "/v1/search", body, {"Content-Type": "application/json"})
            told = json.loads(connection.getresponse().read())["explain"]
            searches = [told, told["counts"]]
            found.append([line for s in searches for line in ({"index": s["path"].split("/")[1]}, s["body"])])
    return found


class OrjsonLines(NdjsonSerializer, OrjsonSerializer):
    """As fast a writer of lines as there is: the service has the same."""


def in_threads(work: Callable[[], None]) -> None:
    """As many as there are connections."""
    threads = [threading.Thread(target=work) for _ in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def worker_of(process: int) -> psutil.Process:
    """The process of a running `maxcos serve` that answers."""
    (worker,) = psutil.Process(process).children()
    return worker

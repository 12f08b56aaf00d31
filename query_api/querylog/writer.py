"""Writing the query log: a bounded queue, and a thread that empties it into the cluster by bulk requests."""

from __future__ import annotations

import logging
import queue
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from urllib.parse import quote

from prometheus_client.core import CounterMetricFamily

from es_mappings.cluster import Cluster, connect, is_embedded
from es_mappings.errors import EngineRefused, MaxcosError, SettingsError
from es_mappings.schema import Schema
from es_mappings.settings import Settings
from query_api.querylog.entry import Written, index_body, writing

JSON = dict[str, Any]

QUEUE = 10_000
"""Searches that wait to be written, of about a kilobyte each; what comes on top is dropped."""
MOST_ENTITIES = 32
"""Of one search: a long text may name many."""
PAUSE_SECONDS = 1.0
STOP_SECONDS = 5.0
"""For so long a service that stops waits for what is not written yet."""

Entities = Callable[[], Sequence[str]]

log = logging.getLogger(__name__)


def check_log(settings: Settings) -> None:
    """Raise SettingsError for a query log that cannot be."""
    if settings.log.index is None:
        return
    if is_embedded(settings.engine):
        raise SettingsError("log.index: the query log needs a cluster to be written to, and engine.url is embedded")
    writing(settings.log)


def open_log(settings: Settings, schema: Schema) -> QueryLog | None:
    """The log that the settings ask for, or None; no request is made yet. Raises what `check_log` raises."""
    check_log(settings)
    if settings.log.index is None:
        return None
    body = index_body(schema, settings.engine)
    return QueryLog(connect(settings.engine), settings.log.index, body, writing(settings.log))


class QueryLog:
    """Threads may share it. Nothing here waits for the cluster but its own thread, which begins at once.

    written: how the texts of queries are to be written; None: not at all.
    """

    def __init__(self, cluster: Cluster, index: str, body: JSON, written: Written | None, *, size: int = QUEUE) -> None:
        self.written = written
        self._cluster = cluster
        self._index = index
        self._body = body
        self._queue: queue.Queue[tuple[JSON, Entities]] = queue.Queue(size)
        self._counts = Counter({"written": 0, "full": 0, "lost": 0})
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="querylog", daemon=True)
        self._thread.start()

    def add(self, entry: JSON, entities: Entities) -> None:
        """Write it soon, with the entities that can be told then, or drop it when too many wait."""
        try:
            self._queue.put_nowait((entry, entities))
        except queue.Full:
            self.count("full")

    def count(self, outcome: str, by: int = 1) -> None:
        with self._lock:
            self._counts[outcome] += by

    def collect(self) -> Iterator[CounterMetricFamily]:
        """For Prometheus: what became of the searches."""
        family = CounterMetricFamily(
            "maxcos_querylog",
            "Searches for the query log: written, dropped because too many waited (full), or lost otherwise.",
            labels=["outcome"],
        )
        with self._lock:
            counts = dict(self._counts)
        for outcome, count in counts.items():
            family.add_metric([outcome], count)
        yield family

    def close(self, seconds: float = STOP_SECONDS) -> None:
        """Write what waits, for so long at most."""
        self._closing.set()
        self._thread.join(seconds)
        if self._thread.is_alive():
            self._cluster.stop()
            self._thread.join(PAUSE_SECONDS)
        if left := self._queue.qsize():
            self.count("lost", left)
            log.warning("%d searches are not in the query log: the service stopped first", left)
        self._cluster.close()

    def _run(self) -> None:
        while not self._closing.wait(PAUSE_SECONDS):
            self._flush()
        self._flush()

    def _flush(self) -> None:
        if self._queue.empty():
            return
        taken: list[str] = []
        done = 0
        try:
            # What cannot be written yet stays in the queue.
            self._make_index()
            for written, answer in self._cluster.bulk(self._actions(taken)):
                done += 1
                self.count("written" if written else "lost")
                if not written:
                    log.warning("a search is not in the query log: %s", answer)
        except Exception as error:  # whatever it is, the searches to come are to be written
            self.count("lost", len(taken) - done)
            log.warning("the query log is not written: %s", error, exc_info=not isinstance(error, MaxcosError))

    def _actions(self, taken: list[str]) -> Iterator[JSON]:
        """All that wait now. taken: gets the id of each, by which an entry that is sent twice is there once."""
        for _ in range(self._queue.qsize()):
            entry, entities = self._queue.get_nowait()
            taken.append(uuid.uuid4().hex)
            source = {**entry, "entities": list(entities()[:MOST_ENTITIES])}
            yield {"_index": self._index, "_id": taken[-1], "_source": source}

    def _make_index(self) -> None:
        """Each time: whoever deletes an old log, to be rid of it, must not get one without a mapping."""
        path = f"/{quote(self._index)}"
        if self._cluster.exists(path):
            return
        try:
            self._cluster.request("PUT", path, body=self._body)
        except EngineRefused as error:
            if error.kind != "resource_already_exists_exception":
                raise

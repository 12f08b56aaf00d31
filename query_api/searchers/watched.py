"""A searcher that is timed, and that stops asking an engine which does not answer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from es_mappings.errors import EngineUnavailable, MaxcosError
from es_mappings.types import Filter, Page, Plan, StoredItem, Suggestion
from query_api.searchers import IndexState, Searcher
from query_api.stages import happened, stage

FAILURES = 5
"""After so many in a row the engine counts as gone."""
PAUSE_SECONDS = 5.0
"""For so long it is not asked at all; then one request tries, and the others go on being refused until it is back."""
PLACES = 12
"""Requests that may wait for the engine at once. Fewer than the service has threads: with an engine that hangs, some
are left to say so, and to tell whoever watches the service that it lives.
"""
QUEUE_SECONDS = 2.0
"""For so long a request waits for a place; then it is refused as one that may be repeated."""


class Gate:
    """A circuit breaker (Nygard, Release It!, 2007) with a limited number of places behind it. Threads share it.

    Our own: pybreaker 1.4 holds its lock while a call runs, so that calls would follow each other, and neither
    purgatory 3.0 nor circuitbreaker 2.1 is made for threads.
    """

    def __init__(
        self,
        pause: float = PAUSE_SECONDS,
        places: int = PLACES,
        queue: float = QUEUE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pause = pause
        self._clock = clock
        self._queue = queue
        self._lock = threading.Lock()
        self._places = threading.BoundedSemaphore(places)
        self._failures = 0
        self._asked_again = 0.0

    @contextmanager
    def passing(self, *, remembered: bool = False) -> Iterator[None]:
        """Around what asks the engine. Raises EngineUnavailable at once where it is not to be asked.

        remembered: whether the answer may come from memory, and so does not prove that the engine is back.
        """
        self._refuse_while_gone(trying=not remembered)
        if not self._places.acquire(timeout=self._queue):
            raise EngineUnavailable("too many requests wait for the engine")
        try:
            yield
        except EngineUnavailable:
            self._count(failed=True)
            raise
        except MaxcosError:  # an answer of the engine that is no hit
            self._count(failed=False)
            raise
        else:
            if not remembered:
                self._count(failed=False)
        finally:
            self._places.release()

    def _count(self, *, failed: bool) -> None:
        with self._lock:
            self._failures = self._failures + 1 if failed else 0
            if self._failures >= FAILURES:
                self._asked_again = self._clock() + self._pause

    def _refuse_while_gone(self, *, trying: bool) -> None:
        with self._lock:
            if self._failures < FAILURES:
                return
            now = self._clock()
            if now < self._asked_again:
                happened("engine not asked")
                raise EngineUnavailable(
                    f"the engine did not answer {FAILURES} times in a row; it is asked again in some seconds"
                )
            if trying:  # the others wait for what this request finds
                self._asked_again = now + self._pause


class WatchedSearcher:
    """Implements `Searcher` by another one; every wait for the engine is the stage "engine"."""

    def __init__(self, searcher: Searcher, gate: Gate | None) -> None:
        """gate: None before a store that is part of this process, and cannot be gone."""
        self._searcher = searcher
        self._gate = gate

    @contextmanager
    def _watched(self, *, remembered: bool = False) -> Iterator[None]:
        with self._gate.passing(remembered=remembered) if self._gate else nullcontext(), stage("engine"):
            yield

    def state(self) -> IndexState:
        with self._watched(remembered=True):
            return self._searcher.state()

    def search(self, plan: Plan) -> Page:
        with self._watched():
            return self._searcher.search(plan)

    def count(self, clause: Filter | None = None) -> int:
        with self._watched():
            return self._searcher.count(clause)

    def item(self, identifier: str) -> StoredItem:
        with self._watched():
            return self._searcher.item(identifier)

    def suggest(self, text: str, size: int) -> list[Suggestion]:
        with self._watched():
            return self._searcher.suggest(text, size)

    def check(self) -> None:
        with self._watched():
            self._searcher.check()

    def sample(self, size: int, seed: int) -> list[StoredItem]:
        with self._watched():
            return self._searcher.sample(size, seed)

    def scan(self, batch: int) -> Iterator[list[StoredItem]]:
        return self._searcher.scan(batch)

    def explain(self, plan: Plan) -> dict[str, Any]:
        return self._searcher.explain(plan)

    def close(self) -> None:
        self._searcher.close()

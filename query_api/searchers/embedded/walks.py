"""Walks: snapshots that stay open between the pages of a client."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from query_api.searchers.embedded.pages import expired
from query_api.searchers.embedded.snapshots import Snapshot

WALKS = 16
"""How many walks may be under way: the store's log cannot be shortened past the oldest of their snapshots."""
IDLE_SECONDS = 300.0
"""How long a walk may rest between two pages."""


@dataclass(slots=True, eq=False)
class _Walk:
    snapshot: Snapshot
    used: float
    turn: threading.Lock = field(default_factory=threading.Lock)
    """Held by the one thread that looks through the snapshot, or ends it."""
    ended: bool = False


class Walks:
    """Open walks by name. Threads may share it.

    end: what a snapshot is given to when its walk is over. clock: seconds.
    """

    def __init__(self, end: Callable[[Snapshot], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._end = end
        self._clock = clock
        self._lock = threading.Lock()
        self._walks: dict[str, _Walk] = {}

    def begin(self, name: str, snapshot: Snapshot) -> None:
        """Keep a snapshot; where there are too many, the one that has rested longest is ended for it."""
        with self._lock:
            self._walks[name] = _Walk(snapshot, self._clock())
            resting = sorted(self._walks, key=lambda other: self._walks[other].used)
        for other in resting[:-WALKS]:
            self.end(other)

    @contextmanager
    def use(self, name: str) -> Iterator[Snapshot]:
        """The walk's snapshot, for one thread at a time. Raises InvalidRequest at `after` when it is gone."""
        with self._lock:
            walk = self._walks.get(name)
            if walk is None:
                raise expired()
            walk.used = self._clock()
        with walk.turn:
            if walk.ended:
                raise expired()
            yield walk.snapshot

    def end(self, name: str) -> None:
        with self._lock:
            walk = self._walks.pop(name, None)
        if walk is not None:
            with walk.turn:
                walk.ended = True
                self._end(walk.snapshot)

    def end_stale(self) -> None:
        """End the walks that nobody has gone on with for too long."""
        oldest = self._clock() - IDLE_SECONDS
        with self._lock:
            stale = [name for name, walk in self._walks.items() if walk.used < oldest]
        for name in stale:
            self.end(name)

    def end_all(self) -> None:
        with self._lock:
            names = list(self._walks)
        for name in names:
            self.end(name)

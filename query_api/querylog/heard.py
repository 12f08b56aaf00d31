"""What a service answers to whoever listens in the same thread: it need not know who that is, nor wait for them."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from query_api.planner import Planned
from query_api.request import SearchRequest

JSON = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Search:
    """One search and its answer. entities: tells which ones of the knowledge graph it names or asks for."""

    request: SearchRequest
    planned: Planned
    answer: JSON
    entities: Callable[[], tuple[str, ...]]


_heard: ContextVar[list[Search] | None] = ContextVar("heard", default=None)


def listen() -> list[Search]:
    """The searches that this thread answers from now on, as they come."""
    started: list[Search] = []
    _heard.set(started)
    return started


def listener() -> list[Search] | None:
    """Where to tell of a search; None: nobody listens."""
    return _heard.get()

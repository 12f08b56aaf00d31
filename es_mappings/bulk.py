"""Bulk writing that bends before it breaks: smaller requests and longer waits while a cluster has too much to do.

Every action has an answer in the end, or the run stops with what the cluster said. Sending an action again is harmless:
indexing is by id, and a guarded update that was carried out unheard is refused the second time.
"""

from __future__ import annotations

import logging
import random
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from es_mappings.errors import EngineError, EngineRefused, EngineUnavailable

JSON = dict[str, Any]

logger = logging.getLogger(__name__)

MOST_ACTIONS = 200
MOST_BYTES = 20 * 2**20
LARGEST = 100 * 2**20
"""What an engine takes in one request, unless it is told otherwise (http.max_content_length)."""
FIRST_WAIT, LONGEST_WAIT = 0.5, 30.0
PATIENCE = 300.0
"""Seconds without one action carried out after which a run gives up."""
BUSY = frozenset({429, 503})
BLOCKED = "cluster_block_exception"
"""What an action meets in an index that must not be written, as when the disk is nearly full."""
TOO_LARGE = 413

META = ("_index", "_id", "routing", "if_seq_no", "if_primary_term")


@dataclass(frozen=True, slots=True)
class _Action:
    operation: str
    meta: JSON
    lines: bytes


def send_all(post: Callable[[bytes], Any], actions: Iterable[JSON]) -> Iterator[tuple[bool, JSON]]:
    """Carry out the actions; for each whether the engine did it, and its answer under the operation's name.

    post: sends the lines of one request and returns the decoded answer. actions: `_op_type` (index or update),
    `_index`, `_id`, maybe routing, if_seq_no and if_primary_term, and `_source` or `doc`. Answers come in no
    particular order.
    Raises EngineUnavailable when nothing was carried out for PATIENCE seconds, and what `post` raises beyond that.
    """
    sender = _Sender(post)
    for action in map(_encoded, actions):
        if len(action.lines) > LARGEST:
            yield _refused(action, f"{len(action.lines)} bytes are more than an engine takes in one request")
            continue
        if sender.is_full(action):
            yield from sender.flush()
        sender.add(action)
    yield from sender.flush()


def bulk_reason(answer: Mapping[str, Any]) -> str:
    """Why one action of a bulk request failed, from the answer to it."""
    error = answer.get("error", {})
    if not isinstance(error, Mapping):
        return f"{answer.get('status')}: {error}"
    cause = error.get("caused_by", {}).get("reason")
    return f"{error.get('type')}: {error.get('reason')}" + (f" ({cause})" if cause else "")


class _Sender:
    """What waits to be sent, and how much of it is sent at once, by what the cluster has borne so far."""

    def __init__(self, post: Callable[[bytes], Any]) -> None:
        self._post = post
        self._waiting: deque[_Action] = deque()
        self._bytes = 0
        self._most = MOST_ACTIONS
        self._wait = FIRST_WAIT
        self._progress = time.monotonic()

    def is_full(self, action: _Action) -> bool:
        return len(self._waiting) >= MOST_ACTIONS or self._bytes + len(action.lines) > MOST_BYTES

    def add(self, action: _Action) -> None:
        self._waiting.append(action)
        self._bytes += len(action.lines)

    def flush(self) -> Iterator[tuple[bool, JSON]]:
        self._progress = time.monotonic()
        while self._waiting:
            part = [self._waiting.popleft() for _ in range(min(self._most, len(self._waiting)))]
            yield from self._send(part)
        self._bytes = 0

    def _send(self, part: list[_Action]) -> Iterator[tuple[bool, JSON]]:
        try:
            answer = self._post(b"".join(action.lines for action in part))
        except EngineRefused as error:
            if error.code != TOO_LARGE:
                raise
            if len(part) == 1:
                yield _refused(part[0], str(error))
            else:
                self._shrink(part)
            return
        except EngineUnavailable as error:
            self._shrink(part)
            self._rest(error)
            return
        again: list[_Action] = []
        reason = ""
        for action, item in zip(part, answer["items"], strict=True):
            found = item[action.operation]
            if found["status"] in BUSY or _kind(found) == BLOCKED:
                again.append(action)
                reason = str(found.get("error", {}).get("reason", found["status"]))
            else:
                yield found["status"] < 300, item
        if len(again) < len(part):
            self._progress, self._wait = time.monotonic(), FIRST_WAIT
            self._most = min(2 * self._most, MOST_ACTIONS)
        if again:
            self._shrink(again)
            self._rest(EngineUnavailable(f"the engine does not take documents for now: {reason}"))

    def _shrink(self, part: list[_Action]) -> None:
        """Put actions back in front, to be sent in smaller parts."""
        self._waiting.extendleft(reversed(part))
        self._most = max(min(self._most, len(part)) // 2, 1)

    def _rest(self, error: EngineError) -> None:
        """Wait longer each time, and by chance, so that many writers do not come back together."""
        idle = time.monotonic() - self._progress
        if idle > PATIENCE:
            raise EngineUnavailable(f"nothing could be written for {idle:.0f} seconds: {error}") from error
        pause = random.uniform(0.5, 1.0) * self._wait
        logger.warning("%s; trying again in %.1f s", error, pause)
        time.sleep(pause)
        self._wait = min(2 * self._wait, LONGEST_WAIT)


def _encoded(action: JSON) -> _Action:
    operation = action["_op_type"]
    meta = {name: action[name] for name in META if name in action}
    body = action["_source"] if operation == "index" else {"doc": action["doc"]}
    try:
        lines = (orjson.dumps(line, option=orjson.OPT_SERIALIZE_NUMPY) for line in ({operation: meta}, body))
        return _Action(operation, meta, b"".join(line + b"\n" for line in lines))
    except orjson.JSONEncodeError as error:
        raise EngineError(f"a document is not JSON: {error}") from error


def _refused(action: _Action, reason: str) -> tuple[bool, JSON]:
    error = {"type": "too_large", "reason": reason}
    return False, {action.operation: {**action.meta, "status": TOO_LARGE, "error": error}}


def _kind(found: Mapping[str, Any]) -> str | None:
    error = found.get("error")
    return error.get("type") if isinstance(error, Mapping) else None

"""Bulk writing that outlives a busy engine: what the official clients' bulk helpers do not do.

Those ask again for single operations that were answered 429. They neither ask again for a whole request that was cut or
answered 503, nor make the next one smaller, nor split one that is too large, nor wait for an index that is read-only
while its disk is full.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from es_mappings.access import FORBIDDEN
from es_mappings.errors import AccessRefused, EngineError, EngineRefused, EngineUnavailable

JSON = dict[str, Any]

OPERATIONS = 200
BYTES = 20 * 1024 * 1024
"""The most of one request; a single larger operation goes alone."""

GROWTH = 1.1

BUSY = frozenset({408, 429, 502, 503, 504})
BLOCKED = "cluster_block_exception"
TOO_LARGE = 413

LARGE = 10 * 1024 * 1024
LONE_TRIES = 5
"""An operation of LARGE bytes that was answered 429 so often, alone, is refused: so engines answer, for ever, to what
is more than a tenth of their heap.
"""

FIRST_DELAY, LONGEST_DELAY = 0.5, 30.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation as its lines of the request. kind: index, create, update or delete."""

    kind: str
    id: str
    data: bytes


class Patience:
    """Waiting for an engine that cannot work now: longer each time, by chance a little more or less, for so many
    seconds without progress at most. `stopped` ends every wait at once.
    """

    def __init__(self, seconds: float, stopped: threading.Event) -> None:
        self._seconds = seconds
        self._stopped = stopped
        self.tries = 0
        self._since = 0.0

    def wait(self, error: EngineError) -> None:
        """Raises the error when patience is over."""
        if self.tries == 0:
            self._since = time.monotonic()
            log.warning("%s; trying again for up to %.0f s", error, self._seconds)
        left = self._since + self._seconds - time.monotonic()
        # Writers that were refused together must not come back together.
        delay = min(LONGEST_DELAY, FIRST_DELAY * 2**self.tries) * random.uniform(0.5, 1)
        self.tries += 1
        if left <= 0 or self._stopped.wait(min(delay, left)):
            raise error

    def progress(self) -> None:
        if self.tries:
            log.warning("the engine works again")
        self.tries = 0


def carry_out(
    operations: Iterable[Operation], post: Callable[[bytes], Any], patience: Patience, largest: int
) -> Iterator[tuple[bool, JSON]]:
    """Send the operations; for each, whether the engine did it, and its answer under the operation's name.

    Operations that may be repeated (all of ours have an id) lose nothing and double nothing. post: sends one request.
    largest: bytes of the largest body that the engine takes. Raises EngineUnavailable when patience is over, and what
    `post` raises for errors that pass by no waiting.
    """
    incoming = iter(operations)
    waiting: deque[Operation] = deque()
    aside: deque[Operation] = deque()  # what failed alone: others may pass where one large operation does not
    size, most = OPERATIONS, float(min(BYTES, largest))
    while chunk := _take(waiting, incoming, size, most) or _take(aside, iter(()), 1, most):
        alone = chunk[0] if len(chunk) == 1 else None
        if alone and len(alone.data) > largest:
            yield _refused(alone, TOO_LARGE, f"{len(alone.data)} bytes, but the engine takes {largest} at most")
            continue
        try:
            answers = _answers(post(b"".join(operation.data for operation in chunk)), chunk)
        except EngineRefused as error:
            if error.code != TOO_LARGE:
                raise
            if alone:
                yield _refused(alone, TOO_LARGE, f"{len(alone.data)} bytes: {error.reason}")
            else:
                waiting.extendleft(reversed(chunk))
                most = sum(len(operation.data) for operation in chunk) / 2
            continue
        except EngineUnavailable as error:
            if alone and len(alone.data) >= LARGE and error.code == 429 and patience.tries >= LONE_TRIES:
                yield _refused(alone, 429, f"{len(alone.data)} bytes: {error}")
                continue
            if alone:
                aside.append(alone)
            else:
                waiting.extendleft(reversed(chunk))
                size = max(1, len(chunk) // 2)
            patience.wait(error)
            continue
        again: list[tuple[Operation, JSON]] = []
        for operation, answer in zip(chunk, answers, strict=True):
            told = answer[operation.kind]
            if _kind(told) == FORBIDDEN:  # as it would answer to all that follow
                raise AccessRefused(told["status"], FORBIDDEN, str(told["error"].get("reason")))
            if _passes(told):
                again.append((operation, told))
            else:
                yield told["status"] < 300, answer
        if len(again) < len(chunk):
            patience.progress()
            size = min(OPERATIONS, size * 2)
            # Slowly: where something between here and the engine takes less than the engine, each step may be refused.
            most = min(most * GROWTH, BYTES, largest)
        if again:
            waiting.extendleft(operation for operation, _ in reversed(again))
            size = max(1, len(chunk) // 2)
            patience.wait(_why(again[0][1]))


def _take(waiting: deque[Operation], incoming: Iterator[Operation], size: int, most: float) -> list[Operation]:
    """The next operations, those that wait first: `size` at most, and `most` bytes unless one alone has more."""
    chunk: list[Operation] = []
    length = 0
    while len(chunk) < size:
        operation = waiting.popleft() if waiting else next(incoming, None)
        if operation is None:
            break
        if chunk and length + len(operation.data) > most:
            waiting.appendleft(operation)
            break
        chunk.append(operation)
        length += len(operation.data)
    return chunk


def _answers(body: Any, chunk: list[Operation]) -> list[JSON]:
    answers = body.get("items") if isinstance(body, dict) else None
    if not isinstance(answers, list) or len(answers) != len(chunk):
        raise EngineError("what the engine answers to a bulk request is no answer to it")
    return answers


def _passes(told: JSON) -> bool:
    """Whether an operation failed by what may pass."""
    return told["status"] in BUSY or _kind(told) == BLOCKED


def _kind(told: JSON) -> str:
    error = told.get("error")
    return str(error.get("type", "")) if isinstance(error, dict) else ""


def _why(told: JSON) -> EngineUnavailable:
    error = told.get("error")
    reason = error.get("reason") if isinstance(error, dict) else error
    if _kind(told) == BLOCKED:
        return EngineUnavailable(
            f"the index is read-only: {reason} Make room on the engine's disks, or take the block off the index"
        )
    return EngineUnavailable(f"the engine answers {told['status']} to single operations: {reason}", told["status"])


def _refused(operation: Operation, status: int, reason: str) -> tuple[bool, JSON]:
    error = {"type": "too_large", "reason": reason}
    return False, {operation.kind: {"_id": operation.id, "status": status, "error": error}}


def bulk_reason(answer: Mapping[str, Any]) -> str:
    """Why one action of a bulk request failed, from the answer to it."""
    error = answer.get("error", {})
    if not isinstance(error, Mapping):
        return f"{answer.get('status')}: {error}"
    cause = error.get("caused_by", {}).get("reason")
    return f"{error.get('type')}: {error.get('reason')}" + (f" ({cause})" if cause else "")

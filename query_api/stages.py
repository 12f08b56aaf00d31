"""How long the parts of answering took, and what happened meanwhile, for the one who asked to know.

A part says its name where it runs; nobody has to hand a clock from function to function. What runs while nobody
records is not kept.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, field

Named = tuple[str, str]
"""A part or an event, and the modality that it belongs to, or ""."""


@dataclass(frozen=True, slots=True)
class Record:
    """seconds: what each part took, all of its runs together. events: how often each happened."""

    seconds: dict[Named, float] = field(default_factory=dict)
    events: Counter[Named] = field(default_factory=Counter)


Around = Callable[[str, str], AbstractContextManager[object]]
"""What a part runs in beside being timed, by its name and modality."""

_record: ContextVar[Record | None] = ContextVar("record", default=None)
_around: ContextVar[Around | None] = ContextVar("around", default=None)


def record() -> Record:
    """Record from now on what this thread does, instead of whatever was recorded so far."""
    started = Record()
    _record.set(started)
    return started


def surround(around: Around | None) -> None:
    """Run the parts of what this thread does from now on in such contexts; None: in none."""
    _around.set(around)


@contextmanager
def stage(name: str, modality: str = "") -> Iterator[None]:
    """What runs inside is that part, also if it fails."""
    around = _around.get()
    started = time.perf_counter()
    try:
        with around(name, modality) if around is not None else nullcontext():
            yield
    finally:
        if (kept := _record.get()) is not None:
            before = kept.seconds.get((name, modality), 0.0)
            kept.seconds[name, modality] = before + time.perf_counter() - started


def happened(name: str, modality: str = "") -> None:
    if (kept := _record.get()) is not None:
        kept.events[name, modality] += 1

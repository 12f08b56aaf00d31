"""The gate before an engine: it closes when nothing answers, opens again, and lets only so many wait."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from es_mappings.errors import EngineRefused, EngineUnavailable, MaxcosError
from query_api.searchers.watched import FAILURES, Gate
from query_api.stages import record

PAUSE = 5.0


class Clock:
    """Time that passes when the test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def fail(gate: Gate, error: MaxcosError) -> str:
    """What a request is told that would be answered by this error, if the engine is asked at all."""
    with pytest.raises(MaxcosError) as told, gate.passing():
        raise error
    return str(told.value)


def fails(gate: Gate, times: int) -> None:
    for _ in range(times):
        assert fail(gate, EngineUnavailable("gone")) == "gone"


@contextmanager
def waiting(gate: Gate, threads: int) -> Iterator[threading.Event]:
    """So many threads behind the gate, until the event."""
    inside = threading.Barrier(threads + 1)
    done = threading.Event()

    def wait() -> None:
        with gate.passing():
            inside.wait()
            done.wait()

    started = [threading.Thread(target=wait) for _ in range(threads)]
    for thread in started:
        thread.start()
    inside.wait()
    try:
        yield done
    finally:
        done.set()
        for thread in started:
            thread.join()


def test_an_engine_that_is_gone_is_not_asked_until_the_pause_is_over() -> None:
    clock = Clock()
    gate = Gate(pause=PAUSE, clock=clock)
    kept = record()
    fails(gate, FAILURES)
    assert "did not answer" in fail(gate, EngineUnavailable("gone"))
    assert kept.events["engine not asked", ""] == 1
    clock.now += PAUSE
    assert fail(gate, EngineUnavailable("gone")) == "gone"
    assert "did not answer" in fail(gate, EngineUnavailable("gone"))
    clock.now += PAUSE
    with gate.passing():
        pass
    fails(gate, FAILURES - 1)


def test_only_one_request_tries_whether_the_engine_is_back() -> None:
    clock = Clock()
    gate = Gate(pause=PAUSE, clock=clock)
    fails(gate, FAILURES)
    clock.now += PAUSE
    with waiting(gate, 1):
        assert "did not answer" in fail(gate, EngineUnavailable("gone"))
    assert fail(gate, EngineUnavailable("gone")) == "gone"


def test_an_engine_that_refuses_is_there() -> None:
    gate = Gate()
    for _ in range(3):
        fails(gate, FAILURES - 1)
        assert "400" in fail(gate, EngineRefused(400, "", "no"))


def test_only_so_many_wait_and_the_others_are_told_to_come_again() -> None:
    gate = Gate(places=2, queue=0.05)
    with waiting(gate, 2) as done:
        told = fail(gate, EngineUnavailable("gone"))
        assert told == "too many requests wait for the engine"
        done.set()
    assert fail(gate, EngineUnavailable("gone")) == "gone"


def test_what_comes_from_memory_does_not_prove_that_the_engine_is_there() -> None:
    clock = Clock()
    gate = Gate(pause=PAUSE, clock=clock)
    for _ in range(FAILURES):
        with gate.passing(remembered=True):
            pass
        fails(gate, 1)
    with pytest.raises(EngineUnavailable, match="did not answer"), gate.passing(remembered=True):
        pass
    clock.now += PAUSE
    with gate.passing(remembered=True):  # and it does not take the place of the request that tries
        pass
    with gate.passing():
        pass
    fails(gate, 1)

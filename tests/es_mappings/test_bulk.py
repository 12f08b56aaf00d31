"""Bulk writing against a played engine: what is sent again, what is split, what is given up."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any

import orjson
import pytest

from es_mappings import bulk
from es_mappings.bulk import BYTES, LARGE, OPERATIONS, Operation, Patience, carry_out
from es_mappings.errors import EngineError, EngineRefused, EngineUnavailable

Answer = Callable[[list[str]], Any]


class Engine:
    """Answers each request by the next of `answers`, and does everything once they are used up."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.sizes: list[int] = []
        self.done: list[str] = []

    def post(self, data: bytes) -> Any:
        ids = [orjson.loads(line)["index"]["_id"] for line in data.splitlines()[::2]]
        self.sizes.append(len(ids))
        body = (self.answers.pop(0) if self.answers else all_done)(ids)
        self.done += [a["index"]["_id"] for a in body["items"] if a["index"]["status"] < 300]
        return body


def all_done(ids: list[str]) -> Any:
    return {"items": [told(i, 201) for i in ids]}


def told(identifier: str, status: int, kind: str = "x") -> dict[str, Any]:
    more = {} if status < 300 else {"error": {"type": kind, "reason": "because."}}
    return {"index": {"_id": identifier, "status": status, **more}}


def failing(error: EngineError) -> Answer:
    def answer(ids: list[str]) -> Any:
        raise error

    return answer


def operations(count: int, size: int = 10) -> list[Operation]:
    return [
        Operation("index", str(i), b'{"index":{"_id":"%d"}}\n{"a":"%s"}\n' % (i, b"x" * size)) for i in range(count)
    ]


def run(engine: Engine, todo: Iterable[Operation], *, seconds: float = 60, largest: int = 10**9) -> dict[str, Any]:
    found = carry_out(todo, engine.post, Patience(seconds, threading.Event()), largest)
    answers = [(ok, answer["index"]) for ok, answer in found]
    assert len({answer["_id"] for _, answer in answers}) == len(answers)
    return {answer["_id"]: ok or answer["error"]["reason"] for ok, answer in answers}


@pytest.fixture(autouse=True)
def no_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "FIRST_DELAY", 0.001)


@pytest.mark.parametrize("error", [EngineUnavailable("busy", 429), EngineUnavailable("cut")])
def test_a_request_that_fails_is_sent_again_smaller_and_grows_back(error: EngineError) -> None:
    engine = Engine(failing(error), failing(error))
    assert set(run(engine, operations(500)).values()) == {True}
    assert engine.sizes == [200, 100, 50, 100, 200, 150]
    assert sorted(map(int, engine.done)) == list(range(500))


def test_single_operations_are_sent_again_and_others_are_not() -> None:
    engine = Engine(
        lambda ids: {"items": [told(i, (201, 429, 503, 400)[int(i) % 4]) for i in ids]},
        lambda ids: {"items": [told(i, 403, "cluster_block_exception") for i in ids]},
    )
    found = run(engine, operations(8))
    assert found == {str(i): "because." if i % 4 == 3 else True for i in range(8)}
    assert sorted(map(int, engine.done)) == [0, 1, 2, 4, 5, 6]


def test_what_is_too_large_is_split_down_to_the_one() -> None:
    def smaller(ids: list[str]) -> Any:
        if "3" in ids:
            raise EngineRefused(413, "", "too large")
        return all_done(ids)

    engine = Engine(*[smaller] * 20)
    found = run(engine, operations(8))
    assert {i: reason for i, reason in found.items() if reason is not True} == {"3": "41 bytes: too large"}
    assert sorted(engine.done) == list("0124567")


def test_one_that_no_engine_takes_is_never_sent() -> None:
    engine = Engine()
    todo = [*operations(3), Operation("index", "big", b"x" * 2000), *operations(1)]
    found = carry_out(todo, engine.post, Patience(60, threading.Event()), 1000)
    assert [ok for ok, _ in found] == [True, True, True, False, True]


def test_a_large_one_that_is_always_rejected_does_not_stop_the_others() -> None:
    def rejects(ids: list[str]) -> Any:
        if "big" in ids:
            raise EngineUnavailable("rejected execution", 429)
        return all_done(ids)

    big = Operation("index", "big", b'{"index":{"_id":"big"}}\n{"a":"' + b"x" * LARGE + b'"}\n')
    engine = Engine(*[rejects] * 50)
    found = run(engine, [*operations(2), big, *operations(6)[2:]])
    assert [i for i, reason in found.items() if reason is not True] == ["big"]
    assert len(engine.done) == 6


def test_requests_are_bounded_in_operations_and_bytes() -> None:
    engine = Engine()
    run(engine, operations(OPERATIONS + 1))
    run(engine, operations(3, BYTES // 2))
    assert engine.sizes == [OPERATIONS, 1, 1, 1, 1]


def test_patience_ends_with_the_reason(caplog: pytest.LogCaptureFixture) -> None:
    blocked: Answer = lambda ids: {"items": [told(i, 429, "cluster_block_exception") for i in ids]}  # noqa: E731
    with pytest.raises(EngineUnavailable, match=r"read-only: because\. Make room"):
        run(Engine(*[blocked] * 1000), operations(3), seconds=0.1)
    assert "trying again for up to" in caplog.text


def test_a_stop_ends_the_wait_at_once() -> None:
    stopped = threading.Event()
    stopped.set()
    engine = Engine(failing(EngineUnavailable("cut")))
    with pytest.raises(EngineUnavailable, match="cut"):
        list(carry_out(operations(1), engine.post, Patience(60, stopped), 1000))


def test_an_answer_that_is_none_is_an_error() -> None:
    with pytest.raises(EngineError, match="no answer to it"):
        run(Engine(lambda ids: {"items": []}), operations(2))

"""The service as a process."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from urllib.parse import urlsplit

import pytest


@contextmanager
def connected(service: str) -> Iterator[http.client.HTTPConnection]:
    address = urlsplit(service)
    assert address.hostname
    with closing(http.client.HTTPConnection(address.hostname, address.port, timeout=30)) as connection:
        yield connection


@pytest.mark.parametrize(
    ("target", "headers", "status"),
    [
        ("/v1/search?q=" + "x" * 9000, {}, 414),
        ("/healthz", {"X-Long": "x" * 9000}, 431),
        ("/healthz", {"a b": "c"}, 400),
    ],
)
def test_what_never_reaches_the_application_is_refused_by_a_problem_too(
    service: str, target: str, headers: dict[str, str], status: int
) -> None:
    with connected(service) as connection:
        connection.putrequest("GET", target)
        for name, value in headers.items():
            connection._buffer.append(f"{name}: {value}".encode())  # type: ignore[attr-defined]  # unchecked
        connection.endheaders()
        answer = connection.getresponse()
        body = json.loads(answer.read())
    assert answer.status == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert body["status"] == status
    assert body["request_id"] == answer.headers["X-Request-Id"]


def test_the_longest_words_fit_into_an_address(service: str) -> None:
    with connected(service) as connection:
        connection.request("GET", "/v1/search?size=1&q=" + "%E6%A4%85" * 500)
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()

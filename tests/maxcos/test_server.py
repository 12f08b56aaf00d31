"""The service as a process: how it refuses, logs, stops, and gets over the loss of a worker."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from es_mappings.settings import Settings
from query_api.keys import KeyRing
from served import running

BODY = b'{"query": "sofa", "size": 3}'


@contextmanager
def connected(service: str) -> Iterator[http.client.HTTPConnection]:
    address = urlsplit(service)
    assert address.hostname
    with closing(http.client.HTTPConnection(address.hostname, address.port, timeout=30)) as connection:
        yield connection


def asked(service: str, path: str, **headers: str) -> tuple[int, Any]:
    with connected(service) as connection:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())


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
    assert asked(service, "/v1/search?size=1&q=" + "%E6%A4%85" * 500)[0] == 200


def test_a_request_that_runs_is_answered_before_the_service_stops(shop: Settings, shop_folder: Path) -> None:
    head = (
        "POST /v1/search HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(BODY)}\r\nExpect: 100-continue\r\n\r\n"
    )
    with running(shop, shop_folder / "maxcos.toml") as (url, process):
        address = (urlsplit(url).hostname, urlsplit(url).port)
        with socket.create_connection(address, timeout=60) as connection:
            connection.sendall(head.encode())
            assert b"100 Continue" in connection.recv(1000)  # a thread waits for the body
            process.send_signal(signal.SIGTERM)
            time.sleep(1)  # it has time to stop too early
            connection.sendall(BODY)
            with closing(http.client.HTTPResponse(connection)) as answer:
                answer.begin()
                assert answer.status == 200
                assert len(json.loads(answer.read())["hits"]) == 3
        assert process.wait(30) == 0


def workers(process: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text("ascii").split()]


def test_a_worker_that_is_killed_is_replaced(shop: Settings, shop_folder: Path) -> None:
    with running(shop, shop_folder / "maxcos.toml") as (url, process):
        (worker,) = workers(process.pid)
        os.kill(worker, signal.SIGKILL)
        answers = 0
        for _ in range(300):
            try:
                answers += asked(url, "/v1/search?q=sofa")[0] == 200
            except (OSError, http.client.HTTPException):
                time.sleep(0.1)
            if answers:
                break
        assert answers
        assert workers(process.pid) != [worker]


def test_a_request_is_encoded_by_one_thread() -> None:
    code = "from maxcos.server import bound_threads; bound_threads(); import torch; print(torch.get_num_threads())"
    done = subprocess.run([sys.executable, "-c", code], env={"PATH": "/usr/bin"}, capture_output=True, text=True)
    assert done.stdout.strip() == "1", done.stderr


def test_logs_are_lines_of_json_that_hold_no_key(shop: Settings, shop_folder: Path, tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"
    key, secret = KeyRing(keys).create("shop", ["search"])
    output = tmp_path / "log"
    with (
        output.open("w", encoding="utf-8") as file,
        running(shop, shop_folder / "maxcos.toml", file, MAXCOS_SERVICE__KEYS=str(keys)) as (url, _),
    ):
        bearer = f"Bearer {secret}"
        name = {"X-Request-Id": "walk-1"}
        assert asked(url, "/v1/search?q=a+secret+wish", Authorization=bearer, **name)[0] == 200
        assert asked(url, f"/v1/search?q=a&api_key={secret}", Authorization=bearer)[0] == 400
        assert asked(url, "/v1/search?q=a", Authorization=f"Bearer {secret}x")[0] == 401
        assert asked(url, f"/v1/search?q={secret}" + "x" * 9000, Authorization=bearer)[0] == 414
    text = output.read_text("utf-8")
    lines = [json.loads(line) for line in text.splitlines()]
    assert secret not in text
    assert "secret" not in text.replace("secrets", "")
    (line,) = [line for line in lines if line.get("request_id") == "walk-1"]
    assert (line["event"], line["level"], line["path"], line["key"]) == ("request", "info", "/v1/search", key.id)
    assert line["stages"]["engine"] > 0
    assert [line["status"] for line in lines if line["event"] == "request" and line["path"] != "/readyz"] == [
        200,
        400,
        401,
    ]
    assert any(line["logger"] == "gunicorn.error" and "too large" in line["event"] for line in lines)

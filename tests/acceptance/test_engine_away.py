"""An engine that hangs, and comes back: the service says so, leaves it alone, and goes on without a restart."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from flask.testing import FlaskClient

from es_mappings.settings import Settings
from query_api.app import create_app
from query_api.searchers.watched import FAILURES
from switch import switched

TRAFFIC = 8


def search(client: FlaskClient) -> tuple[int, str | None, Any]:
    answer = client.get("/v1/search?q=sofa&size=3")
    return answer.status_code, answer.headers.get("Retry-After"), json.loads(answer.data)


def test_an_engine_that_hangs_is_left_alone_until_it_is_back(shop_on_cluster: Settings) -> None:
    with switched(shop_on_cluster.engine.url) as line:
        engine = shop_on_cluster.engine.model_copy(update={"url": line.url, "timeout": 1.0})
        client = create_app(shop_on_cluster.model_copy(update={"engine": engine})).test_client()
        status, _, before = search(client)
        assert status == 200
        line.on.clear()
        for number in range(FAILURES + 2):
            status, wait, problem = search(client)
            assert (status, wait) == (503, "5")
            expected = "does not answer within" if number < FAILURES else f"did not answer {FAILURES} times in a row"
            assert expected in problem["detail"]
        assert client.get("/healthz").status_code == 200
        assert client.get("/readyz").status_code == 503
        line.on.set()
        for _ in range(60):
            status, _, after = search(client)
            if status == 200:
                break
            time.sleep(0.5)
        assert after["hits"] == before["hits"]


def test_an_engine_that_ends_and_starts_again_costs_refusals_and_nothing_else(shop_on_cluster: Settings) -> None:
    """In the middle of traffic, and without a word to the service."""
    with switched(shop_on_cluster.engine.url) as line:
        engine = shop_on_cluster.engine.model_copy(update={"url": line.url})
        app = create_app(shop_on_cluster.model_copy(update={"engine": engine}))
        assert search(app.test_client())[0] == 200  # the models are loaded
        answers: list[tuple[int, str | None]] = []
        over = threading.Event()

        def ask() -> None:
            client = app.test_client()
            while not over.is_set():
                status, wait, _ = search(client)
                answers.append((status, wait))
                if status != 200:
                    time.sleep(0.05)

        def until(wanted: int, number: int) -> None:
            """As many answers of this status have come from now on."""
            before = len(answers)
            for _ in range(600):
                if sum(status == wanted for status, _ in answers[before:]) >= number:
                    return
                time.sleep(0.1)
            raise AssertionError(f"{number} times {wanted} did not come: {Counter(answers[before:])}")

        with ThreadPoolExecutor(TRAFFIC) as threads:
            asking = [threads.submit(ask) for _ in range(TRAFFIC)]
            try:
                until(200, 3 * TRAFFIC)
                line.break_off()
                until(503, 3 * TRAFFIC)
                line.broken.clear()
                until(200, 3 * TRAFFIC)
            finally:
                over.set()
        assert [asked.exception() for asked in asking] == [None] * TRAFFIC
        assert set(answers) == {(200, None), (503, "5")}


def test_those_who_come_while_the_first_one_waits_do_not_ask_in_vain_again(shop_on_cluster: Settings) -> None:
    """A service that starts while the engine hangs: nothing is known of the index yet, and all have to know."""
    with switched(shop_on_cluster.engine.url) as line:
        line.on.clear()
        engine = shop_on_cluster.engine.model_copy(update={"url": line.url, "timeout": 3.0})
        app = create_app(shop_on_cluster.model_copy(update={"engine": engine}))
        with ThreadPoolExecutor(FAILURES) as threads:
            answers = list(threads.map(lambda _: search(app.test_client()), range(FAILURES)))
        assert [(status, wait) for status, wait, _ in answers] == [(503, "5")] * FAILURES
        assert line.connections < FAILURES
        _, _, problem = search(app.test_client())
        assert "in a row" in problem["detail"]

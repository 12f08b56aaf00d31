"""Keys, scopes, rates and origins, as a caller meets them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from es_mappings.settings import ServiceSettings, Settings
from query_api.app import create_app
from query_api.keys import KeyRing
from query_api.service import SearchService

CLOSED = [("/v1/search?q=bed", "GET"), ("/v1/items/scopia-bed1/image", "GET"), ("/v1/config", "GET")]
OPEN = ["/healthz", "/readyz", "/", "/page/page.js", "/openapi.json", "/docs"]


@pytest.fixture(scope="module")
def search(shop: Settings) -> SearchService:
    return SearchService.from_settings(shop)


@pytest.fixture
def ring(tmp_path: Path) -> KeyRing:
    return KeyRing(tmp_path / "keys.json")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Seconds stand still in the middle of a minute, and pass when it is called: rates are of sliding minutes."""
    now = time.time() // 60 * 60 + 30

    def pass_by(seconds: float) -> None:
        nonlocal now
        now += seconds

    monkeypatch.setattr(time, "time", lambda: now)
    return pass_by


def served(shop: Settings, search: SearchService, keys: KeyRing | None, **service: Any) -> FlaskClient:
    settings = shop.model_copy(update={"service": ServiceSettings(**service)})
    return create_app(settings, search, keys).test_client()


def problem(answer: TestResponse, status: int) -> str:
    assert answer.status_code == status, answer.text
    assert answer.mimetype == "application/problem+json"
    detail = json.loads(answer.data)["detail"]
    assert isinstance(detail, str)
    return detail


def shown(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


def test_without_a_key_nothing_of_the_index_is_told(shop: Settings, search: SearchService, ring: KeyRing) -> None:
    client = served(shop, search, ring)
    for path, method in CLOSED:
        answer = client.open(path, method=method)
        assert "Authorization: Bearer" in problem(answer, 401)
        assert answer.headers["WWW-Authenticate"] == "Bearer"
    for path in OPEN:
        with client.get(path) as answer:
            assert answer.status_code == 200


@pytest.mark.parametrize("given", ["Bearer", "Bearer maxcos_invented", "Basic YTpi", "", "Bearer \u00fc", "maxcos_x"])
def test_what_is_no_key_opens_nothing(shop: Settings, search: SearchService, ring: KeyRing, given: str) -> None:
    ring.create("shop", ["search"])
    client = served(shop, search, ring, public=True)
    problem(client.get("/v1/config", headers={"Authorization": given}), 401)


def test_a_key_opens_what_its_scope_says_until_it_is_revoked(
    shop: Settings, search: SearchService, ring: KeyRing
) -> None:
    client = served(shop, search, ring)
    key, secret = ring.create("shop", ["search"])
    _, other = ring.create("ops", ["admin"])
    assert client.get("/v1/search?q=bed", headers=shown(secret)).status_code == 200
    assert "scope 'search'" in problem(client.get("/v1/search?q=bed", headers=shown(other)), 403)
    ring.revoke(key.id)
    assert "revoked" in problem(client.get("/v1/search?q=bed", headers=shown(secret)), 401)


@pytest.mark.usefixtures("clock")
def test_each_key_has_a_rate_of_its_own_and_an_invented_one_none(
    shop: Settings, search: SearchService, ring: KeyRing
) -> None:
    client = served(shop, search, ring, requests_per_minute=3)
    first, second = (ring.create(name, ["search"])[1] for name in ("a", "b"))
    for _ in range(3):
        assert client.get("/v1/config", headers=shown(first)).status_code == 200
    answer = client.get("/v1/config", headers=shown(first))
    assert "more than 3 requests" in problem(answer, 429)
    assert 1 <= int(answer.headers["Retry-After"]) <= 120
    assert client.get("/v1/config", headers=shown(second)).status_code == 200
    for number in range(5):
        problem(client.get("/v1/config", headers=shown(f"maxcos_{number}")), 401)
    assert client.get("/healthz").status_code == 200


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize("rate", [3, 25])
def test_an_explanation_counts_for_the_searches_that_it_costs(
    shop: Settings, search: SearchService, ring: KeyRing, rate: int
) -> None:
    client = served(shop, search, ring, requests_per_minute=rate)
    key = shown(ring.create("a", ["search"])[1])
    asked = {"query": [{"text": "bed"}], "id": "scopia-bed1"}
    for _ in range(max(1, rate // 10)):
        assert client.post("/v1/why", json=asked, headers=key).status_code == 200
    problem(client.post("/v1/why", json=asked, headers=key), 429)
    for _ in range(max(0, rate - 20)):
        assert client.get("/v1/config", headers=key).status_code == 200
    problem(client.get("/v1/config", headers=key), 429)


def test_an_allowance_comes_back_little_by_little(
    shop: Settings, search: SearchService, ring: KeyRing, clock: Callable[[float], None]
) -> None:
    client = served(shop, search, ring, requests_per_minute=4)
    key = shown(ring.create("a", ["search"])[1])

    def admitted() -> int:
        return sum(client.get("/v1/config", headers=key).status_code == 200 for _ in range(6))

    assert admitted() == 4
    clock(29)
    assert admitted() == 0
    clock(16)
    assert admitted() == 1
    clock(60)
    clock(60)
    assert admitted() == 4


@pytest.mark.usefixtures("clock")
def test_a_public_service_searches_for_everybody_by_address(
    shop: Settings, search: SearchService, ring: KeyRing
) -> None:
    client = served(shop, search, ring, public=True, requests_per_minute=2)
    for _ in range(2):
        assert client.get("/v1/config", environ_base={"REMOTE_ADDR": "192.0.2.1"}).status_code == 200
    problem(client.get("/v1/config", environ_base={"REMOTE_ADDR": "192.0.2.1"}), 429)
    assert client.get("/v1/config", environ_base={"REMOTE_ADDR": "192.0.2.2"}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "192.0.2.1:8000", "127.0.0.1.nip.io", "[::2]"]
)
def test_without_keys_only_loopbacks_names_are_answered(shop: Settings, search: SearchService, host: str) -> None:
    client = served(shop, search, None)
    assert "maxcos keys create" in problem(client.get("/v1/config", headers={"Host": host}), 403)
    for name in ("localhost", "localhost:8000", "127.0.0.1:1", "[::1]", "[::1]:80"):
        assert client.get("/v1/config", headers={"Host": name}).status_code == 200


def test_other_origins_may_call_only_if_they_are_listed(shop: Settings, search: SearchService, ring: KeyRing) -> None:
    _, secret = ring.create("shop", ["search"])
    client = served(shop, search, ring, cors=("https://shop.example",))
    for origin, allowed in (("https://shop.example", "https://shop.example"), ("https://evil.example", None)):
        asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        before = client.options("/v1/search", headers={**asked, "Access-Control-Request-Headers": "authorization"})
        assert before.status_code == 200
        assert before.headers.get("Access-Control-Allow-Origin") == allowed
        answer = client.get("/v1/config", headers={"Origin": origin, **shown(secret)})
        assert answer.headers.get("Access-Control-Allow-Origin") == allowed
        assert "Access-Control-Allow-Credentials" not in answer.headers
    refused = client.get("/v1/config", headers={"Origin": "https://shop.example"})
    assert problem(refused, 401)
    assert refused.headers["Access-Control-Allow-Origin"] == "https://shop.example"


def test_a_fault_of_the_set_up_is_not_told_to_callers(
    shop: Settings, search: SearchService, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "keys.json"
    file.write_text("no keys", "utf-8")
    answer = served(shop, search, KeyRing(file)).get("/v1/config", headers=shown("maxcos_x"))
    assert problem(answer, 500) == "the service failed; its log has the reason under this request_id"
    assert f"{file}: cannot be read as the file of keys" in caplog.text


def test_a_route_that_does_not_say_who_may_call_it_is_closed(
    shop: Settings, search: SearchService, ring: KeyRing
) -> None:
    client = served(shop, search, ring, public=True)
    client.application.add_url_rule("/v1/new", "new", lambda: "told")
    problem(client.get("/v1/new"), 401)
    problem(client.get("/v1/new", headers=shown(ring.create("shop", ["search"])[1])), 403)
    assert client.get("/v1/new", headers=shown(ring.create("ops", ["admin"])[1])).text == "told"


def test_the_description_says_what_a_key_is_needed_for(shop: Settings, search: SearchService, ring: KeyRing) -> None:
    document = served(shop, search, ring).get("/openapi.json").get_json()
    assert document["components"]["securitySchemes"]["key"] == {"type": "http", "scheme": "bearer"}
    operation = document["paths"]["/v1/search"]["post"]
    assert operation["security"] == [{"key": []}]
    assert {"401", "403", "429"} <= set(operation["responses"])
    assert "security" not in document["paths"]["/healthz"]["get"]


@pytest.mark.parametrize("origin", ["shop.example", "https://shop.example/", "https://", "https://*.example", "null"])
def test_what_is_no_origin_is_refused(origin: str) -> None:
    with pytest.raises(ValueError, match="is no origin"):
        ServiceSettings(cors=(origin,))

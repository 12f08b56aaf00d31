"""What surrounds every route: the request's name, caching, compression, and headers for browsers."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from es_mappings.settings import EngineSettings, PageSettings, Settings
from maxcos.build import ingest_file
from query_api.app import create_app

GZIP = {"Accept-Encoding": "gzip, br"}
KEPT = {
    "/": "private, no-cache",
    "/page/page.js": "private, no-cache",
    "/page/page.css": "private, no-cache",
    "/v1/config": "private, no-cache",
    "/v1/items/scopia-bed1": "private, no-cache",
    "/v1/items/scopia-bed1/image": "private, max-age=3600",
}


@pytest.fixture(scope="module")
def client(shop: Settings) -> FlaskClient:
    return create_app(shop).test_client()


@pytest.mark.parametrize("path", ["/v1/suggest?q=arm", "/v1/suggest", "/nowhere"])
def test_a_request_keeps_its_callers_name(client: FlaskClient, path: str) -> None:
    answer = client.get(path, headers={"X-Request-ID": "shop-7.1_a"})
    assert answer.headers["X-Request-ID"] == "shop-7.1_a"
    if answer.status_code != 200:
        assert json.loads(answer.data)["request_id"] == "shop-7.1_a"


@pytest.mark.parametrize("name", ["", "a b", "x" * 129, "<script>", "ü"])
def test_a_name_that_is_none_is_replaced(client: FlaskClient, name: str) -> None:
    first, second = (client.get("/healthz", headers={"X-Request-ID": name}).headers["X-Request-ID"] for _ in "ab")
    assert len(first) == 32
    assert first != second


@pytest.mark.parametrize("path", KEPT)
def test_what_has_not_changed_is_not_sent_again(client: FlaskClient, path: str) -> None:
    with client.get(path, headers=GZIP) as first:
        assert first.status_code == 200
        assert first.headers["Cache-Control"] == KEPT[path]
        etag = first.headers["ETag"]
    for headers in ({}, GZIP):
        with client.get(path, headers={"If-None-Match": etag, **headers}) as again:
            assert again.status_code == 304
            assert again.data == b""
            assert "Content-Encoding" not in again.headers
    with client.get(path, headers={"If-None-Match": '"another"'}) as changed:
        assert changed.status_code == 200


@pytest.mark.parametrize("path", ["/v1/search?q=bed", "/v1/suggest?q=bed", "/healthz", "/nowhere"])
def test_nobody_keeps_what_belongs_to_one_moment(client: FlaskClient, path: str) -> None:
    assert client.get(path).headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("path", ["/v1/search?q=bed&size=20", "/page/page.js", "/page/page.css", "/"])
def test_long_texts_travel_compressed_to_who_takes_it(client: FlaskClient, path: str) -> None:
    with client.get(path, headers=GZIP) as small, client.get(path) as plain:
        assert small.headers["Content-Encoding"] == "gzip"
        assert int(small.headers["Content-Length"]) == len(small.data) < len(plain.data) / 2
        assert "Content-Encoding" not in plain.headers
        assert small.headers["Vary"] == plain.headers["Vary"] == "Accept-Encoding"
        if path.startswith("/v1"):
            first, second = json.loads(gzip.decompress(small.data)), json.loads(plain.data)
            assert first["hits"] == second["hits"]
        else:
            assert gzip.decompress(small.data) == plain.data
    with client.get(path, headers={"Accept-Encoding": "gzip;q=0"}) as refused:
        assert "Content-Encoding" not in refused.headers


@pytest.mark.parametrize("path", ["/healthz", "/v1/items/scopia-bed1/image"])
def test_what_compression_does_not_help_stays_as_it_is(client: FlaskClient, path: str) -> None:
    with client.get(path, headers=GZIP) as answer:
        assert answer.status_code == 200
        assert "Content-Encoding" not in answer.headers


@pytest.mark.parametrize("path", ["/", "/page/page.js", "/v1/search?q=bed", "/v1/items/scopia-bed1/image", "/nowhere"])
def test_browsers_are_told_to_trust_nothing_else(client: FlaskClient, path: str) -> None:
    with client.get(path) as answer:
        policy = dict(part.split(" ", 1) for part in answer.headers["Content-Security-Policy"].split("; "))
        assert policy["default-src"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
        assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert "Access-Control-Allow-Origin" not in answer.headers


def test_an_id_may_be_an_address(client: FlaskClient) -> None:
    answer = client.get("/v1/items/http://shop/1")
    assert answer.status_code == 404
    assert "http://shop/1" in json.loads(answer.data)["detail"]


@pytest.mark.parametrize("path", ["../secret.png", "a/../../secret.png", "/etc/secret.png", "inside.txt", ""])
def test_an_item_s_picture_stays_below_its_folder(tmp_path: Path, path: str) -> None:
    """Items come from elsewhere too: where one says its picture is, is not to be trusted."""
    (tmp_path / "secret.png").write_bytes(b"secret")
    media = tmp_path / "media"
    media.mkdir()
    (media / "inside.png").write_bytes(b"picture")
    (media / "inside.txt").write_bytes(b"text")
    items = tmp_path / "items.jsonl"
    lines = [{"id": "bad", "title": "bad", "image": path}, {"id": "good", "title": "good", "image": "inside.png"}]
    items.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    settings = Settings(
        engine=EngineSettings(url=f"embedded:{tmp_path / 'store'}"), page=PageSettings(image="image", media=media)
    )
    ingest_file(items, settings)
    client = create_app(settings).test_client()
    with client.get("/v1/items/good/image") as good:
        assert good.data == b"picture"
    assert client.get("/v1/items/bad/image").status_code == 404


def test_a_problem_may_quote_half_a_pair_of_surrogates(client: FlaskClient) -> None:
    answer = client.get("/v1/search?q=a&%ED%A0%80=1")
    assert answer.status_code == 400
    assert answer.mimetype == "application/problem+json"
    assert json.loads(answer.data)["errors"]

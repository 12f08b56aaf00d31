"""The drawer: the engine's own query, and the key that a service asks for."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from es_mappings.cluster import connect
from es_mappings.settings import Settings
from query_api.keys import KeyRing
from served import running, served

CONSOLE = pytest.mark.browser_context_args(permissions=["clipboard-read", "clipboard-write"])


@CONSOLE
def test_the_copied_query_finds_the_same_on_the_engine(
    page: Page, shop_on_cluster: Settings, shop_folder: Path, complaints: list[str]
) -> None:
    with served(shop_on_cluster, shop_folder / "maxcos.toml") as service:
        page.goto(f"{service}/?q=lamp&text=desk&w=-0.5&weight.image=0.5&category=Lights")
        expect(page.get_by_test_id("card").first).to_be_visible()
        page.get_by_test_id("engine").click()
        drawer = page.get_by_role("dialog", name="Query sent to the engine")
        expect(drawer.get_by_test_id("engine-text")).to_contain_text("… 509 numbers")
        drawer.get_by_role("button", name="Copy for Kibana’s Console").click()
        expect(drawer.get_by_role("status")).to_have_text("Copied")
        copied = page.evaluate("navigator.clipboard.readText()")
        shown = [card.get_attribute("data-id") for card in page.get_by_test_id("card").all()]
        page.keyboard.press("Escape")
        expect(page.get_by_test_id("engine")).to_be_focused()
    requests = dict(part.split("\n", 1) for part in copied.split("# ") if part)
    assert list(requests) == ["The search", "The facets' counts"]
    line, body = requests["The search"].split("\n", 1)
    method, path = line.split(" ")
    with closing(connect(shop_on_cluster.engine)) as cluster:
        answer = cluster.request(method, path, body=json.loads(body))
    assert [hit["_id"] for hit in answer["hits"]["hits"]] == shown


def test_the_embedded_store_tells_what_it_computes(page: Page, service: str, complaints: list[str]) -> None:
    page.goto(f"{service}/?q=lamp")
    page.get_by_test_id("engine").click()
    drawer = page.get_by_role("dialog", name="What the embedded store computes")
    expect(drawer.get_by_test_id("engine-text")).to_contain_text('"fusion": "hybrid"')
    page.go_back()
    expect(drawer).to_be_hidden()


def test_a_key_is_asked_for_and_kept_for_the_tab_alone(
    page: Page, shop: Settings, shop_folder: Path, tmp_path: Path
) -> None:
    _, secret = KeyRing(tmp_path / "keys.json").create("page", ["search"])
    with running(shop, shop_folder / "maxcos.toml", MAXCOS_SERVICE__KEYS=str(tmp_path / "keys.json")) as (service, _):
        page.goto(f"{service}/?q=sofa")
        box = page.get_by_test_id("key-input")
        expect(box).to_be_focused()
        expect(box).to_have_attribute("type", "password")
        box.fill("maxcos_wrong")
        page.get_by_test_id("key-use").click()
        expect(page.get_by_role("alert")).to_contain_text("this key is unknown")
        expect(box).to_be_focused()
        box.fill(secret)
        box.press("Enter")
        picture = page.get_by_test_id("card").first.locator("img")
        expect(picture).to_be_visible()
        assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0
        assert page.evaluate("Object.keys(localStorage).concat(document.cookie)") == [""]
        assert secret not in page.url
        other = page.context.new_page()
        other.goto(f"{service}/?q=sofa")
        expect(other.get_by_test_id("key-input")).to_be_focused()
        page.get_by_test_id("key").click()
        page.get_by_test_id("key-forget").click()
        expect(page.get_by_role("alert")).to_contain_text("this needs a key")

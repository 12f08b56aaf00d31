"""A query of several terms: its chips, what they do to the results, and its address."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, Request, expect


def asked(request: Request) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(request.post_data or "{}")
    return body


def is_search(request: Request) -> bool:
    return request.url.endswith("/v1/search")


def ids(page: Page) -> list[str]:
    """The hits, once they are those of what the page shows."""
    expect(page.get_by_test_id("card").first).to_be_visible()
    expect(page.locator("body")).to_have_attribute("data-busy", "false")
    return [card.get_attribute("data-id") or "" for card in page.get_by_test_id("card").all()]


def chip(page: Page, position: int) -> Locator:
    return page.get_by_test_id("chip").nth(position)


def test_words_become_terms_with_a_sign_and_a_weight(page: Page, service: str, complaints: list[str]) -> None:
    page.goto(f"{service}/?q=lamp")
    ids(page)
    page.get_by_test_id("add-term").click()
    box = page.get_by_test_id("search-box")
    expect(box).to_be_focused()
    expect(box).to_have_value("")
    expect(chip(page, 0)).to_contain_text("lamp")
    box.fill("desk")
    box.press("Enter")
    page.get_by_test_id("less-term").click()
    expect(chip(page, 1)).to_have_attribute("data-sign", "minus")
    assert page.url.endswith("/?text=lamp&text=desk&w=-0.5")
    assert "desk" not in " ".join(ids(page)[:5])
    with page.expect_request(is_search) as sent:
        chip(page, 1).get_by_test_id("chip-sign").click()
    assert asked(sent.value)["query"] == [{"text": "lamp"}, {"text": "desk", "weight": 0.5}]
    expect(chip(page, 1).get_by_test_id("chip-sign")).to_be_focused()
    assert "desk" in " ".join(ids(page)[:5])
    chip(page, 0).get_by_test_id("chip-remove").click()
    expect(page.get_by_test_id("chip")).to_have_count(1)
    expect(box).to_be_focused()


def test_less_like_this_takes_what_is_like_it_down(page: Page, service: str, complaints: list[str]) -> None:
    page.goto(f"{service}/?q=lamp")
    before = ids(page)
    unwanted = before[1]
    page.get_by_test_id("card").nth(1).get_by_test_id("less").click()
    expect(chip(page, 0)).to_have_attribute("data-sign", "minus")
    after = ids(page)
    assert unwanted not in after
    assert after[:10] != [name for name in before if name != unwanted][:10]
    assert page.url.endswith(f"/?q=lamp&item={unwanted}&w=-0.5")
    with page.expect_request(is_search) as sent:
        chip(page, 0).get_by_test_id("chip-within").select_option("image")
    assert asked(sent.value)["query"][1] == {"item": unwanted, "weight": -0.5, "modalities": ["image"]}
    page.go_back()
    page.go_back()
    expect(page.get_by_test_id("chip")).to_have_count(0)
    assert ids(page) == before


def test_a_weight_is_moved_by_keyboard_and_is_one_step_of_the_history(
    page: Page, service: str, complaints: list[str]
) -> None:
    page.goto(f"{service}/?q=sofa&text=outdoor")
    before = ids(page)
    weight = chip(page, 0).get_by_role("slider")
    expect(weight).to_have_accessible_name("Weight of: outdoor")
    weight.focus()
    with page.expect_response(lambda answer: is_search(answer.request)):
        for _ in range(3):
            weight.press("ArrowRight")
    expect(weight).to_be_focused()
    expect(page).to_have_url(f"{service}/?q=sofa&text=outdoor&w=1.3")
    assert ids(page) != before
    page.go_back()
    expect(page).to_have_url(f"{service}/?q=sofa&text=outdoor")
    expect(weight).to_have_value("1")


def test_an_entity_of_the_graph_is_taken_from_the_suggestions(page: Page, service: str, complaints: list[str]) -> None:
    page.goto(service)
    page.get_by_test_id("search-box").press_sequentially("lam")
    offer = page.locator('[data-testid="offer"][data-kind="entity"]', has_text="of kind")
    expect(offer).to_contain_text("lamp")
    offer.click()
    expect(chip(page, 0)).to_have_attribute("data-kind", "entity")
    expect(chip(page, 0)).to_contain_text("lamp")
    assert page.url.endswith("/?entity=kind%3Alamp")
    expect(page.get_by_test_id("path").first).to_contain_text("lamp")


def test_an_address_holds_the_whole_query(page: Page, service: str, complaints: list[str]) -> None:
    address = (
        f"{service}/?q=lamp&text=%E6%A1%8C&w=0.4&item=scopia-bed1&w=-0.3&in=image%2Cgraph&entity=kind%3Alamp"
        "&fusion=max&calibration=raw&weight.graph=0.5&category=Lights&category=Office"
    )
    with page.expect_request(is_search) as sent:
        page.goto(address)
    body = asked(sent.value)
    assert body["query"] == [
        {"text": "lamp"},
        {"text": "桌", "weight": 0.4},
        {"item": "scopia-bed1", "weight": -0.3, "modalities": ["image", "graph"]},
        {"entity": "kind:lamp"},
    ]
    assert body["fusion"] == {"method": "max", "calibration": "raw", "weights": {"graph": 0.5}}
    assert body["filter"] == {"category": ["Lights", "Office"]}
    expect(page.get_by_test_id("chip")).to_have_count(3)
    expect(chip(page, 1)).to_contain_text("Bed")
    expect(chip(page, 1).get_by_test_id("chip-within")).to_have_value("image,graph")
    there = ids(page)
    sign = chip(page, 0).get_by_test_id("chip-sign")
    sign.click()
    expect(page).to_have_url(address.replace("w=0.4", "w=-0.4"))
    sign.click()
    expect(page).to_have_url(address)
    assert ids(page) == there


def test_what_an_address_says_wrongly_is_refused_by_name(page: Page, service: str) -> None:
    page.goto(f"{service}/?q=lamp&text=desk&w=heavy")
    expect(page.get_by_role("alert")).to_contain_text("query[1].weight")


def test_a_picture_stands_beside_words_and_no_link_holds_it(
    page: Page, service: str, shop_folder: Path, complaints: list[str]
) -> None:
    page.goto(f"{service}/?q=bed")
    ids(page)
    with page.expect_request(is_search) as sent:
        page.get_by_test_id("image-input").set_input_files(shop_folder / "icons" / "scopia-bed1.png")
    words, picture = asked(sent.value)["query"]
    assert words == {"text": "bed"}
    assert picture["image"].startswith("iVBOR")
    note = page.get_by_test_id("picture-note")
    expect(note).to_contain_text("whoever gets a link to this page does not get the picture")
    first = ids(page)[0]
    chip(page, 0).get_by_test_id("chip-remove").click()
    expect(note).to_be_hidden()
    page.go_back()
    expect(chip(page, 0)).to_have_attribute("data-kind", "image")
    assert ids(page)[0] == first
    with page.expect_request(is_search) as sent:
        page.reload()
    assert asked(sent.value)["query"] == [{"text": "bed"}]
    expect(note).to_contain_text("Choose it again, or remove it.")
    expect(chip(page, 0)).to_have_attribute("data-lost", "")


def test_a_picture_is_pasted(page: Page, service: str, shop_folder: Path, complaints: list[str]) -> None:
    page.goto(service)
    page.evaluate(
        """async (url) => {
            const bytes = await (await fetch(url)).arrayBuffer();
            const clipboardData = new DataTransfer();
            clipboardData.items.add(new File([bytes], "pasted.png", { type: "image/png" }));
            const paste = new ClipboardEvent("paste", { clipboardData, bubbles: true, cancelable: true });
            document.body.dispatchEvent(paste);
        }""",
        f"{service}/v1/items/scopia-bed1/image",
    )
    expect(chip(page, 0)).to_have_attribute("data-kind", "image")
    assert ids(page)[0] == "scopia-bed1"


@pytest.mark.browser_context_args(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
def test_a_phone_takes_a_photo(page: Page, service: str, shop_folder: Path, complaints: list[str]) -> None:
    page.goto(service)
    camera = page.get_by_test_id("camera-input")
    expect(camera).to_have_attribute("capture", "environment")
    expect(page.locator("label", has=camera)).to_be_visible()
    camera.set_input_files(shop_folder / "icons" / "scopia-bed1.png")
    assert ids(page)[0] == "scopia-bed1"


def test_more_hits_come_as_the_page_is_scrolled(page: Page, service: str, complaints: list[str]) -> None:
    page.goto(f"{service}/?q=chair")
    before = ids(page)
    assert len(before) == 24
    page.get_by_test_id("more").scroll_into_view_if_needed()
    expect(page.get_by_test_id("card").nth(24)).to_be_visible()
    after = ids(page)
    assert after[:24] == before
    assert len(set(after)) == len(after)
    expect(page.locator("#shown")).to_have_text(re.compile(r"^\d+ shown$"))

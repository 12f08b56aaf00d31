"""A person at the page: real Chromium, the real service, the demo catalogue."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from PIL import Image, ImageOps
from playwright.sync_api import Locator, Page, expect


def test_words_find_pictures_and_say_why(page: Page, service: str, complaints: list[str]) -> None:
    page.goto(service)
    page.get_by_test_id("search-box").fill("sofa")
    page.keyboard.press("Enter")
    first = page.get_by_test_id("card").first
    expect(first).to_contain_text("Sofa")
    expect(first.get_by_test_id("badge")).to_be_visible()
    expect(first.get_by_test_id("bar")).to_have_count(4)
    expect(page.get_by_test_id("status")).to_contain_text("results")
    picture = first.locator("img")
    expect(picture).to_be_visible()
    assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0
    assert "q=sofa" in page.url


def test_chinese_words_find_the_same_things(page: Page, service: str, complaints: list[str]) -> None:
    page.goto(f"{service}/?q=椅子")
    expect(page.get_by_test_id("card").first).to_contain_text("椅子")


def drop(page: Page, picture: Path) -> None:
    """Let a file fall on the page, as a browser reports it."""
    content = base64.b64encode(picture.read_bytes()).decode()
    transfer = page.evaluate_handle(
        """([name, content]) => {
            const bytes = Uint8Array.from(atob(content), (character) => character.charCodeAt(0));
            const transfer = new DataTransfer();
            transfer.items.add(new File([bytes], name, { type: "image/jpeg" }));
            return transfer;
        }""",
        [picture.name, content],
    )
    for event in ("dragenter", "dragover", "drop"):
        page.dispatch_event("body", event, {"dataTransfer": transfer})


@pytest.mark.parametrize("way", ["drop", "choose"])
def test_a_picture_finds_its_item(
    page: Page, service: str, shop_folder: Path, tmp_path: Path, complaints: list[str], way: str
) -> None:
    icon = Image.open(shop_folder / "icons" / "scopia-bed1.png").convert("RGBA")
    mirrored = ImageOps.mirror(Image.alpha_composite(Image.new("RGBA", icon.size, "white"), icon)).convert("RGB")
    mirrored.resize((400, 400)).save(tmp_path / "photo.jpg")
    page.goto(service)
    if way == "drop":
        drop(page, tmp_path / "photo.jpg")
    else:
        page.get_by_test_id("image-input").set_input_files(tmp_path / "photo.jpg")
    expect(page.get_by_test_id("chip")).to_be_visible()
    first = page.get_by_test_id("card").first
    expect(first).to_have_attribute("data-id", "scopia-bed1")
    expect(first).to_have_attribute("data-modality", "image")


def test_a_facet_narrows_and_back_widens(page: Page, service: str, complaints: list[str]) -> None:
    page.goto(f"{service}/?q=lamp")
    facet = page.locator('[data-testid="facet"][data-field="category"][data-value="Office"]')
    facet.click()
    expect(facet).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_test_id("card").first).to_contain_text("Office")
    page.go_back()
    expect(facet).to_have_attribute("aria-pressed", "false")


def test_more_like_this(page: Page, service: str, complaints: list[str]) -> None:
    page.goto(f"{service}/?q=bed")
    card = page.get_by_test_id("card").first
    expect(card).to_be_visible()
    name = card.get_attribute("data-id")
    card.get_by_test_id("like").click()
    expect(page.get_by_test_id("chip")).to_be_visible()
    expect(page.locator(f'[data-testid="card"][data-id="{name}"]')).to_have_count(0)
    expect(page.get_by_test_id("card").first).to_be_visible()


def facet(page: Page, value: str) -> Locator:
    return page.locator(f'[data-testid="facet"][data-field="category"][data-value="{value}"]')


def test_several_values_of_a_facet_widen_and_keep_their_counts(page: Page, service: str, complaints: list[str]) -> None:
    page.goto(f"{service}/?q=lamp")
    office, bedroom = facet(page, "Office"), facet(page, "Bedroom")
    counts = [office.locator(".count").inner_text(), bedroom.locator(".count").inner_text()]
    total = sum(map(int, counts))
    office.click()
    expect(page.get_by_test_id("status")).to_contain_text(f"of {counts[0]} items")
    expect(bedroom.locator(".count")).to_have_text(counts[1])
    bedroom.click()
    expect(page.get_by_test_id("status")).to_contain_text(f"of {total} items")
    expect(office).to_have_attribute("aria-pressed", "true")
    expect(bedroom).to_have_attribute("aria-pressed", "true")
    expect(office.locator(".count")).to_have_text(counts[0])
    assert page.url.endswith("category=Office&category=Bedroom")
    page.reload()
    expect(page.get_by_test_id("status")).to_contain_text(f"of {total} items")
    office.click()
    expect(page.get_by_test_id("status")).to_contain_text(f"of {counts[1]} items")
    expect(office).to_have_attribute("aria-pressed", "false")


def test_typed_words_are_continued_by_keyboard_alone(page: Page, service: str, complaints: list[str]) -> None:
    page.goto(service)
    box, offers = page.get_by_role("combobox"), page.get_by_role("option")
    box.press_sequentially("arm")
    expect(offers.first).to_contain_text("Armchair")
    expect(box).to_have_attribute("aria-expanded", "true")
    box.press("ArrowDown")
    expect(offers.first).to_have_attribute("aria-selected", "true")
    expect(box).to_have_attribute("aria-activedescendant", "offer-0")
    expect(box).to_be_focused()
    box.press("ArrowUp")
    expect(page.locator('[role="option"][aria-selected="true"]')).to_have_count(0)
    box.press("Escape")
    expect(offers).to_have_count(0)
    expect(box).to_have_value("arm")
    box.press("ArrowDown")
    expect(offers.first).to_be_visible()
    box.press("ArrowDown")
    box.press("Enter")
    expect(box).to_have_value("Armchair")
    expect(box).to_have_attribute("aria-expanded", "false")
    expect(page.get_by_test_id("card").first).to_contain_text("Armchair")
    assert "q=Armchair" in page.url


def test_a_suggestion_is_taken_by_a_click_and_none_outlives_a_search(
    page: Page, service: str, complaints: list[str]
) -> None:
    page.goto(service)
    box = page.get_by_test_id("search-box")
    box.press_sequentially("椅")
    page.get_by_test_id("offer").first.click()
    expect(page.get_by_test_id("offer")).to_have_count(0)
    expect(page.get_by_test_id("card").first).to_contain_text("椅")
    box.fill("sofa")
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("card").first).to_contain_text("Sofa")
    expect(page.get_by_test_id("offer")).to_have_count(0)


def test_a_hit_shows_how_it_is_linked_to_the_search(page: Page, service: str, complaints: list[str]) -> None:
    page.goto(f"{service}/?q=lamps")
    card = page.get_by_test_id("card").first
    line = card.get_by_test_id("path").first
    expect(line.locator("[aria-hidden]")).to_have_text("lamp ← of kind")
    expect(line.locator(".vh")).to_have_text("this item: of kind lamp")
    expect(card.get_by_role("group", name="How it is linked to your search")).to_be_visible()
    page.goto(f"{service}/?q=沙发")
    page.locator("#lang").click()
    first = page.get_by_test_id("path").first
    expect(first.locator("[aria-hidden]")).to_have_text("沙发 ← 种类")
    expect(first.locator(".vh")).to_have_text("该条目：种类沙发")


def test_more_links_open_by_keyboard(page: Page, service: str, complaints: list[str]) -> None:
    page.goto(f"{service}/?item=scopia-bed1")
    card = page.get_by_test_id("card").first
    expect(card.get_by_test_id("path").first.locator("[aria-hidden]")).to_have_text("Bed → of kind → bed ← of kind")
    more = card.locator(".links summary")
    expect(more).to_have_text("2 more")
    expect(card.get_by_test_id("path").nth(1)).to_be_hidden()
    more.focus()
    page.keyboard.press("Enter")
    expect(card.get_by_test_id("path").nth(1)).to_be_visible()
    expect(card.get_by_test_id("path").nth(1)).to_contain_text("Bedroom")
    expect(card.get_by_test_id("path").nth(2).locator("[aria-hidden]")).to_have_text(
        "Bed → has size → very large ← has size"
    )


def test_words_that_name_nothing_of_the_graph_show_no_links(page: Page, service: str, complaints: list[str]) -> None:
    page.goto(f"{service}/?q=a place to sleep")
    expect(page.get_by_test_id("card").first).to_be_visible()
    expect(page.get_by_test_id("path")).to_have_count(0)


PATIENCE = 60_000
"""Milliseconds: an explanation encodes some fifty pictures, on whatever machine this runs."""


def strength(word: Locator) -> float:
    """How dark a word is, from 0 to 1."""
    return float(word.evaluate("word => word.style.getPropertyValue('--v')"))


def test_a_hit_tells_which_words_met_and_where_in_its_picture(page: Page, service: str, complaints: list[str]) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if request.url.endswith("/v1/why") else None)
    page.goto(f"{service}/?q=corner sofa")
    card = page.get_by_test_id("card").first
    expect(card).to_be_visible()
    assert asked == []
    opener = card.get_by_test_id("why")
    opener.focus()
    page.keyboard.press("Enter")
    drawer = page.get_by_role("dialog", name="Why this hit")
    text = drawer.locator('[data-testid="why-part"][data-modality="text"]')
    expect(text).to_be_visible(timeout=PATIENCE)
    expect(text.get_by_role("heading")).to_contain_text("text: cosine")
    words = text.locator(".why-line").first.get_by_test_id("why-word")
    expect(words).to_have_text(["corner", "sofa"])
    assert strength(words.nth(1)) == 1
    expect(text.locator(".why-line").first.locator(".vh")).to_contain_text("Most of it by sofa (")
    expect(text.locator(".why-line").last.locator(".w.hit").first).to_be_visible()
    image = drawer.locator('[data-testid="why-part"][data-modality="image"]')
    expect(image.get_by_test_id("why-grid").locator(".cell")).to_have_count(49)
    seen, grid = image.locator("img").bounding_box(), image.get_by_test_id("why-grid").bounding_box()
    assert seen is not None and grid is not None
    assert all(abs(seen[side] - grid[side]) < 1 for side in ("x", "y", "width", "height"))
    page.keyboard.press("Escape")
    expect(drawer).to_be_hidden()
    expect(opener).to_be_focused()
    page.keyboard.press("Enter")
    expect(text).to_be_visible()
    assert len(asked) == 1


def test_why_a_picture_found_it_in_chinese(page: Page, service: str, shop_folder: Path, complaints: list[str]) -> None:
    page.goto(service)
    page.locator("#lang").click()
    page.get_by_test_id("image-input").set_input_files(shop_folder / "icons" / "scopia-bed1.png")
    card = page.get_by_test_id("card").first
    expect(card).to_have_attribute("data-id", "scopia-bed1")
    card.get_by_test_id("why").click()
    image = page.get_by_role("dialog", name="为何命中").locator('[data-testid="why-part"][data-modality="image"]')
    own, its = image.get_by_test_id("why-own"), image.get_by_test_id("why-picture")
    expect(own.locator("figcaption")).to_contain_text("您的图片最重要的部分在", timeout=PATIENCE)
    expect(its.locator("figcaption")).to_contain_text("它的图片最重要的部分在")
    for figure in (own, its):
        expect(figure.locator(".frame")).to_have_count(1)
        assert strength_of_cells(figure) == pytest.approx(0.75)
        assert figure.locator("img").evaluate("image => image.naturalWidth > 0")
    assert own.locator("img").get_attribute("src").startswith("blob:")


def strength_of_cells(image: Locator) -> float:
    return max(float(cell.get_attribute("fill-opacity") or 0) for cell in image.locator(".cell").all())


def test_an_explanation_that_fails_says_so_and_is_asked_for_again(page: Page, service: str) -> None:
    page.goto(f"{service}/?q=sofa")
    page.route("**/v1/why", lambda route: route.abort())
    card = page.get_by_test_id("card").first
    card.get_by_test_id("why").click()
    drawer = page.get_by_test_id("drawer")
    expect(drawer).to_contain_text("This could not be found out: The service cannot be reached.")
    page.unroute("**/v1/why")
    drawer.get_by_test_id("drawer-close").click()
    card.get_by_test_id("why").click()
    expect(drawer.get_by_test_id("why-part").first).to_be_visible(timeout=PATIENCE)


def test_the_description_shows_without_a_resource_from_elsewhere(
    page: Page, service: str, complaints: list[str]
) -> None:
    elsewhere: list[str] = []
    page.on("request", lambda request: elsewhere.append(request.url) if not request.url.startswith(service) else None)
    page.goto(f"{service}/docs")
    operation = page.locator("#operations-search-search_by_body")
    expect(operation).to_contain_text("Find items by a list of weighted terms")
    operation.click()
    operation.get_by_role("button", name="Try it out").click()
    operation.get_by_role("button", name="Execute").click()
    expect(operation.locator(".live-responses-table .response .response-col_status").first).to_contain_text("200")
    assert [url for url in elsewhere if not url.startswith("data:")] == []

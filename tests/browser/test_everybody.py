"""The page is for everybody: by keyboard alone, with a screen reader, on a phone, in Chinese, on a slow line."""

from __future__ import annotations

from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, Response, expect

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
MIXED = "/?q=lamp&text=desk&w=-0.5&item=scopia-bed1&w=0.5&entity=kind%3Alamp"


def faults(page: Page) -> list[str]:
    """What axe-core calls serious or critical, with where it is, once nothing is half transparent any more."""
    expect(page.locator("body")).to_have_attribute("data-busy", "false")
    page.evaluate(
        """Promise.all(document.getAnimations()
            .filter((animation) => animation.effect.getTiming().iterations < Infinity)
            .map((animation) => animation.finished))"""
    )
    found = Axe().run(page).response["violations"]
    return [
        f"{fault['id']}: {[node['target'] for node in fault['nodes']]}"
        for fault in found
        if fault["impact"] in {"serious", "critical"}
    ]


def look_everywhere(page: Page, service: str, picture: Path) -> None:
    page.goto(service)
    expect(page.get_by_test_id("example").first).to_be_visible()
    assert faults(page) == []
    page.goto(service + MIXED)
    expect(page.get_by_test_id("path").first).to_be_visible()
    expect(page.get_by_test_id("chip")).to_have_count(3)
    assert faults(page) == []
    page.get_by_test_id("search-box").press_sequentially("s")
    expect(page.get_by_role("option").first).to_be_visible()
    assert faults(page) == []
    page.keyboard.press("Escape")
    page.get_by_test_id("engine").click()
    expect(page.get_by_test_id("engine-text")).to_be_visible()
    assert faults(page) == []
    page.keyboard.press("Escape")
    page.get_by_test_id("why").first.click()
    expect(page.get_by_test_id("why-part").first).to_be_visible(timeout=60_000)
    assert faults(page) == []
    page.goto(service)
    page.get_by_test_id("image-input").set_input_files(picture)
    page.get_by_test_id("why").first.click()
    expect(page.get_by_test_id("why-own").first).to_be_visible(timeout=60_000)
    assert faults(page) == []


@pytest.mark.browser_context_args(color_scheme="light")
def test_axe_finds_nothing_serious(page: Page, service: str, shop_folder: Path, complaints: list[str]) -> None:
    look_everywhere(page, service, shop_folder / "icons" / "scopia-bed1.png")


@pytest.mark.browser_context_args(color_scheme="dark", locale="zh-CN", **PHONE)
def test_axe_finds_nothing_serious_in_the_dark_on_a_phone_in_chinese(
    page: Page, service: str, shop_folder: Path, complaints: list[str]
) -> None:
    look_everywhere(page, service, shop_folder / "icons" / "scopia-bed1.png")


def test_the_whole_way_by_keyboard(page: Page, service: str, complaints: list[str]) -> None:
    def reach(testid: str) -> None:
        for _ in range(60):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.dataset.testid") == testid:
                return
        pytest.fail(f"{testid} is not reached by Tab")

    page.goto(service)
    page.keyboard.press("Tab")
    page.keyboard.press("/")
    page.keyboard.type("lamp")
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("card").first).to_be_visible()
    reach("add-term")
    page.keyboard.press("Enter")
    page.keyboard.type("desk")
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{service}/?q=desk&text=lamp")
    reach("chip-sign")
    page.keyboard.press("Space")
    expect(page).to_have_url(f"{service}/?q=desk&text=lamp&w=-1")
    reach("weight")
    page.keyboard.press("ArrowRight")
    expect(page).to_have_url(f"{service}/?q=desk&text=lamp&w=-1&weight.text=1.1")
    reach("facet")
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("facet").first).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_test_id("facet").first).to_be_focused()
    page.get_by_test_id("facet").last.focus()
    reach("why")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_test_id("why").first).to_be_focused()
    reach("less")
    page.keyboard.press("Enter")
    expect(page.locator('[data-testid="chip"][data-kind="item"]')).to_have_attribute("data-sign", "minus")
    expect(page.locator("main")).to_be_focused()


def test_what_was_found_is_told_to_the_ear(page: Page, service: str, complaints: list[str]) -> None:
    page.goto(f"{service}/?q=lamp")
    expect(page.get_by_role("status").first).to_contain_text("Best results of 820 items")
    expect(page.get_by_test_id("status")).to_have_attribute("aria-live", "polite")
    expect(page.get_by_role("group", name="How parts become one score")).to_be_visible()
    expect(page.get_by_role("button", name="More like this: Lamp").first).to_be_visible()


@pytest.mark.browser_context_args(**PHONE)
def test_a_phone_scrolls_in_one_direction(page: Page, service: str, complaints: list[str]) -> None:
    width = 320  # the narrowest that WCAG 2.2 asks for (1.4.10)
    page.set_viewport_size({"width": width, "height": 700})
    for address in ("/", MIXED):
        page.goto(service + address)
        expect(page.get_by_test_id("example" if address == "/" else "card").first).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") == width
    expect(page.get_by_test_id("weight").first).to_be_hidden()
    page.get_by_text("Ranking").tap()
    expect(page.get_by_test_id("weight").first).to_be_visible()
    page.get_by_test_id("engine").tap()
    expect(page.get_by_test_id("engine-text")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == width


@pytest.mark.browser_context_args(locale="zh-CN")
def test_a_chinese_browser_gets_a_chinese_page(page: Page, service: str, complaints: list[str]) -> None:
    page.goto(f"{service}/?q=椅子")
    expect(page.locator("html")).to_have_attribute("lang", "zh-CN")
    expect(page.get_by_test_id("status")).to_contain_text("件中的最佳结果")
    expect(page.get_by_test_id("card").first.get_by_role("heading")).to_have_text("椅子")
    expect(page.get_by_role("slider", name="图谱的权重")).to_be_visible()
    page.locator("#lang").click()
    expect(page.get_by_role("slider", name="Weight of graph")).to_be_visible()
    page.reload()
    expect(page.locator("html")).to_have_attribute("lang", "en")


def test_both_languages_say_everything(page: Page, service: str) -> None:
    page.goto(service)
    lacking = page.evaluate(
        """async () => {
            const [{ en }, { zh }] = await Promise.all([import("/page/words-en.js"), import("/page/words-zh.js")]);
            const blanks = (text) => [...text.matchAll(/\\{\\w+\\}/g)].map(String).sort().join();
            return Object.keys(en).filter((key) => !(key in zh) || blanks(en[key]) !== blanks(zh[key]));
        }"""
    )
    assert lacking == []


def test_the_page_is_light_and_all_its_own(page: Page, service: str, complaints: list[str]) -> None:
    answers: list[Response] = []
    page.on("response", lambda answer: answers.append(answer))
    page.goto(service)
    expect(page.get_by_test_id("example").first).to_be_visible()
    page.wait_for_load_state("networkidle")
    assert all(answer.url.startswith((service, "data:")) for answer in answers)
    own = [answer for answer in answers if answer.url.startswith(service)]
    assert len({answer.url for answer in own}) == len(own)
    assert sum(len(answer.body()) for answer in own) < 150_000

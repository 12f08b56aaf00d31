"""How results are ranked is changed on the page, and they follow at once."""

from __future__ import annotations

from playwright.sync_api import Page, expect


def order(page: Page) -> list[str]:
    expect(page.get_by_test_id("card").first).to_be_visible()
    expect(page.locator("body")).to_have_attribute("data-busy", "false")
    return [card.get_attribute("data-id") or "" for card in page.get_by_test_id("card").all()]


def test_a_modality_s_weight_changes_the_order(page: Page, service: str, complaints: list[str]) -> None:
    page.goto(f"{service}/?q=lamp")
    before = order(page)
    text = page.get_by_role("slider", name="Weight of text")
    expect(text).to_have_value("1")
    expect(page.get_by_role("slider", name="Weight of words")).to_have_value("0.3")
    text.focus()
    with page.expect_response("**/v1/search"):
        text.press("Home")
    expect(page.locator('[data-testid="card"][data-modality="text"]')).to_have_count(0)
    assert order(page) != before
    expect(page).to_have_url(f"{service}/?q=lamp&weight.text=0")
    page.get_by_test_id("reset").click()
    expect(page).to_have_url(f"{service}/?q=lamp")
    expect(text).to_have_value("1")
    expect(page.locator('[data-testid="card"][data-modality="text"]').first).to_be_visible()
    assert order(page) == before
    page.go_back()
    expect(text).to_have_value("0")


def test_while_a_weight_moves_only_where_it_rests_is_shown(page: Page, service: str, complaints: list[str]) -> None:
    page.goto(f"{service}/?q=lamp")
    order(page)
    graph = page.get_by_role("slider", name="Weight of graph")
    graph.focus()
    for _ in range(10):
        graph.press("ArrowRight")
    expect(page).to_have_url(f"{service}/?q=lamp&weight.graph=2")
    moved = order(page)
    page.reload()
    assert order(page) == moved
    expect(graph).to_have_value("2")


def test_raw_values_instead_of_calibrated_ones(page: Page, service: str, complaints: list[str]) -> None:
    page.goto(f"{service}/?q=lamp")
    before = order(page)
    values = page.get_by_test_id("values")
    expect(values.get_by_role("radio", name="Calibrated")).to_be_checked()
    values.get_by_text("Raw").click()
    expect(page).to_have_url(f"{service}/?q=lamp&calibration=raw")
    won = page.get_by_test_id("card").first.locator("[data-testid=bar][data-won]")
    expect(won).to_have_attribute("aria-label", "graph: cosine 0.86, calibrated 0.86, weight 1.00")
    assert order(page) != before
    values.get_by_text("Calibrated").click()
    expect(page).to_have_url(f"{service}/?q=lamp")
    expect(page.locator('[data-testid="card"][data-modality="text"]').first).to_be_visible()
    assert order(page) == before


def test_max_leaves_the_words_out(page: Page, service: str, complaints: list[str]) -> None:
    page.goto(f"{service}/?q=lamp&weight.lexical=0.6")
    card = page.get_by_test_id("card").first
    expect(card.get_by_test_id("bar")).to_have_count(4)
    page.get_by_test_id("method").get_by_text("Max").click()
    expect(page).to_have_url(f"{service}/?q=lamp&fusion=max&weight.lexical=0.6")
    expect(card.get_by_test_id("bar")).to_have_count(3)
    expect(page.get_by_role("slider", name="Weight of words")).to_be_disabled()


def test_an_index_without_calibration_has_no_switch(page: Page, plain_service: str) -> None:
    page.goto(f"{plain_service}/?q=lamp")
    expect(page.get_by_test_id("card").first).to_be_visible()
    expect(page.get_by_test_id("method")).to_be_visible()
    expect(page.get_by_test_id("values")).to_be_hidden()

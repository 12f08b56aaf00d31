"""What the search page weighs, how soon it shows a first result, and how it looks, against a demo that runs.

    maxcos demo &
    python benchmarks/page.py http://127.0.0.1:8000 [docs]

The weight is that of all resources as they are, uncompressed, without the pictures of items. The time is from the start
of the navigation to the first card in the document, the median of nine loads with an empty cache. With a folder the
pictures of docs/page.md are made anew in it.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from PIL import Image
from playwright.sync_api import Browser, Page, Response, sync_playwright

LOADS = 9
COLOURS = 256
MOST_BYTES = 250_000
DESKTOP = {"viewport": {"width": 1280, "height": 860}}
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True, "device_scale_factor": 2}
NOTICE = """
    new MutationObserver((_, observer) => {
        if (!document.querySelector(".card")) return;
        window.first = performance.now();
        observer.disconnect();
    }).observe(document, { childList: true, subtree: true });
"""
MIXED = "/?q=lamp&item=scopia-desk-lamp1&w=-0.5&entity=kind%3Alamp&w=0.6"


@click.command(help=(__doc__ or "").partition("\n")[0])
@click.argument("service", metavar="URL")
@click.argument("folder", type=click.Path(path_type=Path), required=False)
def main(service: str, folder: Path | None) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu"]
        )
        click.echo(f"{weight(browser, service):,} bytes")
        times = [first_result(browser, service) for _ in range(LOADS)]
        click.echo(f"first result after {statistics.median(times):.0f} ms ({min(times):.0f} to {max(times):.0f})")
        if folder is not None:
            take_pictures(browser, service, folder)
        browser.close()


@contextmanager
def opened(browser: Browser, address: str, **context: Any) -> Iterator[Page]:
    """A page in a browser that knows nothing yet."""
    fresh = browser.new_context(**context)
    page = fresh.new_page()
    page.goto(address)
    page.wait_for_load_state("networkidle")
    yield page
    fresh.close()


def weight(browser: Browser, service: str) -> int:
    answers: list[Response] = []
    with opened(browser, "about:blank") as page:
        page.on("response", lambda answer: answers.append(answer))
        page.goto(service)
        page.wait_for_load_state("networkidle")
        return sum(len(answer.body()) for answer in answers if answer.url.startswith(service))


def first_result(browser: Browser, service: str) -> float:
    """Milliseconds."""
    with opened(browser, "about:blank", **DESKTOP) as page:
        page.add_init_script(NOTICE)
        page.goto(f"{service}/?q=sofa", wait_until="commit")
        page.get_by_test_id("card").first.wait_for()
        return float(page.evaluate("window.first"))


def take_pictures(browser: Browser, service: str, folder: Path) -> None:
    with opened(browser, f"{service}/?q=椅子", **DESKTOP) as page:
        keep(page, folder / "page.png")
    with opened(browser, service + MIXED, **DESKTOP) as page:
        keep(page, folder / "page-mixed.png")
    with opened(browser, f"{service}/?q=garden&weight.image=1.5", color_scheme="dark", **DESKTOP) as page:
        keep(page, folder / "page-dark.png")
    with opened(browser, f"{service}/?q=沙发&category=Living+room", locale="zh-CN", **DESKTOP) as page:
        keep(page, folder / "page-chinese.png")
    with opened(browser, f"{service}/?q=bed&item=scopia-bed1", **DESKTOP) as page:
        page.get_by_test_id("why").first.click()
        page.get_by_test_id("why-part").first.wait_for(timeout=60_000)
        page.wait_for_load_state("networkidle")
        keep(page, folder / "page-why.png")
    with opened(browser, f"{service}/?q=chair&item=scopia-desk-lamp1&w=-0.5", **PHONE) as page:
        keep(page, folder / "page-phone.png")


def keep(page: Page, file: Path) -> None:
    page.screenshot(path=file, animations="disabled")
    with Image.open(file) as picture:
        colours = picture.convert("RGB")
    colours.save(file, optimize=True)
    if file.stat().st_size > MOST_BYTES:
        colours.quantize(COLOURS, dither=Image.Dither.NONE).save(file, optimize=True)
    click.echo(f"{file}: {file.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()

"""Real Chromium, and what every page has to keep to."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from es_mappings.settings import Settings, load_settings
from maxcos.build import ingest_file
from served import served


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    return {
        **browser_type_launch_args,
        "executable_path": "/usr/bin/chromium",
        "args": ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"],
    }


@pytest.fixture
def complaints(page: Page) -> Iterator[list[str]]:
    """What the browser's console and the page's scripts complain about; there must be nothing."""
    found: list[str] = []
    page.on("console", lambda message: found.append(message.text) if message.type in {"error", "warning"} else None)
    page.on("pageerror", lambda error: found.append(str(error)))
    yield found
    assert found == []


@pytest.fixture(scope="session")
def plain_service(tmp_path_factory: pytest.TempPathFactory, shop_folder: Path, shop: Settings) -> Iterator[str]:
    """The URL of a service over some of the demo's lamps with texts alone: no picture, no graph, no calibration."""
    folder = tmp_path_factory.mktemp("plain")
    items = (shop_folder / "items.jsonl").read_text("utf-8").splitlines(keepends=True)
    (folder / "items.jsonl").write_text("".join([line for line in items if "lamp" in line]), "utf-8")
    config = folder / "maxcos.toml"
    text = {"encoder": "onnx", "model": str(shop.modalities["text"].model), "source": ["title"]}
    lines = ["[engine]", 'url = "embedded:./store"', 'index = "plain"', "[lexical]", 'fields = ["title"]']
    lines += ["[modalities.text]", *(f"{name} = {json.dumps(value)}" for name, value in text.items())]
    config.write_text("\n".join(lines), "utf-8")
    settings = load_settings(config)
    ingest_file(folder / "items.jsonl", settings)
    with served(settings, config) as url:
        yield url

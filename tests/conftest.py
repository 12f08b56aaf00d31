"""Real engines and real weights for every test that needs them. What is missing fails; nothing is skipped."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from engines import start_engine
from es_mappings.settings import Settings
from served import served
from shop import built

hypothesis_settings.register_profile("maxcos", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis_settings.load_profile("maxcos")


@pytest.fixture(scope="session")
def engine_url(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """Engine name -> URL."""

    def url(name: str) -> str:
        return f"embedded:{tmp_path_factory.mktemp('store')}" if name == "embedded" else start_engine(name)

    return url


@pytest.fixture(scope="session")
def models() -> Path:
    """The folder of packaged weights that `make models` fills."""
    default = "/var/cache/maxcos" if os.geteuid() == 0 else Path.home() / ".cache" / "maxcos"
    folder = Path(os.environ.get("MAXCOS_CACHE", default)) / "models"
    if not folder.is_dir():
        pytest.fail(f"{folder} is missing: run `make models`")
    return folder


@pytest.fixture(scope="session")
def service(shop: Settings, shop_folder: Path) -> Iterator[str]:
    """The URL of the demo as a running service."""
    with served(shop, shop_folder / "maxcos.toml") as url:
        yield url


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="rewrite tests/golden/*/*.json from the code")


@pytest.fixture(scope="session")
def shop_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shop") / "demo"


@pytest.fixture(scope="session")
def shop(shop_folder: Path, models: Path) -> Iterator[Settings]:
    """The demo catalogue on the embedded store."""
    with built(shop_folder, "embedded:./store") as settings:
        yield settings


@pytest.fixture(scope="session")
def shop_on_cluster(shop: Settings, shop_folder: Path) -> Iterator[Settings]:
    """The demo catalogue on Elasticsearch, with the graph that was trained for the embedded store."""
    config = shop_folder / "maxcos.toml"
    embedded = config.read_text("utf-8")
    with built(shop_folder, start_engine("elasticsearch-9")) as settings:
        config.write_text(embedded, "utf-8")  # other tests read it as that of `shop`
        yield settings

"""Real engines and real weights for every test that needs them. What is missing fails; nothing is skipped."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from engines import start_engine
from hypothesis import HealthCheck, settings

settings.register_profile("maxcos", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("maxcos")


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

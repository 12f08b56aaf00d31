"""A node of Elasticsearch with security switched on: TLS by an authority of its own, users, API keys and roles."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from es_mappings.cluster import connect
from es_mappings.settings import EngineSettings
from nodes import ADMIN, AUTHORITY, PASSWORD, engine, free_port, own_cache

NAME = "elasticsearch-9-secured"


@dataclass(frozen=True)
class Secured:
    """password: of the user `admin`, who may do everything."""

    url: str
    authority: Path
    password: str

    @property
    def settings(self) -> EngineSettings:
        return EngineSettings(
            url=self.url, username=ADMIN, password=SecretStr(self.password), ca_certs=self.authority, timeout=60
        )

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """As `admin`."""
        with closing(connect(self.settings)) as cluster:
            return cluster.request(method, path, body=body)

    def key(self, role: Any) -> str:
        """An API key of this role alone, encoded."""
        answer = self.ask("POST", "/_security/api_key", {"name": "maxcos-test", "role_descriptors": {"role": role}})
        return str(answer["encoded"])


@contextmanager
def secured() -> Iterator[Secured]:
    """Nothing of it is left at the end."""
    with own_cache() as cache:
        try:
            url = engine(cache, "start", NAME, f"--port={free_port(1)}").strip()
            run = cache / "run" / NAME
            yield Secured(url, run / AUTHORITY, (run / PASSWORD).read_text("utf-8"))
        finally:
            engine(cache, "stop", NAME)

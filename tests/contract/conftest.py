"""One index per engine, written through the sinks and read through the searchers."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from corpus import LEXICAL, Encodes, Engine
from engines import ENGINES
from es_mappings.cluster import connect, is_embedded
from es_mappings.schema import Schema, build_schema
from es_mappings.settings import EngineSettings
from ingest.sinks import open_sink
from query_api.searchers import open_searcher


@pytest.fixture(scope="session")
def schema() -> Schema:
    return build_schema(LEXICAL, [Encodes()])


@pytest.fixture(scope="session")
def new_engine(engine_url: Callable[[str], str], schema: Schema) -> Iterator[Callable[[str], Engine]]:
    """Names an engine's index that does not exist yet; every index is deleted at the end."""
    opened: list[Engine] = []

    def name_one(name: str) -> Engine:
        settings = EngineSettings(url=engine_url(name), index=f"maxcos-test-{uuid.uuid4().hex}")
        opened.append(Engine(name, settings, schema, open_sink(settings, schema), open_searcher(settings, schema)))
        return opened[-1]

    yield name_one
    for engine in opened:
        engine.sink.close()
        engine.searcher.close()
        if not is_embedded(engine.settings):
            with closing(connect(engine.settings)) as cluster:
                if cluster.exists(f"/{engine.settings.index}"):
                    cluster.request("DELETE", f"/{engine.settings.index}")


@pytest.fixture(scope="session")
def open_engine(new_engine: Callable[[str], Engine]) -> Callable[[str], Engine]:
    """Opens an engine on a new, empty index."""

    def open_one(name: str) -> Engine:
        engine = new_engine(name)
        engine.sink.prepare({})
        return engine

    return open_one


@pytest.fixture(scope="session", params=ENGINES)
def engine(request: pytest.FixtureRequest, open_engine: Callable[[str], Engine]) -> Engine:
    """An engine whose index the tests share; each test writes documents of its own group."""
    return open_engine(request.param)


@pytest.fixture
def fresh(engine: Engine, open_engine: Callable[[str], Engine]) -> Engine:
    """The same engine with an index of the test's own."""
    return open_engine(engine.name)

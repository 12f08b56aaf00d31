"""One index per engine, written through the sinks and read through the searchers."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator

import pytest

from corpus import LEXICAL, Encodes, Engine
from engines import ENGINES
from es_mappings.probe import connect, is_embedded
from es_mappings.schema import Schema, build_schema
from es_mappings.settings import EngineSettings
from ingest.sinks import open_sink
from query_api.searchers import open_searcher


@pytest.fixture(scope="session")
def schema() -> Schema:
    return build_schema(LEXICAL, [Encodes()])


@pytest.fixture(scope="session")
def open_engine(engine_url: Callable[[str], str], schema: Schema) -> Iterator[Callable[[str], Engine]]:
    """Opens an engine on a new index; every index is deleted at the end."""
    opened: list[Engine] = []

    def open_one(name: str) -> Engine:
        settings = EngineSettings(url=engine_url(name), index=f"maxcos-test-{uuid.uuid4().hex}")
        engine = Engine(name, settings, schema, open_sink(settings, schema), open_searcher(settings, schema))
        engine.sink.prepare()
        opened.append(engine)
        return engine

    yield open_one
    for engine in opened:
        engine.sink.close()
        engine.searcher.close()
        if not is_embedded(engine.settings):
            with connect(engine.settings) as client:
                client.indices.delete(index=engine.settings.index)


@pytest.fixture(scope="session", params=ENGINES)
def engine(request: pytest.FixtureRequest, open_engine: Callable[[str], Engine]) -> Engine:
    """An engine whose index the tests share; each test writes documents of its own group."""
    return open_engine(request.param)

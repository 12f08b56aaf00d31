"""The first word with a cluster: a client for the settings, and which dialect it speaks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from es_mappings.dialects import Dialect, dialect_for
from es_mappings.errors import EngineError, EngineUnavailable, SettingsError
from es_mappings.settings import EngineSettings

if TYPE_CHECKING:
    from elasticsearch import Elasticsearch


def is_embedded(engine: EngineSettings) -> bool:
    return engine.url.startswith("embedded:")


def connect(engine: EngineSettings) -> Elasticsearch:
    """A client for the cluster's URL; no request is made yet. Raises SettingsError for a URL of another kind."""
    if not engine.url.startswith(("http://", "https://")):
        raise SettingsError(f"engine.url: {engine.url!r} is none of embedded:PATH, http://HOST:PORT, https://HOST:PORT")
    from elasticsearch import Elasticsearch, OrjsonSerializer

    return Elasticsearch(
        engine.url,
        api_key=engine.api_key.get_secret_value() if engine.api_key else None,
        request_timeout=engine.timeout,
        serializer=OrjsonSerializer(),
        retry_on_timeout=False,
        max_retries=2,
    )


def probe(client: Elasticsearch) -> Dialect:
    """Ask the cluster what it is. Raises EngineUnavailable without an answer, EngineError for what we cannot speak."""
    from elasticsearch import ApiError, TransportError

    try:
        version = client.info()["version"]
    except ApiError as error:
        raise EngineError(f"the cluster refuses to say what it is: {error}") from error
    except TransportError as error:
        raise EngineUnavailable(f"the cluster cannot be reached: {error}") from error
    major, minor = (int(part) for part in version["number"].split(".")[:2])
    return dialect_for(version.get("distribution", "elasticsearch"), (major, minor))

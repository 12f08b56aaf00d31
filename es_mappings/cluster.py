"""One small client for both families of clusters: requests, bulk writing, and the errors of either as ours."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.client import responses
from typing import Any, Protocol
from urllib.parse import urlencode, urlsplit

import orjson

from es_mappings.access import FORBIDDEN, authorities, credentials
from es_mappings.bulk import Operation, Patience, carry_out
from es_mappings.dialects import Dialect, dialect_for
from es_mappings.errors import (
    AccessRefused,
    EngineError,
    EngineRefused,
    EngineUnavailable,
    EngineUnreachable,
    EngineUntrusted,
    SettingsError,
)
from es_mappings.settings import EngineSettings

JSON = dict[str, Any]

OVERLOADED = frozenset({408, 429, 502, 503, 504})
RETRIED = (429, 502, 503, 504)
RETRIES = 2
"""How often a request is sent again when nothing answers, or with one of RETRIED. After a timeout it is not. Of several
addresses it goes to another each time, and at least once to every one of them.
"""

CONNECTIONS = 16
"""That are kept to each address: as many as a service has threads. The clients' default of 10 would let Elasticsearch's
wait for one another, and OpenSearch's connect anew for each request above it.
"""

MOST_BYTES = 100 * 1024 * 1024
"""Of a request's body, where an engine does not tell: the default of either family."""

TIME_EXCEEDED = "time_exceeded_exception"
"""Elasticsearch answers 400 when a search's time is over while a script reads a vector, as if the script was wrong."""

NO_ANSWER = "the engine does not answer within engine.timeout"

BREAKER = "circuit_breaking_exception"
"""Engines answer 400 also while they protect themselves, as when they compile no more scripts for some minutes."""

UNTRUSTED = ("CERTIFICATE_VERIFY_FAILED", "WRONG_VERSION_NUMBER")
"""As OpenSSL says that a certificate is not vouched for, or is another host's, and that the answer is not TLS."""

ONE, MANY = "application/json", "application/x-ndjson"


def is_embedded(engine: EngineSettings) -> bool:
    return engine.url.startswith("embedded:")


def connect(engine: EngineSettings) -> Cluster:
    """A client for the cluster's URL; no request is made yet. Raises SettingsError for a URL or credentials that no
    cluster takes.
    """
    if "@" in engine.url:
        raise SettingsError("engine.url: credentials go into engine.username and MAXCOS_ENGINE__PASSWORD")
    family, plus, _ = engine.url.rpartition("+")
    addresses = addresses_of(engine)
    wrong = [address for address in addresses if not _is_address(address)]
    if wrong or not addresses or (plus and family not in FAMILIES):
        raise SettingsError(
            f"engine.url: {wrong[0] if wrong else engine.url!r} is none of embedded:PATH, http(s)://HOST:PORT, "
            "elasticsearch+http(s)://HOST:PORT and opensearch+http(s)://HOST:PORT; "
            "commas stand between several addresses of one cluster, after one elasticsearch+ or opensearch+"
        )
    return Cluster(engine, addresses, family)


def addresses_of(engine: EngineSettings) -> list[str]:
    """The addresses in the cluster's URL, each once."""
    listed = engine.url.rpartition("+")[2].replace(",", " ").split()
    # A client refuses an address that it is given twice, also in other letters or with a slash at its end.
    return list({address.rstrip("/").lower(): address for address in listed}.values())


def probe(cluster: Cluster) -> tuple[Dialect, str]:
    """Ask the cluster what it is: how to speak to it, and its name and version for people ("OpenSearch 3.5.0").

    Raises EngineUnavailable without an answer, EngineError for what we cannot speak.
    """
    version = _version(cluster.request("GET", "/"))
    major, minor = (int(part) for part in version["number"].split(".")[:2])
    dialect = dialect_for(_family_of(version), (major, minor))
    return dialect, f"{dialect.product} {version['number']}"


class Cluster:
    """A client that threads may share. Unless it was told, its first request finds out whom it speaks to.

    Every method raises EngineUnavailable for what may pass by waiting, EngineRefused for other HTTP errors, and
    EngineError for what no search engine says.
    """

    def __init__(self, engine: EngineSettings, addresses: Sequence[str], family: str) -> None:
        self._engine = engine
        self._addresses = addresses
        self._headers = credentials(engine)
        self._ca_certs = authorities(engine, addresses)
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._family = family
        self._opened = self._open(family) if family else None
        self._writing: tuple[_Client, int] | None = None

    def request(self, method: str, path: str, *, params: Mapping[str, str] | None = None, body: Any = None) -> Any:
        """The decoded answer. body: an object, or a list of them that is sent as NDJSON; arrays may be numpy's.

        path: quoted, without a query.
        """
        target = f"{path}?{urlencode(params)}" if params else path
        many = isinstance(body, list)
        data = None if body is None else b"".join(_json(one) + b"\n" for one in (body if many else [body]))
        return self._client().send(method, target, data, MANY if many else ONE)

    def exists(self, path: str) -> bool:
        return bool(self.request("HEAD", path))

    def bulk(self, actions: Iterable[JSON]) -> Iterator[tuple[bool, JSON]]:
        """Carry out the actions, as the official clients' helpers write them; for each, whether the engine did it, and
        its answer under the action's name.

        What a busy, blocked or unreachable engine does not do is asked for again, for `engine.patience` at most; its
        answers come out of turn. One action that is larger than what the engine takes is answered 413.
        """
        client, largest = self._writer()
        patience = Patience(self._engine.patience, self._stopped)
        yield from carry_out(
            map(_operation, actions), lambda data: client.send("POST", "/_bulk", data, MANY), patience, largest
        )

    def request_patiently(
        self, method: str, path: str, *, params: Mapping[str, str] | None = None, body: Any = None
    ) -> Any:
        """Like `request`, for what may be repeated: asked again for `engine.patience` while the engine cannot do it."""
        patience = Patience(self._engine.patience, self._stopped)
        while True:
            try:
                answer = self.request(method, path, params=params, body=body)
            except EngineUnavailable as error:
                patience.wait(error)
                continue
            patience.progress()
            return answer

    def stop(self) -> None:
        """End what waits for the engine, in any thread: it raises what it waits for."""
        self._stopped.set()

    def close(self) -> None:
        if self._opened is not None:
            self._opened.close()
        if self._writing is not None:
            self._writing[0].close()

    def _most_bytes(self) -> int:
        params = {"filter_path": "nodes.*.http.max_content_length_in_bytes"}
        try:
            nodes = self.request("GET", "/_nodes/http", params=params).get("nodes", {})
        except EngineError:  # a user without the right to ask, or a busy engine
            return MOST_BYTES
        return min((node["http"]["max_content_length_in_bytes"] for node in nodes.values()), default=MOST_BYTES)

    def _client(self) -> _Client:
        with self._lock:
            if self._opened is None:
                self._family = self._asked()
                self._opened = self._open(self._family)
            return self._opened

    def _writer(self) -> tuple[_Client, int]:
        """A client for bulk requests, and how many bytes the engine takes in one.

        It does not ask a busy engine again by itself: it would do so at once, three times as often as that can bear.
        Where nothing answers it only goes on to the next address.
        """
        self._client()
        if self._writing is None:
            self._writing = self._open(self._family, writing=True), self._most_bytes()
        return self._writing

    def _asked(self) -> str:
        """The family that the cluster says it is of, by OpenSearch's client: it talks to either."""
        anyone = self._made(_OpenSearch)
        try:
            return _family_of(_version(anyone.send("GET", "/", None, ONE)))
        finally:
            anyone.close()

    def _open(self, family: str, *, writing: bool = False) -> _Client:
        if family not in FAMILIES:
            raise EngineError(f"{family} is not supported; supported are {', '.join(FAMILIES)}")
        if family == "opensearch" and self._engine.api_key is not None:
            raise SettingsError("engine.api_key: OpenSearch has no API keys; give engine.username and engine.password")
        return self._made(FAMILIES[family], writing=writing)

    def _made(self, kind: type[_Client], *, writing: bool = False) -> _Client:
        others = len(self._addresses) - 1
        retrying = {
            "retry_on_timeout": False,
            "retry_on_status": () if writing else RETRIED,
            "max_retries": others if writing else max(RETRIES, others),
        }
        trusting = {"ca_certs": self._ca_certs} if self._ca_certs else {}
        return kind(self._addresses, self._headers, self._engine.timeout, {**retrying, **trusting})


class _Client(Protocol):
    """The official client of a family, made to raise our errors."""

    def __init__(self, addresses: Sequence[str], headers: Mapping[str, str], timeout: float, options: JSON) -> None: ...

    def send(self, method: str, target: str, data: bytes | None, mimetype: str) -> Any: ...

    def close(self) -> None: ...


class _Elasticsearch:
    def __init__(self, addresses: Sequence[str], headers: Mapping[str, str], timeout: float, options: JSON) -> None:
        from elastic_transport import TextSerializer
        from elasticsearch import Elasticsearch, OrjsonSerializer

        self._client = Elasticsearch(
            list(addresses),
            headers=headers,
            request_timeout=timeout,
            connections_per_node=CONNECTIONS,
            # A proxy's error page is text: its status says enough.
            serializers={ONE: OrjsonSerializer(), "text/*": TextSerializer()},
            **options,
        )

    def send(self, method: str, target: str, data: bytes | None, mimetype: str) -> Any:
        headers = {"accept": ONE} if data is None else {"accept": ONE, "content-type": mimetype}
        with self._errors():
            answer = self._client.perform_request(method, target, headers=headers, body=data)
        return bool(answer) if method == "HEAD" else answer.body

    def close(self) -> None:
        self._client.close()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        from elasticsearch import (
            ApiError,
            ConnectionTimeout,
            SerializationError,
            SSLError,
            TransportError,
            UnsupportedProductError,
        )

        try:
            yield
        except SerializationError as error:
            raise EngineError(f"what was sent or answered is not JSON: {error}") from error
        except UnsupportedProductError as error:
            raise EngineError(f"what answers at engine.url is not Elasticsearch: {error}") from error
        except ApiError as error:
            raise refusal(error.status_code, error.body) from error
        except ConnectionTimeout as error:
            raise EngineUnavailable(NO_ANSWER) from error
        except SSLError as error:
            raise _by_tls(error) from error
        except TransportError as error:
            raise EngineUnreachable(f"the engine cannot be reached: {error}") from error


class _OpenSearch:
    def __init__(self, addresses: Sequence[str], headers: Mapping[str, str], timeout: float, options: JSON) -> None:
        from opensearchpy import JSONSerializer, OpenSearch

        class Orjson(JSONSerializer):
            def dumps(self, data: Any) -> Any:
                return data if isinstance(data, bytes | str) else _json(data).decode()

            def loads(self, s: Any) -> Any:
                return orjson.loads(s)

        self._client = OpenSearch(
            list(addresses),
            headers=dict(headers),
            timeout=timeout,
            pool_maxsize=CONNECTIONS,
            serializer=Orjson(),
            **options,
            # As Elasticsearch's client has it: a node that is back is asked again soon, not after minutes.
            dead_timeout=1.0,
        )

    def send(self, method: str, target: str, data: bytes | None, mimetype: str) -> Any:
        with self._errors():
            return self._client.transport.perform_request(
                method, target, headers={"accept": ONE, "content-type": mimetype}, body=data
            )

    def close(self) -> None:
        self._client.close()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        from opensearchpy import ConnectionError, ConnectionTimeout, SerializationError, SSLError, TransportError

        try:
            yield
        except (SerializationError, orjson.JSONDecodeError) as error:
            raise EngineError(f"what was sent or answered is not JSON: {error}") from error
        except ConnectionTimeout as error:
            raise EngineUnavailable(NO_ANSWER) from error
        except SSLError as error:
            raise _by_tls(error) from error
        except ConnectionError as error:
            raise EngineUnreachable(f"the engine cannot be reached: {error}") from error
        except TransportError as error:
            raise refusal(int(error.status_code), error.info or error.error) from error


FAMILIES: dict[str, type[_Client]] = {"elasticsearch": _Elasticsearch, "opensearch": _OpenSearch}


def _is_address(address: str) -> bool:
    """Whether it is http(s)://HOST:PORT, maybe with a path."""
    try:
        url = urlsplit(address)
        return url.scheme in {"http", "https"} and bool(url.hostname and url.port)
    except ValueError:
        return False


def _by_tls(error: Exception) -> EngineError:
    """The error for a failure of TLS: a connection that was cut passes, who is not to be trusted does not."""
    if any(reason in str(error) for reason in UNTRUSTED):
        return EngineUntrusted(str(error))
    return EngineUnreachable(f"the engine cannot be reached: {error}")


def _operation(action: JSON) -> Operation:
    from elasticsearch.helpers import expand_action  # OpenSearch's is the same

    header, source = expand_action(action)
    (kind,) = header
    data = b"".join(_json(line) + b"\n" for line in (header, source) if line is not None)
    return Operation(kind, header[kind].get("_id", ""), data)


def _json(value: Any) -> bytes:
    try:
        return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)
    except orjson.JSONEncodeError as error:
        raise EngineError(f"what was sent or answered is not JSON: {error}") from error


def _version(answer: Any) -> Mapping[str, str]:
    version = answer.get("version") if isinstance(answer, Mapping) else None
    if not isinstance(version, Mapping) or "number" not in version:
        raise EngineError("what answers at engine.url is no search engine")
    return version


def _family_of(version: Mapping[str, str]) -> str:
    return version.get("distribution", "elasticsearch")


def refusal(code: int, body: Any) -> EngineError:
    """The error for an HTTP status and the decoded body that came with it, also of one search among several."""
    kind, reason = _causes(body["error"]) if isinstance(body, Mapping) and "error" in body else ("", str(body or ""))
    reason = reason or responses.get(code, "no reason given")
    if TIME_EXCEEDED in reason:
        return EngineUnavailable(f"the engine needs more time than engine.timeout gives: {reason}")
    if code in OVERLOADED or kind == BREAKER:
        return EngineUnavailable(f"the engine answers {code}: {reason}", code)
    if code == 401 or (code == 403 and kind == FORBIDDEN):
        return AccessRefused(code, kind, reason)
    return EngineRefused(code, kind, reason)


def _causes(error: Any) -> tuple[str, str]:
    """The type of the root cause, and the reasons: root causes first, then what caused them, each of them once."""
    if not isinstance(error, Mapping):
        return "", str(error)
    roots = error.get("root_cause") or [error]
    # A script's own exception is below the shard's failure only.
    failed = [shard["reason"] for shard in error.get("failed_shards", []) if isinstance(shard.get("reason"), Mapping)]
    return str(roots[0].get("type", "")), reasons(*roots, *failed, error.get("caused_by"))


def reasons(*failures: Any) -> str:
    """Why something failed in the engine's words: each failure and what caused it, the outermost first, each once."""
    said: list[str] = []
    for reason in (reason for failure in failures for reason in _chain(failure)):
        if not any(reason in other for other in said):
            said.append(reason)
    return "; ".join(said)


def _chain(cause: Any) -> Iterator[str]:
    while isinstance(cause, Mapping):
        yield str(cause.get("reason") or cause.get("type", ""))
        cause = cause.get("caused_by")

"""The clusters' client: whom it speaks to, what it sends, and what it makes of bad answers. A server here plays both
families; the contract suite uses the real ones.
"""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trustme
from pydantic import SecretStr

from es_mappings.cluster import Cluster, addresses_of, connect, probe
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

ELASTICSEARCH = {"version": {"number": "8.19.1"}}
OPENSEARCH = {"version": {"number": "3.5.0", "distribution": "opensearch"}}


@dataclass
class Played:
    """A server's answer to every request but `GET /`, how long it takes, and the requests it got."""

    url: str
    root: Any = field(default_factory=lambda: ELASTICSEARCH)
    code: int = 200
    answer: Any = field(default_factory=dict)
    seconds: float = 0.0
    location: str = ""
    requests: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)


@pytest.fixture
def played() -> Iterator[Played]:
    with playing() as play:
        yield play


@contextmanager
def playing(trust: ssl.SSLContext | None = None) -> Iterator[Played]:
    """trust: speak TLS by this."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            play.requests.append((self.command, self.path, headers, body))
            code, answer = (200, play.root) if self.path == "/" else (play.code, play.answer)
            time.sleep(play.seconds)
            text = isinstance(answer, str)
            data = answer.encode() if text else json.dumps(answer).encode()
            self.send_response(code)
            self.send_header("content-type", "text/html" if text else "application/json")
            self.send_header("x-elastic-product", "Elasticsearch")
            if play.location and self.path != "/":
                self.send_header("location", play.location)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

        do_POST = do_PUT = do_HEAD = do_GET

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: Any, client_address: Any) -> None:
            """A client that waits no longer is none of the server's errors."""

    server = Server(("127.0.0.1", 0), Handler)
    if trust is not None:
        server.socket = trust.wrap_socket(server.socket, server_side=True)
    play = Played(f"{'https' if trust else 'http'}://127.0.0.1:{server.server_port}")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield play
    server.shutdown()
    server.server_close()


@pytest.fixture(params=["elasticsearch", "opensearch"])
def cluster(request: pytest.FixtureRequest, played: Played) -> Iterator[Cluster]:
    with closing(connect(EngineSettings(url=f"{request.param}+{played.url}"))) as client:
        yield client


@pytest.mark.parametrize(("root", "name"), [(ELASTICSEARCH, "elasticsearch8"), (OPENSEARCH, "opensearch")])
def test_many_threads_find_out_once_whom_they_speak_to(played: Played, root: Any, name: str) -> None:
    played.root = root
    with closing(connect(EngineSettings(url=played.url))) as client, ThreadPoolExecutor(8) as pool:
        assert played.requests == []
        assert all(pool.map(client.exists, ["/items"] * 8))
        assert [path for _, path, *_ in played.requests].count("/") == 1
        assert probe(client)[0].name == name


def test_who_is_told_does_not_ask(cluster: Cluster, played: Played) -> None:
    assert cluster.request("GET", "/items/_mapping") == {}
    assert [path for _, path, *_ in played.requests] == ["/items/_mapping"]


def test_objects_lists_and_numpy_are_json(cluster: Cluster, played: Played) -> None:
    body = {"vector": np.array([0.5, 0.25], dtype=np.float32)}
    cluster.request("POST", "/items/_search", params={"a b": "1&2"}, body=body)
    cluster.request("POST", "/_msearch", body=[{}, body])
    (_, path, headers, one), (*_, headers_of_many, many) = played.requests
    assert path == "/items/_search?a+b=1%262"
    assert [json.loads(one)] == [{"vector": [0.5, 0.25]}]
    assert many.endswith(b"\n")
    assert [json.loads(line) for line in many.splitlines()] == [{}, {"vector": [0.5, 0.25]}]
    assert headers["content-type"].partition(";")[0].endswith("+json") or headers["content-type"] == "application/json"
    assert "x-ndjson" in headers_of_many["content-type"]


def test_documents_that_the_engine_refuses_are_named(cluster: Cluster, played: Played) -> None:
    played.answer = {"errors": True, "items": [{"index": {"status": 201}}, {"index": {"status": 400, "error": "bad"}}]}
    vector = np.array([0.5], dtype=np.float32)
    actions = [{"_op_type": "index", "_index": "items", "_id": i, "_source": {"v": vector}} for i in "ab"]
    assert [(ok, answer["index"]["status"]) for ok, answer in cluster.bulk(actions)] == [(True, 201), (False, 400)]
    (*_, body) = played.requests[-1]
    assert [json.loads(line) for line in body.splitlines()][1] == {"v": [0.5]}


def failure(kind: str, reason: str | None, **more: Any) -> dict[str, Any]:
    return {"type": kind, "reason": reason, **more}


@pytest.mark.parametrize(
    ("error", "kind", "reason"),
    [
        ("no handler found", "", "no handler found"),
        (
            failure("index_not_found_exception", "no such index [x]", root_cause=[failure("index_not_found", "no x")]),
            "index_not_found",
            "no x",
        ),
        (
            failure(
                "search_phase_execution_exception",
                "all shards failed",
                root_cause=[failure("script_exception", "runtime error")],
                failed_shards=[
                    {
                        "reason": failure(
                            "script_exception", "runtime error", caused_by=failure("arithmetic", "/ by zero")
                        )
                    }
                ],
            ),
            "script_exception",
            "runtime error; / by zero",
        ),
    ],
)
def test_a_refusal_has_the_engine_s_own_words(
    cluster: Cluster, played: Played, error: Any, kind: str, reason: str
) -> None:
    played.code, played.answer = 400, {"error": error, "status": 400}
    with pytest.raises(EngineRefused) as refused:
        cluster.request("POST", "/items/_search", body={})
    assert (refused.value.code, refused.value.kind, refused.value.reason) == (400, kind, reason)


@pytest.mark.parametrize("code", [408, 429, 502, 503, 504])
def test_an_overloaded_engine_or_proxy_is_unavailable(cluster: Cluster, played: Played, code: int) -> None:
    played.code, played.answer = code, "<html>later</html>"
    with pytest.raises(EngineUnavailable, match=f"{code}: .*later"):
        cluster.request("GET", "/items")


def test_a_script_that_ran_out_of_time_is_not_wrong(cluster: Cluster, played: Played) -> None:
    cause = failure("script_exception", "runtime error", caused_by=failure("time_exceeded_exception", None))
    error = failure("search_phase_execution_exception", "x", root_cause=[cause], failed_shards=[{"reason": cause}])
    played.code, played.answer = 400, {"error": error, "status": 400}
    with pytest.raises(EngineUnavailable, match="more time"):
        cluster.request("POST", "/items/_search", body={})


@pytest.mark.parametrize("family", ["elasticsearch", "opensearch"])
def test_an_answer_that_takes_too_long_is_said_to(played: Played, family: str) -> None:
    played.seconds = 0.5
    with (
        closing(connect(EngineSettings(url=f"{family}+{played.url}", timeout=0.1))) as client,
        pytest.raises(EngineUnavailable, match=r"does not answer within engine\.timeout"),
    ):
        client.request("POST", "/items/_search", body={})


@pytest.mark.parametrize("family", ["", "elasticsearch+", "opensearch+"])
def test_nobody_there_is_unavailable(family: str) -> None:
    with (
        closing(connect(EngineSettings(url=f"{family}http://127.0.0.1:1"))) as client,
        pytest.raises(EngineUnavailable, match="cannot be reached"),
    ):
        client.exists("/items")


@pytest.mark.parametrize("family", ["", "elasticsearch+", "opensearch+"])
def test_what_a_dead_node_does_not_answer_another_does(played: Played, family: str) -> None:
    played.root = OPENSEARCH if family == "opensearch+" else ELASTICSEARCH
    played.answer = {"errors": False, "items": [{"index": {"_id": "1", "status": 201}}]}
    dead = ",".join(f"http://127.0.0.1:{port}" for port in range(1, 5))
    action = {"_op_type": "index", "_index": "items", "_id": "1", "_source": {}}
    with closing(connect(EngineSettings(url=f"{family}{dead}, {played.url}", patience=0))) as client:
        assert all(client.exists("/items") for _ in range(10))
        assert [ok for _ in range(10) for ok, _ in client.bulk([action])] == [True] * 10
    assert [path for _, path, *_ in played.requests].count("/_bulk") == 10


@pytest.mark.parametrize("code", [429, 503])
@pytest.mark.parametrize("family", ["elasticsearch", "opensearch"])
def test_a_busy_engine_is_not_asked_at_once_to_write_again(played: Played, family: str, code: int) -> None:
    played.code = code
    again = played.url.replace("127.0.0.1", "localhost")
    with (
        closing(connect(EngineSettings(url=f"{family}+{played.url},{again}", patience=0))) as client,
        pytest.raises(EngineUnavailable, match=str(code)),
    ):
        list(client.bulk([{"_op_type": "index", "_index": "items", "_id": "1", "_source": {}}]))
    assert [path for _, path, *_ in played.requests].count("/_bulk") == 1


@pytest.mark.parametrize("family", ["elasticsearch+", "opensearch+"])
@pytest.mark.parametrize("form", ["{0},{0}", "{0} {0}/", " {0}\n", ",{0},"])
def test_an_address_that_comes_twice_counts_once(played: Played, family: str, form: str) -> None:
    settings = EngineSettings(url=family + form.format(played.url))
    assert addresses_of(settings)[0].rstrip("/") == played.url
    assert len(addresses_of(settings)) == 1
    with closing(connect(settings)) as client:
        assert client.exists("/items")


@pytest.mark.parametrize("wrong", ["127.0.0.1:9211", "http://127.0.0.1", "embedded:./store", "ftp://127.0.0.1:21"])
def test_the_wrong_one_of_several_addresses_is_named(wrong: str) -> None:
    with pytest.raises(SettingsError, match=f"engine.url: '{wrong}' is none of"):
        connect(EngineSettings(url=f"opensearch+http://127.0.0.1:9210,{wrong},http://127.0.0.1:9212"))


@pytest.mark.parametrize(
    "root", ["<html>hello</html>", {"hello": 1}, {"version": {"number": "1", "distribution": "x"}}]
)
def test_what_is_no_search_engine_is_said_to_be_none(played: Played, root: Any) -> None:
    played.root = root
    with closing(connect(EngineSettings(url=played.url))) as client, pytest.raises(EngineError):
        client.exists("/items")


@pytest.mark.parametrize(
    ("credentials", "sent"),
    [
        ({"api_key": "abc"}, "ApiKey abc"),
        ({"username": "shop", "password": "pässword"}, "Basic c2hvcDpww6Rzc3dvcmQ="),
    ],
)
def test_credentials_are_sent_from_the_first_request_on(played: Played, credentials: dict[str, Any], sent: str) -> None:
    with closing(connect(EngineSettings(url=played.url, **credentials))) as client:
        client.exists("/items")
    assert [headers["authorization"] for *_, headers, _ in played.requests] == [sent, sent]


@pytest.mark.parametrize(
    "change",
    [
        lambda url: EngineSettings(url=f"opensearch+{url}", api_key="abc"),
        lambda url: EngineSettings(url=url, username="shop"),
        lambda url: EngineSettings(url=f"solr+{url}"),
        lambda url: EngineSettings(url=url.replace("//", "//user:secret@")),
        lambda url: EngineSettings(url="http://localhost"),
        lambda url: EngineSettings(url="localhost:9200"),
        lambda url: EngineSettings(url="opensearch+"),
        lambda url: EngineSettings(url=f"opensearch+{url},opensearch+{url}"),
        lambda url: EngineSettings(url=f"{url},{url.replace('//', '//user:secret@')}"),
        lambda url: EngineSettings(url=url, ca_certs=Path(__file__)),
        lambda url: EngineSettings(url=url.replace("http", "https"), ca_certs=Path(__file__)),
        lambda url: EngineSettings(url=url.replace("http", "https"), ca_certs=Path("nowhere.pem")),
    ],
)
def test_a_connection_that_cannot_work_is_refused_without_a_request(
    played: Played, change: Callable[[str], EngineSettings]
) -> None:
    with pytest.raises(SettingsError) as refused:
        connect(change(played.url))
    assert "secret" not in str(refused.value)
    assert played.requests == []


@pytest.mark.parametrize("family", ["", "elasticsearch+", "opensearch+"])
def test_only_whom_the_authority_vouches_for_is_told_the_credentials(tmp_path: Path, family: str) -> None:
    authority, stranger = trustme.CA(), trustme.CA()
    for name, one in (("ca.pem", authority), ("stranger.pem", stranger)):
        one.cert_pem.write_to_path(tmp_path / name)
    trust = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(trust)
    with playing(trust) as play:
        play.root = OPENSEARCH if family == "opensearch+" else ELASTICSEARCH
        good = {"url": family + play.url, "ca_certs": tmp_path / "ca.pem", "username": "shop", "password": "secret"}
        with closing(connect(EngineSettings(**good))) as client:
            assert client.request("GET", "/items/_mapping") == {}
        heard = len(play.requests)
        for change in (
            {"ca_certs": tmp_path / "stranger.pem"},
            {"ca_certs": None},
            {"url": good["url"].replace("127.0.0.1", "localhost")},
        ):
            settings = EngineSettings(**{**good, **change})
            with closing(connect(settings)) as client, pytest.raises(EngineUntrusted, match="VERIFY_FAILED") as refused:
                client.request_patiently("GET", "/items/_mapping")
            assert "engine.ca_certs" in str(refused.value.told)
            assert "secret" not in str(refused.value)
        assert len(play.requests) == heard


@pytest.mark.parametrize("family", ["elasticsearch", "opensearch"])
def test_an_engine_without_tls_is_not_waited_for(played: Played, family: str) -> None:
    secure = EngineSettings(url=f"{family}+{played.url.replace('http', 'https')}")
    with closing(connect(secure)) as client, pytest.raises(EngineUntrusted, match="WRONG_VERSION_NUMBER"):
        client.request_patiently("GET", "/items/_mapping")


@pytest.mark.parametrize("family", ["elasticsearch", "opensearch"])
@pytest.mark.parametrize("code", [301, 302, 307, 308])
def test_an_engine_s_redirect_is_not_followed(played: Played, family: str, code: int) -> None:
    """The credentials would go along."""
    with playing() as stranger:
        played.code, played.location = code, f"{stranger.url}/items/_mapping"
        settings = EngineSettings(url=f"{family}+{played.url}", username="shop", password=SecretStr("secret"))
        with closing(connect(settings)) as client, pytest.raises(EngineError):
            client.request("GET", "/items/_mapping")
        assert stranger.requests == []


@pytest.mark.parametrize(
    ("code", "kind", "refused"),
    [
        (401, "security_exception", AccessRefused),
        (403, "security_exception", AccessRefused),
        (403, "cluster_block_exception", EngineRefused),
    ],
)
def test_who_may_not_ask_is_told_apart_from_what_cannot_be_done(
    cluster: Cluster, played: Played, code: int, kind: str, refused: type[EngineRefused]
) -> None:
    played.code, played.answer = code, {"error": failure(kind, "user [root] may not")}
    with pytest.raises(EngineRefused) as found:
        cluster.request("GET", "/items/_mapping")
    assert type(found.value) is refused
    assert "user [root] may not" in str(found.value)
    assert ("root" in str(found.value.told)) == (refused is EngineRefused)


def test_a_write_that_is_not_allowed_ends_the_run(cluster: Cluster, played: Played) -> None:
    told = {"status": 403, "error": failure("security_exception", "may not write")}
    played.answer = {"errors": True, "items": [{"index": told}]}
    with pytest.raises(AccessRefused, match="may not write"):
        [*cluster.bulk([{"_op_type": "index", "_index": "items", "_id": "a", "_source": {}}])]


@pytest.mark.parametrize("family", ["elasticsearch", "opensearch"])
def test_where_the_engine_was_looked_for_is_not_told_to_callers(family: str) -> None:
    nobody = EngineSettings(url=f"{family}+http://127.0.0.1:9")
    with closing(connect(nobody)) as client, pytest.raises(EngineUnreachable) as refused:
        client.exists("/items")
    assert "127.0.0.1" in str(refused.value)
    assert refused.value.told == "the engine cannot be reached"

"""Pictures by their addresses: what is fetched, what is refused, and that nothing private is ever asked."""

from __future__ import annotations

import base64
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import trustme

from encoders.contract import load_encoders
from es_mappings.errors import InvalidRequest, TooManyRequests
from es_mappings.schema import build_schema
from es_mappings.settings import LexicalSettings, ServiceSettings, Settings
from es_mappings.types import ImageTerm
from query_api.app import create_app
from query_api.limits import MAX_BODY
from query_api.links import Fetcher, Reach, is_public
from query_api.request import parse
from query_api.searchers import open_searcher
from query_api.service import SearchService

SCHEMA = build_schema(LexicalSettings(), [])
LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"),)
PICTURE = b"the bytes of a picture"
HOSTS = ("pictures.example", "cdn.example")


@dataclass
class Site:
    """A web site of pictures, on this machine, under the names of HOSTS. heard: paths, each with its host."""

    port: int
    trust: ssl.SSLContext
    heard: list[tuple[str, str]] = field(default_factory=list)
    resolved: list[str] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def fetch(self, *paths: str, seconds: float = 60, **reach: Any) -> list[bytes]:
        """The pictures of a query by these paths of the first host, or by whole addresses."""
        urls = [path if "://" in path else f"https://{HOSTS[0]}:{self.port}{path}" for path in paths]
        request = parse({"query": [{"image": url} for url in urls]}, SCHEMA)
        given = {"hosts": HOSTS, "networks": LOOPBACK, "ports": frozenset({self.port, 443}), "trust": self.trust}
        found = Fetcher(Reach(**given | reach), seconds).fetched(request)
        return [term.data for term in found.terms if isinstance(term, ImageTerm)]


@pytest.fixture(scope="module")
def running() -> Iterator[Site]:
    authority = trustme.CA()
    trust = ssl.create_default_context()
    authority.configure_trust(trust)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            there.heard.append((self.path, self.headers["host"]))
            ANSWERS[self.path.partition("?")[0]](self, there)

        def log_message(self, format: str, *arguments: Any) -> None: ...

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            """A client that waits no longer, or does not trust us, is none of the server's errors."""

    server = Server(("127.0.0.1", 0), Handler)
    secure = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(*HOSTS, "127.0.0.1").configure_cert(secure)
    server.socket = secure.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    there = Site(server.server_port, trust)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield there
    there.over.set()
    server.shutdown()
    server.server_close()


@pytest.fixture
def site(running: Site, monkeypatch: pytest.MonkeyPatch) -> Site:
    """With nothing heard yet."""
    site = replace(running, heard=running.heard, resolved=[])
    site.heard.clear()
    found = socket.getaddrinfo

    def resolve(host: Any, port: Any, *rest: Any, **more: Any) -> Any:
        if host in HOSTS:
            site.resolved.append(host)
        return found("127.0.0.1" if host in HOSTS else host, port, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return site


def answer(data: bytes = PICTURE, status: int = 200, **headers: str) -> Callable[[BaseHTTPRequestHandler, Site], None]:
    def send(handler: BaseHTTPRequestHandler, site: Site) -> None:
        handler.send_response(status)
        given = {"Content-Type": "image/png", "Content-Length": str(len(data))}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        for name, value in given.items():
            if value:
                handler.send_header(name, value.format(port=site.port))
        handler.end_headers()
        handler.wfile.write(data)

    return send


def without_end(handler: BaseHTTPRequestHandler, site: Site) -> None:
    handler.send_response(200)
    handler.send_header("Content-Type", "image/png")
    handler.end_headers()
    while not site.over.is_set():
        handler.wfile.write(bytes(1 << 20))


def drop_by_drop(head: bool) -> Callable[[BaseHTTPRequestHandler, Site], None]:
    """What never lets a client wait long for the next byte, and never ends."""

    def send(handler: BaseHTTPRequestHandler, site: Site) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n" + (b"X: " if head else b"\r\n"))
        while not site.over.wait(0.02):
            handler.wfile.write(b"a")

    return send


def redirect(to: str, status: int = 302) -> Callable[[BaseHTTPRequestHandler, Site], None]:
    return answer(b"", status, Location=to)


ANSWERS: dict[str, Callable[[BaseHTTPRequestHandler, Site], None]] = {
    "/picture": answer(),
    "/without-length": answer(Content_Length=""),
    "/page": answer(Content_Type="text/html"),
    "/untold": answer(Content_Type=""),
    "/zipped": answer(Content_Encoding="gzip"),
    "/missing": answer(b"", 404),
    "/long": answer(Content_Length="1000"),
    "/half": answer(bytes(MAX_BODY // 2 + 1)),
    "/without-end": without_end,
    "/slow-head": drop_by_drop(head=True),
    "/slow-body": drop_by_drop(head=False),
    "/moved": redirect("/picture", 301),
    "/elsewhere": redirect("https://cdn.example:{port}/picture", 307),
    "/twice": redirect("/moved"),
    "/round": redirect("/round"),
    "/to-private": redirect("https://10.0.0.1/picture"),
    "/to-metadata": redirect("https://169.254.169.254/latest/meta-data/"),
    "/to-file": redirect("file:///etc/passwd"),
    "/to-http": redirect("http://pictures.example:{port}/picture"),
    "/to-stranger": redirect("https://stranger.example/picture"),
    "/to-port": redirect("https://pictures.example:22/picture"),
    "/to-user": redirect("https://a:b@pictures.example:{port}/picture"),
    "/to-nothing": redirect("http://["),
}


@pytest.mark.parametrize("path", ["/picture", "/picture?a=b&c", "/without-length", "/moved", "/elsewhere", "/twice"])
def test_a_picture_is_fetched_from_where_its_host_says_that_it_is(site: Site, path: str) -> None:
    assert site.fetch(path) == [PICTURE]
    assert site.heard[0] == (path, f"pictures.example:{site.port}")
    assert site.heard[-1][0].startswith("/picture") or path == "/without-length"


def test_a_name_is_resolved_once_for_each_connection_that_is_made(site: Site) -> None:
    """What is looked at is what is connected to: a second look might be answered otherwise."""
    assert site.fetch("/elsewhere") == [PICTURE]
    assert site.resolved == ["pictures.example", "cdn.example"]


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("/page", "no picture"),
        ("/untold", "no picture"),
        ("/zipped", "compressed"),
        ("/missing", "answers 404"),
        ("/long", "cannot be fetched"),
        ("/without-end", "larger than"),
        ("/round", "redirects more than 3"),
        ("/to-private", "does not fetch from"),
        ("/to-file", "must be https"),
        ("/to-http", "must be https"),
        ("/to-stranger", "does not fetch from"),
        ("/to-port", "port 22"),
        ("/to-user", "user or a password"),
        ("/to-nothing", "to what is not an address"),
    ],
)
def test_what_is_no_picture_or_leads_elsewhere_is_refused(site: Site, path: str, why: str) -> None:
    with pytest.raises(InvalidRequest, match=why) as refused:
        site.fetch("/picture", path)
    assert [problem.field for problem in refused.value.problems] == ["query[1].image"]
    assert "pictures.example" not in str(refused.value)


@pytest.mark.parametrize("path", ["/slow-head", "/slow-body"])
def test_a_host_that_never_ends_is_left_when_the_time_is_over(site: Site, path: str) -> None:
    with pytest.raises(InvalidRequest, match=r"did not come within 0\.5 seconds"):
        site.fetch(path, seconds=0.5)


def test_all_pictures_of_a_request_share_its_bytes(site: Site) -> None:
    assert len(site.fetch("/half")[0]) > MAX_BODY / 2
    with pytest.raises(InvalidRequest, match="larger than") as refused:
        site.fetch("/half", "/half")
    assert refused.value.problems[0].field == "query[1].image"
    heard = len(site.heard)
    with pytest.raises(InvalidRequest, match="no more than 4"):
        site.fetch(*["/picture"] * 5)
    assert len(site.heard) == heard


PRIVATE = [
    "127.0.0.1",
    "127.1",
    "2130706433",
    "0x7f000001",
    "0177.0.0.1",
    "0.0.0.0",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.0.1",
    "100.64.0.1",
    "169.254.169.254",
    "192.0.0.192",
    "168.63.129.16",
    "224.0.0.1",
    "255.255.255.255",
    "localhost",
    "[::1]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[::ffff:8.8.8.8]",
    "[64:ff9b::7f00:1]",
    "[2002:7f00:1::]",
    "[2001::1]",
    "[fe80::1]",
    "[fd00:ec2::254]",
    "[ff02::1]",
]


@pytest.mark.parametrize("host", PRIVATE)
def test_nothing_private_is_ever_asked(site: Site, host: str) -> None:
    with pytest.raises(InvalidRequest, match=r"not public|is not an address|cannot be fetched"):
        site.fetch(f"https://{host}:{site.port}/picture", hosts=("*",), networks=())
    assert site.heard == []


def test_a_name_that_leads_to_a_private_address_too_is_refused(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    for places in (["127.0.0.1"], ["93.184.215.14", "127.0.0.1"], ["10.0.0.1", "93.184.215.14"]):
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (place, site.port)) for place in places]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, found=found, **__: found)
        with pytest.raises(InvalidRequest, match="not public"):
            site.fetch("/picture", networks=())
    assert site.heard == []


def test_a_redirect_to_a_private_address_is_refused_though_every_host_is_allowed(site: Site) -> None:
    for path in ("/to-private", "/to-metadata"):
        with pytest.raises(InvalidRequest, match="not public"):
            site.fetch(path, hosts=("*",))


@pytest.mark.parametrize("place", ["8.8.8.8", "93.184.215.14", "2606:4700:4700::1111"])
def test_public_addresses_are_public(place: str) -> None:
    assert is_public(ipaddress.ip_address(place))


@pytest.mark.parametrize(
    "url",
    [
        "http://pictures.example/picture",
        "ftp://pictures.example/picture",
        "file:///etc/passwd",
        "https://user@pictures.example/picture",
        "https://user:secret@pictures.example/picture",
        "https://pictures.example:22/picture",
        "https://pictures.example:x/picture",
        "https://stranger.example/picture",
        "https://pictures.example.stranger.example/picture",
        "https://stranger.example\\@pictures.example/picture",
        "https://pictures.example /picture",
        "https://pictures.example/pic\r\nX: y",
        "https://pictures.example/ü",
        "https:///picture",
        "https://[::1/picture",
        f"https://pictures.example/{'a' * 2048}",
    ],
)
def test_an_address_that_may_not_be_asked_is_not(site: Site, url: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        site.fetch(url)
    assert [problem.field for problem in refused.value.problems] == ["query[0].image"]
    assert "secret" not in str(refused.value)
    assert site.heard == site.resolved == []


def test_a_host_without_a_certificate_of_its_own_is_not_believed(site: Site) -> None:
    for change in ({"trust": None}, {"hosts": ("localhost",)}):
        with pytest.raises(InvalidRequest, match="cannot be fetched"):
            site.fetch(f"https://{change.get('hosts', HOSTS)[0]}:{site.port}/picture", **change)
    assert site.heard == []


def test_hosts_that_hang_hold_up_no_other_request(site: Site) -> None:
    reach = Reach(HOSTS, LOOPBACK, frozenset({site.port}), site.trust)
    fetcher = Fetcher(reach, seconds=1, places=1)
    slow, quick = (
        parse({"query": [{"image": f"https://pictures.example:{site.port}/{path}"}]}, SCHEMA)
        for path in ("slow-body", "picture")
    )
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(fetcher.fetched, slow)
        while not site.heard:
            time.sleep(0.01)
        with pytest.raises(TooManyRequests):
            fetcher.fetched(quick)
        assert isinstance(waiting.exception(), InvalidRequest)
    assert fetcher.fetched(quick).terms[0] == ImageTerm(PICTURE)


def test_what_is_wrong_elsewhere_in_the_request_is_said_before_anything_is_fetched(site: Site) -> None:
    with pytest.raises(InvalidRequest, match=r"sort\[0\]"):
        parse({"query": [{"image": f"https://pictures.example:{site.port}/picture"}], "sort": ["colour"]}, SCHEMA)
    assert site.heard == []


@pytest.mark.parametrize(
    "host", ["", "https://cdn.example", "cdn.example:443", "cdn.example/", "*.example", "CDN.example"]
)
def test_what_is_no_host_is_refused(host: str) -> None:
    with pytest.raises(ValueError, match="is no host"):
        ServiceSettings(picture_hosts=(host,))


def test_a_service_fetches_only_if_it_is_told_to(site: Site, shop: Settings) -> None:
    """The same picture finds the same by its address as by its bytes."""
    (file,) = shop.page.media.rglob("scopia-bed1.png")
    data = file.read_bytes()
    ANSWERS["/bed"] = answer(data)
    service = SearchService.from_settings(shop)
    searcher = open_searcher(shop.engine, service.schema)
    reach = Reach(HOSTS, LOOPBACK, frozenset({site.port}), site.trust)
    fetching = SearchService(service.schema, load_encoders(shop.modalities), searcher, fetcher=Fetcher(reach))
    link = {"image": f"https://pictures.example:{site.port}/bed?token=secret", "modalities": ["image"]}
    refused = create_app(shop, service).test_client().post("/v1/search", json={"query": [link]})
    assert refused.status_code == 400
    assert refused.get_json()["errors"][0]["field"] == "query[0].image"
    assert site.heard == []
    client = create_app(shop, fetching).test_client()
    by_link, by_bytes = (
        client.post("/v1/search", json={"query": [{**link, "image": image}], "size": 5}).get_json()["hits"]
        for image in (link["image"], base64.b64encode(data).decode())
    )
    assert by_link == by_bytes
    assert by_link[0]["id"] == "scopia-bed1"
    why = client.post("/v1/why", json={"query": [link], "id": "scopia-bed1"})
    assert why.status_code == 200 and len(site.heard) == 2
    missing = client.post("/v1/search", json={"query": [{"image": link["image"].replace("/bed", "/missing")}]})
    assert missing.get_json()["errors"] == [{"field": "query[0].image", "message": "its host answers 404"}]

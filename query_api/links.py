"""Pictures by their addresses: from the hosts that the settings name alone, and from no network that is not public.

A name is resolved once, and the connection goes to the very address that was looked at, so that a name which changes
its mind meanwhile (DNS rebinding) leads nowhere else. A redirect is looked at like the first address.
"""

from __future__ import annotations

import http.client
import ipaddress
import re
import socket
import ssl
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from urllib.parse import SplitResult, urljoin, urlsplit

from urllib3.connection import HTTPSConnection
from urllib3.exceptions import HTTPError, NewConnectionError
from urllib3.response import HTTPResponse

from es_mappings.errors import BadInput, InvalidRequest, TooManyRequests
from es_mappings.types import ImageTerm
from query_api.limits import MAX_BODY, MAX_LINKS
from query_api.request import SearchRequest

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

MAX_LENGTH = 2048
MAX_REDIRECTS = 3
SECONDS = 10.0
"""For all the pictures of a request. Only a name server that hangs, and one handshake, may take longer."""
PLACES = 4
"""Requests that may fetch at once, of the service's 16 threads: a host that hangs holds up no other request."""
CHUNK = 65_536
WRITTEN = re.compile(r"[!-\[\]-~]+")
"""ASCII that is seen, without the backslash, which some readers of addresses take for a slash."""
REDIRECTS = frozenset({301, 302, 303, 307, 308})
HEADERS = {"Accept": "image/*", "Accept-Encoding": "identity", "User-Agent": "maxcos"}

UNICAST = ipaddress.ip_network("2000::/3")
"""All that IANA gives out of IPv6 for the public: neither mapped IPv4 nor NAT64 are in it."""
SPECIAL = tuple(
    map(ipaddress.ip_network, ("192.0.0.0/24", "192.88.99.0/24", "168.63.129.16/32", "2001::/23", "2002::/16"))
)
"""What `ipaddress` calls global, but leads elsewhere: IETF assignments (Oracle's metadata service is at 192.0.0.192),
relays and tunnels to IPv4 (RFC 7526, RFC 3056, RFC 4380), and Azure's own host, which only its machines reach.
"""


@dataclass(frozen=True, slots=True)
class Reach:
    """hosts: names, or "*" for any. What follows is for tests: networks that count as public, ports, and the
    authorities that vouch for a host (None: those of this machine).
    """

    hosts: tuple[str, ...]
    networks: tuple[Network, ...] = ()
    ports: frozenset[int] = frozenset({443})
    trust: ssl.SSLContext | None = None


class Fetcher:
    """Fetches pictures; threads may share it."""

    def __init__(self, reach: Reach, seconds: float = SECONDS, places: int = PLACES) -> None:
        self._reach = reach
        self._seconds = seconds
        self._trust = reach.trust or ssl.create_default_context()
        self._places = threading.BoundedSemaphore(places)

    def fetched(self, request: SearchRequest) -> SearchRequest:
        """The request with the pictures that it names by their addresses.

        Raises InvalidRequest at the term, and TooManyRequests while others fetch.
        """
        if len(request.links) > MAX_LINKS:
            place = sorted(request.links)[MAX_LINKS]
            raise InvalidRequest.at(f"query[{place}].image", f"no more than {MAX_LINKS} pictures are fetched")
        if not self._places.acquire(blocking=False):
            raise TooManyRequests("too many pictures are being fetched", seconds=1)
        try:
            deadline, room = time.monotonic() + self._seconds, MAX_BODY
            terms = list(request.terms)
            for place, url in sorted(request.links.items()):
                try:
                    data = self._followed(url, deadline, room)
                except BadInput as error:
                    raise InvalidRequest.at(f"query[{place}].image", str(error)) from error
                room -= len(data)
                term = terms[place]
                terms[place] = ImageTerm(data, weight=term.weight, modalities=term.modalities)
            return replace(request, terms=tuple(terms))
        finally:
            self._places.release()

    def _followed(self, url: str, deadline: float, room: int) -> bytes:
        for _ in range(1 + MAX_REDIRECTS):
            found = self._got(self._allowed(url), deadline, room)
            if isinstance(found, bytes):
                return found
            try:
                url = urljoin(url, found)
            except ValueError as error:
                raise BadInput("its host redirects to what is not an address") from error
        raise BadInput(f"its host redirects more than {MAX_REDIRECTS} times")

    def _allowed(self, url: str) -> SplitResult:
        """The parts of an address that may be asked. Raises BadInput."""
        if len(url) > MAX_LENGTH or not WRITTEN.fullmatch(url):
            raise BadInput(f"must be an address of at most {MAX_LENGTH} ASCII characters, others escaped")
        try:
            parts = urlsplit(url)
            host, port = (parts.hostname or "").rstrip("."), parts.port or 443
        except ValueError as error:
            raise BadInput("is not an address") from error
        if parts.scheme != "https" or not host:
            raise BadInput("must be https://HOST/…")
        if "@" in parts.netloc:
            raise BadInput("must not hold a user or a password")
        if port not in self._reach.ports:
            raise BadInput(f"must not name the port {port}")
        if "*" not in self._reach.hosts and host not in self._reach.hosts:
            raise BadInput("is on a host that this service does not fetch from")
        return parts

    def _got(self, parts: SplitResult, deadline: float, room: int) -> bytes | str:
        """The picture, or where its host says that it is. Raises BadInput."""
        host, port = (parts.hostname or "").rstrip("."), parts.port or 443
        try:
            for address in self._resolved(host, port):
                with suppress(NewConnectionError), self._connected(address, host, port, deadline) as connection:
                    return _answer(connection, parts, deadline, room)
        except (OSError, HTTPError, http.client.HTTPException, ValueError) as error:
            # Why is not told: it would show who asks what listens where.
            late = time.monotonic() >= deadline
            raise BadInput(f"did not come within {self._seconds:g} seconds" if late else "cannot be fetched") from error
        raise BadInput("cannot be fetched")

    def _resolved(self, host: str, port: int) -> list[Address]:
        """Where the name leads, if all of it is public. Raises OSError, and BadInput."""
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = list(dict.fromkeys(ipaddress.ip_address(place[0]) for *_, place in found))
        if not all(map(self._is_public, addresses)):
            raise BadInput("leads to an address that is not public")
        return addresses

    def _is_public(self, address: Address) -> bool:
        if any(address in network for network in self._reach.networks):
            return True
        return is_public(address)

    @contextmanager
    def _connected(self, address: Address, host: str, port: int, deadline: float) -> Iterator[HTTPSConnection]:
        """A connection to that address, proven to be the host's; it ends at the deadline, whatever its host does."""
        left = max(0.001, deadline - time.monotonic())
        connection = HTTPSConnection(str(address), port, server_hostname=host, ssl_context=self._trust, timeout=left)
        connection.connect()
        # The socket itself: a connection that its host will close forgets it as soon as the answer's head is there.
        timer = threading.Timer(deadline - time.monotonic(), _cut, [connection.sock])
        timer.start()
        try:
            yield connection
        finally:
            timer.cancel()
            connection.close()


def is_public(address: Address) -> bool:
    """Whether an address belongs to nobody's private network, machine or cloud."""
    if isinstance(address, ipaddress.IPv6Address) and address not in UNICAST:
        return False
    if any(address in network for network in SPECIAL if network.version == address.version):
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def _answer(connection: HTTPSConnection, parts: SplitResult, deadline: float, room: int) -> bytes | str:
    target = f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
    headers = {**HEADERS, "Host": parts.netloc}
    connection.request("GET", target, headers=headers, preload_content=False, decode_content=False)
    with closing(connection.getresponse()) as answer:  # or the socket stays open with it
        if answer.status in REDIRECTS and "location" in answer.headers:
            return answer.headers["location"]
        if answer.status != 200:
            raise BadInput(f"its host answers {answer.status}")
        if not answer.headers.get("content-type", "").lower().startswith("image/"):
            raise BadInput("is no picture, as its host says")
        if answer.headers.get("content-encoding", "identity").lower() != "identity":
            raise BadInput("comes compressed though that was not asked for")
        data = b"".join(_chunks(answer, room))
    if time.monotonic() >= deadline:  # what was cut may look like an end
        raise TimeoutError
    return data


def _chunks(answer: HTTPResponse, room: int) -> Iterable[bytes]:
    """The body, as long as there is room for it. Raises BadInput."""
    while chunk := answer.read1(CHUNK):
        room -= len(chunk)
        if room < 0:
            raise BadInput(f"is larger than the {MAX_BODY} bytes that a request may have")
        yield chunk


def _cut(connected: socket.socket) -> None:
    """End what waits for the other side: the connection below TLS, which has no say in it."""
    with suppress(OSError):
        socket.socket.shutdown(connected, socket.SHUT_RDWR)

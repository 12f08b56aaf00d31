"""Cursors: a place in a walk as a token that fits into a URL, bound to the request that it came from.

A token is a checksum and JSON in URL-safe base64. The checksum finds what was cut or mistyped; it is no secret, so a
token may still be forged, and whoever reads a walk has to expect that.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from es_mappings.errors import InvalidRequest
from es_mappings.types import Walk

BEGIN = "*"
MAX_LENGTH = 65_536
_CHECKSUM = 6


def digest(body: Mapping[str, Any], image: bytes | None = None) -> str:
    """What the rest of a request says, in 16 characters: its body without `after`, and its picture.

    The order of the members of an object does not matter.
    """
    rest = {name: value for name, value in body.items() if name != "after"}
    found = hashlib.sha256(json.dumps(rest, sort_keys=True, separators=(",", ":")).encode())
    if image is not None:
        found.update(b"\0" + image)
    return found.hexdigest()[:16]


def encode(walk: Walk, request: str) -> str:
    """The token of a place in the walk of the request with this digest.

    Raises TypeError for sort values that are no plain JSON values.
    """
    if not all(map(_is_plain, walk.after or ())):
        raise TypeError(f"not plain JSON values: {walk.after!r}")
    after = None if walk.after is None else list(walk.after)
    content = json.dumps([request, walk.snapshot, after], separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(_checksum(content) + content).rstrip(b"=").decode()


def decode(token: str, request: str) -> Walk:
    """The place that a token names; "*" begins. Raises InvalidRequest at `after`."""
    if token == BEGIN:
        return Walk()
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        checksum, content = raw[:_CHECKSUM], raw[_CHECKSUM:]
        owner, snapshot, after = json.loads(content)
        sound = checksum == _checksum(content)
    except (ValueError, TypeError, RecursionError) as error:
        raise _malformed() from error
    if not sound or not isinstance(snapshot, str | None) or not isinstance(after, list | None):
        raise _malformed()
    if not all(map(_is_plain, after or ())):
        raise _malformed()
    if owner != request:
        raise InvalidRequest.at(
            "after", f'belongs to another query: repeat the request that gave it, or begin again with "{BEGIN}"'
        )
    return Walk(snapshot, None if after is None else tuple(after))


def _is_plain(value: Any) -> bool:
    return isinstance(value, str | int | float | None)


def _checksum(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()[:_CHECKSUM]


def _malformed() -> InvalidRequest:
    return InvalidRequest.at("after", f'is no cursor: take `next` of an answer, or begin with "{BEGIN}"')

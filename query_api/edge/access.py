"""Who may do what, and how often."""

from __future__ import annotations

import ipaddress
import math
import time

from flask import Flask, g, request

from es_mappings.errors import Forbidden, KeyRefused, TooManyRequests
from es_mappings.settings import ServiceSettings
from query_api.keys import Key, KeyRing
from query_api.openapi.describe import Operation, Scope, operation_of

LOOPBACK_NAME = "localhost"
HOW = "send a key as `Authorization: Bearer KEY`"


def guard(app: Flask, settings: ServiceSettings, keys: KeyRing | None) -> None:
    """Ask for keys; None: only a program on the same machine is answered, and by no other name than its loopback's."""
    if keys is None:
        _only_at_loopback(app)
    else:
        _ask_for_keys(app, settings, keys)


def is_loopback(host: str) -> bool:
    """Whether a name or address reaches no further than this machine."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == LOOPBACK_NAME


def _only_at_loopback(app: Flask) -> None:
    @app.before_request
    def refuse_other_names() -> None:
        """A page from elsewhere may have its own name resolved to this machine; its browser then sends that name."""
        name = request.host.rsplit(":", 1)[0] if not request.host.endswith("]") else request.host
        if not is_loopback(name):
            raise Forbidden(
                f"without keys this service answers to localhost alone, not to {name!r}: "
                "make a key (maxcos keys create) and start it again"
            )


def _ask_for_keys(app: Flask, settings: ServiceSettings, keys: KeyRing) -> None:
    from limits import RateLimitItemPerMinute
    from limits.storage import MemoryStorage
    from limits.strategies import SlidingWindowCounterRateLimiter

    rate = RateLimitItemPerMinute(settings.requests_per_minute)
    limiter = SlidingWindowCounterRateLimiter(MemoryStorage())

    @app.before_request
    def admit() -> None:
        operation = _operation(app)
        scope = _scope_of(operation)
        if scope is None:
            return
        # A key is known before it is counted: else each invented one would have an allowance of its own.
        key = _shown(keys)
        if key is None and not (settings.public and scope == "search"):
            raise KeyRefused(f"this needs a key: {HOW}")
        if key is not None and scope not in key.scopes:
            raise Forbidden(f"the key {key.id} may not do this: it lacks the scope {scope!r}")
        g.key_id, g.key_name = (key.id, key.name) if key is not None else (None, None)
        caller = f"key {key.id}" if key is not None else f"address {request.remote_addr}"
        # Under a rate that is smaller than the cost it is let in once in a minute.
        cost = min(operation.cost, rate.amount) if operation is not None else 1
        if not limiter.hit(rate, caller, cost=cost):
            wait = limiter.get_window_stats(rate, caller).reset_time - time.time()
            raise TooManyRequests(
                f"more than {settings.requests_per_minute} requests in a minute", seconds=max(1, math.ceil(wait))
            )


def _operation(app: Flask) -> Operation | None:
    """The description of the request's route; None for what has none."""
    return operation_of(app.view_functions[request.endpoint]) if request.endpoint is not None else None


def _scope_of(operation: Operation | None) -> Scope | None:
    """What the route asks for. One that does not say so is closed, unless it only sends the page to a browser."""
    if request.endpoint is None or request.method == "OPTIONS":
        return None
    if operation is not None:
        return operation.scope
    return "admin" if request.path.startswith("/v1/") else None


def _shown(keys: KeyRing) -> Key | None:
    """The key that the caller shows. Raises KeyRefused for one that is none."""
    given = request.headers.get("Authorization")
    if given is None:
        return None
    scheme, _, secret = given.partition(" ")
    if scheme.lower() != "bearer":
        raise KeyRefused(f"only keys are taken: {HOW}")
    key = keys.find(secret.strip())
    if key is None:
        raise KeyRefused("this key is unknown, or was revoked")
    return key

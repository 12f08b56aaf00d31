"""What a hit shows of its source."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def pick(source: Mapping[str, Any], fields: Iterable[str]) -> dict[str, Any]:
    """The named fields, `a.b` inside an object `a`, or inside each object of a list `a`, as in the source."""
    names = tuple(fields)
    picked = {}
    for key, value in source.items():
        below = [name.removeprefix(f"{key}.") for name in names if name.startswith(f"{key}.")]
        if key in names:
            picked[key] = value
        elif below and (found := _pick_below(value, below)):
            picked[key] = found
    return picked


def _pick_below(value: Any, names: list[str]) -> Any:
    if isinstance(value, Mapping):
        return pick(value, names)
    if isinstance(value, list):
        return [found for one in value if (found := _pick_below(one, names))]
    return None

"""One module per engine line: what it calls a vector field and a cosine, and which versions speak it.

A new engine version is one new module here that defines `DIALECT`.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from es_mappings.errors import EngineError
from es_mappings.types import Space

Flavour = Literal["elasticsearch", "opensearch"]


@dataclass(frozen=True, slots=True)
class Dialect:
    """One engine's syntax and limits.

    oldest, newest: (major, minor), both included; newest None: no upper bound is known.
    vector_field:   the mapping of a space's field.
    cosine:         the Painless expression for the cosine of params.PARAM and the field FIELD.
    index_settings: settings that the engine needs for vector fields.
    max_dims:       dimensions that an indexed vector field may have.
    """

    name: str
    flavour: Flavour
    oldest: tuple[int, int]
    newest: tuple[int, int] | None
    vector_field: Callable[[Space], dict[str, Any]]
    cosine: Callable[[str, str], str]
    index_settings: dict[str, Any]
    max_dims: int

    def speaks(self, flavour: str, version: tuple[int, int]) -> bool:
        return flavour == self.flavour and self.oldest <= version and (self.newest is None or version <= self.newest)


def dialects() -> tuple[Dialect, ...]:
    """Every dialect in this package, in the order of their modules' names."""
    return tuple(
        importlib.import_module(f"{__name__}.{module.name}").DIALECT for module in pkgutil.iter_modules(__path__)
    )


def dialect_for(flavour: str, version: tuple[int, int]) -> Dialect:
    """The dialect of a version. Raises EngineError naming the versions that are spoken."""
    for dialect in dialects():
        if dialect.speaks(flavour, version):
            return dialect
    spoken = ", ".join(f"{d.name} ({d.oldest[0]}.{d.oldest[1]}+)" for d in dialects())
    raise EngineError(f"{flavour} {version[0]}.{version[1]} is not supported; supported are {spoken}")

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
from es_mappings.types import Ann, Space, Vector

Flavour = Literal["elasticsearch", "opensearch"]


JSON = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Snapshots:
    """Points in time. open: path below the index. id: its name in the answer. close: path, and the body's member that
    names the snapshot, alone or in a list.
    """

    open: str
    id: str
    close: str
    closes: Callable[[str], JSON]


@dataclass(frozen=True, slots=True)
class Dialect:
    """One engine's syntax and limits.

    product:        what its makers call it.
    oldest, newest: (major, minor), both included; newest None: no upper bound is known.
    vector_field:   the mapping of a space's field.
    cosine:         the Painless expression for the cosine of two others: a query's vector, and a vector field's name.
    absent:         what `cosine` throws for a document without the vector, as Painless names it; None: it has to be
                    asked for beforehand.
    nearest:        the query clause for the documents nearest to a vector, among those that a filter leaves, in every
                    shard: (field, vector, Ann, filter) -> clause.
    exact_work:     documents times dimensions up to which scoring all documents costs no more than walking the graphs,
                    as `maxcos bench query` measures it.
    snapshot:       how a frozen view of an index (a point in time) is opened and closed.
    index_settings: settings that the engine needs for vector fields.
    max_dims:       dimensions that an indexed vector field may have.
    licence:        where the cluster says what licence it runs under; None: it needs none.
    plugin:         what every node must have installed; None: nothing.
    scores_names_in_msearch: whether several searches in one request report the scores of named queries.
    """

    name: str
    product: str
    flavour: Flavour
    oldest: tuple[int, int]
    newest: tuple[int, int] | None
    vector_field: Callable[[Space], JSON]
    cosine: Callable[[str, str], str]
    absent: str | None
    nearest: Callable[[str, Vector, Ann, JSON | None], JSON]
    exact_work: int
    snapshot: Snapshots
    index_settings: JSON
    max_dims: int
    licence: str | None
    plugin: str | None
    scores_names_in_msearch: bool

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

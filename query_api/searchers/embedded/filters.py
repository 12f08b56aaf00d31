"""Which items a filter leaves, how many they are, and their facets."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import orjson
from numpy.typing import NDArray

from es_mappings.types import (
    AllOf,
    AnyOf,
    Bucket,
    Exists,
    Filter,
    Has,
    Ids,
    Nested,
    Not,
    OneOf,
    Plan,
    Prefix,
    Range,
    Total,
)
from query_api.bodies.filters import demands
from query_api.searchers.embedded.columns import Mask
from query_api.searchers.embedded.snapshots import Snapshot


def passing(snapshot: Snapshot, clause: Filter) -> Mask:
    """(n,) which items pass."""
    return _passing(snapshot, clause, len(snapshot.memory))


def _passing(snapshot: Snapshot, clause: Filter, size: int) -> Mask:
    """size: how many may pass, n items or, within a nested path, its objects."""
    match clause:
        case OneOf(field) | Range(field) | Exists(field) | Prefix(field):
            found = np.zeros(size, dtype=bool)
            found[snapshot.column(field).holders(clause)] = True
        case Has(spaces):
            found = np.zeros(size, dtype=bool)
            for space in spaces:
                found |= snapshot.memory.present(space)
        case Ids(values):
            found = np.zeros(size, dtype=bool)
            found[_named(snapshot, values)] = True
        case Nested(path, inner):
            items = snapshot.objects(path)
            found = np.zeros(size, dtype=bool)
            found[items[_passing(snapshot, inner, len(items))]] = True
        case AllOf(clauses):
            found = np.ones(size, dtype=bool)
            for one in clauses:
                found &= _passing(snapshot, one, size)
        case AnyOf(clauses):
            found = np.zeros(size, dtype=bool)
            for one in clauses:
                found |= _passing(snapshot, one, size)
        case Not(inner):
            found = ~_passing(snapshot, inner, size)
    return found


def _named(snapshot: Snapshot, identifiers: Sequence[str]) -> NDArray[np.int64]:
    """The positions of the items with these ids."""
    # One parameter, since SQLite takes fewer of them than a user may have seen items.
    sql = "SELECT row FROM items WHERE id IN (SELECT value FROM json_each(?))"
    rows = snapshot.connection.execute(sql, [orjson.dumps(identifiers).decode()])
    return snapshot.memory.positions(row for (row,) in rows)


class Restriction:
    """What a plan's filter and its excluded items leave; each demand of the filter is evaluated once.

    bm25: (n,), NaN where no word matches; where nothing but words is asked for, totals and facets are of the matching.
    """

    def __init__(self, snapshot: Snapshot, plan: Plan, bm25: NDArray[np.float64] | None) -> None:
        self._snapshot = snapshot
        self._plan = plan
        self._demands = [(field, passing(snapshot, clause)) for field, clause in demands(plan.filter)]
        number = len(snapshot.memory)
        if plan.fusion.method == "lexical":
            self._kept = np.zeros(number, dtype=bool) if bm25 is None else ~np.isnan(bm25)
        else:
            self._kept = np.ones(number, dtype=bool)
        if plan.exclude:
            self._kept[_named(snapshot, plan.exclude)] = False
        self.left = self._without()

    def total(self) -> Total | None:
        bound = self._plan.count
        if bound == 0:
            return None
        number = int(np.count_nonzero(self.left))
        return Total(number) if bound is None or number <= bound else Total(bound, exact=False)

    def facets(self) -> tuple[tuple[Bucket, ...], ...]:
        return tuple(
            self._snapshot.column(facet.field).count(facet, self._without(facet.field)) for facet in self._plan.facets
        )

    def _without(self, field: str | None = None) -> Mask:
        """What is left when the filter's own demands of this field are ignored."""
        left = self._kept.copy()
        for about, mask in self._demands:
            if field is None or about != field:
                left &= mask
        return left

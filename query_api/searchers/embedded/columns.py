"""Filter fields as numpy columns: filters, facets and orders without a look at the database."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from es_mappings.schema import FilterField, date_text
from es_mappings.types import FACET_SIZE, Bucket, Exists, Facet, OneOf, Prefix, Range

Mask = NDArray[np.bool_]
Positions = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Values:
    """The values of one field.

    known: (k,) distinct, ascending: numbers, or texts by code point. codes: (m,) which of them. at: (m,) ascending,
    which item (of a nested field: which object of its path) holds it; no pair of the two occurs twice.
    """

    known: Sequence[Any]
    codes: NDArray[np.int32]
    at: Positions

    @classmethod
    def of(cls, found: Sequence[Any], at: Positions) -> Values:
        """The values as they were found, and who holds each: shape (m,), ascending."""
        known = sorted(set(found))
        numbers = {value: number for number, value in enumerate(known)}
        codes = np.fromiter((numbers[value] for value in found), dtype=np.int32, count=len(found))
        return cls(known, codes, at)

    @classmethod
    def joined(cls, parts: Sequence[Values], starts: Sequence[int]) -> Values:
        """The values of parts whose holders count from the given starts."""
        known = sorted(set().union(*(part.known for part in parts)))
        numbers = {value: number for number, value in enumerate(known)}
        codes = [np.asarray([numbers[v] for v in part.known], dtype=np.int32)[part.codes] for part in parts]
        at = [part.at + start for part, start in zip(parts, starts, strict=True)]
        return cls(known, _concatenated(codes, np.int32), _concatenated(at, np.int64))


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """A field and its values in the whole index."""

    field: FilterField
    values: Values

    def holders(self, clause: OneOf | Range | Exists | Prefix) -> Positions:
        """Who holds a value that the clause asks for; perhaps several times."""
        at, codes = self.values.at, self.values.codes
        if isinstance(clause, Exists):
            return at
        if isinstance(clause, OneOf):
            wanted = [code for value in clause.values if (code := self._code(value)) is not None]
            return at[codes == wanted[0]] if len(wanted) == 1 else at[np.isin(codes, wanted)]
        return at[self._within(*self._interval(clause))]

    def sort_key(self, count: int, *, descending: bool) -> NDArray[np.float64]:
        """(count,) numbers to sort items by: of several values the smallest, or the largest; none at all comes last."""
        keys = np.full(count, float(len(self.values.known)))
        if len(self.values.at):
            first = np.flatnonzero(np.diff(self.values.at, prepend=-1))
            codes = -self.values.codes if descending else self.values.codes
            keys[self.values.at[first]] = np.minimum.reduceat(codes, first)
        return keys

    def count(self, facet: Facet, left: Mask) -> tuple[Bucket, ...]:
        """The facet of the items in the mask."""
        kept = left[self.values.at]
        if facet.ranges:
            return tuple(self._count_range(start, end, kept) for start, end in facet.ranges)
        counts = np.bincount(self.values.codes[kept], minlength=len(self.values.known))
        best = np.argsort(-counts, kind="stable")[:FACET_SIZE]
        return tuple(Bucket(int(counts[i]), self._label(self.values.known[i])) for i in best.tolist() if counts[i])

    def _count_range(self, start: float | None, end: float | None, kept: Mask) -> Bucket:
        within = self._within(*self._interval(Range(self.field.name, gte=start, lt=end)))
        # Who holds two values of the range counts once; the holders ascend, so that the two are neighbours.
        holders = self.values.at[kept & within]
        return Bucket(int(np.count_nonzero(np.diff(holders, prepend=-1))), start=start, end=end)

    def _within(self, first: int, last: int) -> Mask:
        return (self.values.codes >= first) & (self.values.codes < last)

    def _interval(self, clause: Range | Prefix) -> tuple[int, int]:
        """The codes [first, last) of the values within the bounds."""
        known = self.values.known
        if isinstance(clause, Prefix):
            length = len(clause.prefix)
            return bisect_left(known, clause.prefix), bisect_right(known, clause.prefix, key=lambda v: v[:length])
        first = max(
            0 if clause.gte is None else bisect_left(known, clause.gte),
            0 if clause.gt is None else bisect_right(known, clause.gt),
        )
        last = min(
            len(known) if clause.lt is None else bisect_left(known, clause.lt),
            len(known) if clause.lte is None else bisect_right(known, clause.lte),
        )
        return first, last

    def _code(self, value: Any) -> int | None:
        code = bisect_left(self.values.known, value)
        return code if code < len(self.values.known) and self.values.known[code] == value else None

    def _label(self, value: Any) -> str | float:
        """The value as clusters write it."""
        match self.field.type:
            case "boolean":
                return "true" if value else "false"
            case "date":
                return date_text(value)
            case "number":
                return float(value)
            case "keyword":
                return str(value)


def _concatenated(arrays: Sequence[NDArray[Any]], kind: type[Any]) -> NDArray[Any]:
    return np.concatenate(arrays) if arrays else np.empty(0, dtype=kind)

"""Everything that is wrong with a source, found without encoding or writing any of it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from es_mappings.schema import Schema
from es_mappings.types import Item
from ingest.records import Entry, Rejected, validate

PLACES = 5
"""So many places are named of each kind of problem."""
DUPLICATE = "id: stands there before; the later record replaces the earlier one"


@dataclass(slots=True)
class Problem:
    """How often one kind of problem is there, and where first."""

    count: int = 0
    places: list[str] = field(default_factory=list)
    example: str = ""


@dataclass(slots=True)
class Report:
    """What a source holds. lost: records that would not be in the index afterwards, `problems` says why by kind."""

    read: int = 0
    lost: int = 0
    problems: dict[str, Problem] = field(default_factory=dict)

    def add(self, place: str, reason: str) -> None:
        self.lost += 1
        problem = self.problems.setdefault(_kind(reason), Problem(example=reason))
        problem.count += 1
        if len(problem.places) < PLACES:
            problem.places.append(place)


def check(records: Iterable[Entry], schema: Schema, on_progress: Callable[[int], object] = lambda _: None) -> Report:
    """Read to the end. Memory grows by about 100 bytes per record: of each id a digest is kept."""
    report = Report()
    seen: set[bytes] = set()
    for record in records:
        report.read += 1
        problem = validate(record, schema) if isinstance(record, Item) else record
        if isinstance(problem, Rejected):
            report.add(problem.place, problem.reason)
        elif isinstance(record, Item):
            identifier = hashlib.blake2b(record.id.encode(), digest_size=16).digest()
            if identifier in seen:
                report.add(record.place, DUPLICATE)
            seen.add(identifier)
        on_progress(1)
    return report


def _kind(reason: str) -> str:
    """The reason without the values and numbers in which one case differs from the next."""
    return re.sub(r"\d+", "N", re.sub(r", got .*|'.*'", "", reason)).strip()

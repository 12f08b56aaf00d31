"""What the numbers of an audit mean: findings with the items they are about, the worst first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from encoders.parts.scripts import NONE
from es_mappings.schema import Schema
from es_mappings.types import Matrix
from maxcos.audit import neighbours
from maxcos.audit.groups import concerned, near, same
from maxcos.audit.read import Gathered
from maxcos.audit.scripts import expected

NEAR = 0.95
"""From this cosine on two items are nearly the same.

Chosen on the demo's own pairs: above it stand the same design twice (two porch columns 0.99, two cars called Concept
Sedan 01 0.96) and one text with another tag (Desk 0.97, Sofa and Couch 0.98); below it other goods begin (plugs of
type A and type B 0.94, wooden desk and wooden table 0.93).
"""


@dataclass(frozen=True, slots=True)
class Case:
    """Items that belong together, or one alone, and a number of theirs; None where there is none."""

    ids: tuple[str, ...]
    value: float | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong or odd.

    kind: what, from WORST. about: the space, modality, pair of modalities or field. items: how many it concerns.
    of: how many were looked at. detail: what the cases' numbers are. cases: the worst first, all or the first ones.
    """

    kind: str
    about: str
    items: int
    of: int
    detail: str
    cases: Sequence[Case]


WORST = (
    "faulty vectors",
    "no vectors",
    "missing modality",
    "same vector",
    "same picture",
    "same text",
    "near-duplicates",
    "inconsistent",
    "modalities disagree",
    "isolated",
    "unexpected script",
)
"""The order of the report: what makes search wrong for an item, what shows a thing twice, what only looks odd."""


def findings(gathered: Gathered, schema: Schema, near_from: float = NEAR) -> list[Finding]:
    """All findings that concern any item, by WORST, of one kind the largest share first."""
    agreements = _agreements(gathered, schema)
    found = [
        *_faulty(gathered),
        *_missing(gathered, schema),
        *_equal(gathered, schema),
        *_near(gathered, schema, near_from),
        *_inconsistent(gathered, agreements),
        *_disagreeing(gathered, agreements),
        *_isolated(gathered, schema),
        *_foreign(gathered),
    ]
    return sorted((f for f in found if f.items), key=lambda f: (WORST.index(f.kind), -f.items / f.of, f.about))


def coverage(gathered: Gathered, schema: Schema) -> dict[str, int]:
    """By modality, how many items have a vector in at least one of its spaces."""
    return {modality: int(found.sum()) for modality, found in _present(gathered, schema).items()}


def _present(gathered: Gathered, schema: Schema) -> dict[str, NDArray[np.bool_]]:
    found = {modality: np.zeros(len(gathered.ids), dtype=bool) for modality in schema.modalities}
    for space in schema.spaces:
        found[space.modality] |= gathered.vectors[space.name] != 0
    return found


def _faulty(gathered: Gathered) -> Iterator[Finding]:
    for (space, fault), positions in gathered.faults.items():
        of = int((gathered.vectors[space] != 0).sum())
        yield Finding("faulty vectors", space, len(positions), of, fault, _alone(gathered, positions))


def _missing(gathered: Gathered, schema: Schema) -> Iterator[Finding]:
    number = len(gathered.ids)
    present = _present(gathered, schema)
    nothing = np.ones(number, dtype=bool)
    for modality, found in present.items():
        nothing &= ~found
        lacking = np.flatnonzero(~found).tolist()
        yield Finding("missing modality", modality, len(lacking), number, "", _alone(gathered, lacking))
    if present:
        bare = np.flatnonzero(nothing).tolist()
        yield Finding("no vectors", "any modality", len(bare), number, "only words find them", _alone(gathered, bare))


def _equal(gathered: Gathered, schema: Schema) -> Iterator[Finding]:
    for kind, about, digests in (("same picture", "bytes", gathered.pictures), ("same text", "all", gathered.texts)):
        yield _grouped(kind, about, digests, same(digests), gathered)
    for space in schema.spaces:
        digests, sources = gathered.vectors[space.name], gathered.sources[space.modality]
        # Who reads the same gets the same: that is told as the same picture or text.
        groups = [group for group in same(digests) if len(np.unique(sources[list(group)])) > 1]
        yield _grouped("same vector", space.name, digests, groups, gathered)


def _grouped(
    kind: str, about: str, digests: NDArray[np.uint64], groups: Sequence[tuple[int, ...]], gathered: Gathered
) -> Finding:
    cases = [Case(tuple(gathered.ids[at] for at in group)) for group in groups]
    detail = f"{len(groups)} groups" + (", made of different sources" if kind == "same vector" else "")
    return Finding(kind, about, concerned(groups), int((digests != 0).sum()), detail, cases)


def _near(gathered: Gathered, schema: Schema, near_from: float) -> Iterator[Finding]:
    # Of several spaces of a modality the first shows what an item looks like; others, such as a picture's vector among
    # words, say what kind of thing it is, and many things are of one kind.
    for space in (next(s for s in schema.spaces if s.modality == modality) for modality in schema.modalities):
        at, matrix = _matrix(gathered, space.name)
        clusters = near(matrix, near_from) if len(at) else []
        cases = [Case(tuple(gathered.ids[at[i]] for i in c.members), c.lowest) for c in clusters]
        detail = f"{len(clusters)} clusters; lowest cosine of the pairs that join each, at least {near_from:g}"
        members = concerned([c.members for c in clusters])
        yield Finding("near-duplicates", space.name, members, max(len(at), 1), detail, cases)


def _agreements(gathered: Gathered, schema: Schema) -> dict[tuple[str, str], dict[int, float]]:
    """By pair of modalities, of the items that have both, how far their neighbours agree."""
    first = {m: next(s.name for s in schema.spaces if s.modality == m) for m in schema.modalities}
    found = {}
    for pair in combinations(first, 2):
        both = sorted(set.intersection(*(set(gathered.kept[first[m]]) for m in pair)))
        if len(both) >= neighbours.LEAST:
            one, other = (np.stack([gathered.kept[first[m]][at] for at in both]) for m in pair)
            found[pair] = dict(zip(both, neighbours.agreement(one, other).tolist(), strict=True))
    return found


def _inconsistent(gathered: Gathered, agreements: Mapping[tuple[str, str], Mapping[int, float]]) -> Iterator[Finding]:
    for modality, odd in neighbours.odd_one_out(agreements).items():
        of = len({at for pair, values in agreements.items() if modality in pair for at in values})
        detail = "disagrees with all other modalities, which agree with each other; mean best rank"
        yield Finding("inconsistent", modality, len(odd), of, detail, _lowest(gathered, odd, neighbours.CHANCE))


def _disagreeing(gathered: Gathered, agreements: Mapping[tuple[str, str], Mapping[int, float]]) -> Iterator[Finding]:
    limit = neighbours.CHANCE
    for (one, other), values in agreements.items():
        detail = f"best rank (1: nearest) of a neighbour in the other modality; chance gives {limit:.2f}"
        cases = _lowest(gathered, values, limit)
        yield Finding("modalities disagree", f"{one} / {other}", len(cases), len(values), detail, cases)


def _isolated(gathered: Gathered, schema: Schema) -> Iterator[Finding]:
    for space in schema.spaces:
        at, matrix = _matrix(gathered, space.name)
        if len(at) < neighbours.LEAST:
            continue
        values, limit = neighbours.isolation(matrix)
        detail = f"cosine of neighbour {neighbours.ISOLATED_BY}; a random direction's is up to {limit:.3f}"
        cases = _lowest(gathered, dict(zip(at, values.tolist(), strict=True)), limit)
        yield Finding("isolated", space.name, len(cases), len(at), detail, cases)


def _foreign(gathered: Gathered) -> Iterator[Finding]:
    for field, counts in gathered.written.items():
        meant = expected(field, counts)
        for script in sorted(counts.keys() - meant - {NONE}) if meant else ():
            detail = f"{script} in a field for {' or '.join(sorted(meant))}"
            cases = _alone(gathered, gathered.holders[field, script])
            yield Finding("unexpected script", field, counts[script], sum(counts.values()), detail, cases)


def _alone(gathered: Gathered, positions: Sequence[int]) -> list[Case]:
    return [Case((gathered.ids[at],)) for at in positions]


def _lowest(gathered: Gathered, values: Mapping[int, float], limit: float) -> list[Case]:
    """Those that have no more than the limit, the lowest first."""
    low = sorted((value, at) for at, value in values.items() if value <= limit)
    return [Case((gathered.ids[at],), value) for value, at in low]


def _matrix(gathered: Gathered, space: str) -> tuple[Sequence[int], Matrix]:
    kept: Mapping[int, NDArray[np.float32]] = gathered.kept[space]
    return list(kept), np.stack(list(kept.values())) if kept else np.empty((0, 1), dtype=np.float32)

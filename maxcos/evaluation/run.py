"""Asking: every query in every way, through the same call that answers HTTP."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from es_mappings.errors import InvalidRequest, JudgmentsError, NothingToSearch
from maxcos.evaluation.systems import System
from maxcos.judgments import Judged
from query_api.service import SearchService
from query_api.stages import record

DEPTH = 100
"""Hits asked for: as deep as recall@100 looks."""
FIRST = 10


@dataclass(slots=True)
class Answers:
    """What one system answered.

    rankings: by query the ids of its hits, best first; none where the query reaches no vector and no word.
    milliseconds: by query, without the making of its vectors, and encoding: that. A vector is made for the first system
    that wants it and remembered for the others. winners: how many of the first 10 hits each modality decided.
    fitted: how many queries were answered by fitted maps.
    """

    system: System
    rankings: dict[str, tuple[str, ...]] = field(default_factory=dict)
    milliseconds: dict[str, float] = field(default_factory=dict)
    encoding: dict[str, float] = field(default_factory=dict)
    winners: Counter[str] = field(default_factory=Counter)
    fitted: int = 0

    def add(self, query: str, answer: dict[str, Any], encoding: float) -> None:
        self.rankings[query] = tuple(hit["id"] for hit in answer["hits"])
        self.milliseconds[query] = answer["took_ms"] - encoding
        self.encoding[query] = encoding
        self.winners.update(hit["modality"] for hit in answer["hits"][:FIRST])
        self.fitted += answer["plan"]["fusion"]["calibration"] == "fitted"


def ask(
    service: SearchService,
    systems: Sequence[System],
    queries: Sequence[Judged],
    asked: Callable[[int], object] = lambda _: None,
) -> list[Answers]:
    """Ask each query in all ways, one after the other. `asked` is called with 1 after each.

    Raises JudgmentsError for a query that the index refuses, and what `SearchService.search` raises.
    """
    answers = [Answers(system) for system in systems]
    for query in queries:
        for found in answers:
            kept = record()
            answer = _answer(service, found.system, query)
            if answer is not None:
                seconds = sum(took for (part, _), took in kept.seconds.items() if part == "encode")
                found.add(query.id, answer, 1000 * seconds)
            asked(1)
    return answers


def _answer(service: SearchService, system: System, query: Judged) -> dict[str, Any] | None:
    body = system.body(query, DEPTH)
    if body is None:
        return None
    try:
        return service.search(body)
    except NothingToSearch:
        return None
    except InvalidRequest as error:
        raise JudgmentsError(f"query {query.id!r}: {error}") from error

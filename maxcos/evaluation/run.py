"""Asking: every query in every way, through the same call that answers HTTP."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from es_mappings.errors import InvalidRequest, JudgmentsError, NothingToSearch
from maxcos.evaluation.systems import System
from maxcos.judgments import Judged
from query_api.service import SearchService

DEPTH = 100
"""Hits asked for: as deep as recall@100 looks."""
FIRST = 10


@dataclass(frozen=True, slots=True)
class Answers:
    """What one system answered.

    rankings: by query the ids of its hits, best first; none where the query reaches no vector and no word.
    milliseconds: by query, as the response tells them. winners: how many of the first 10 hits each modality decided.
    fitted: how many queries were answered by fitted maps.
    """

    system: System
    rankings: Mapping[str, tuple[str, ...]]
    milliseconds: Mapping[str, float]
    winners: Mapping[str, int]
    fitted: int


def ask(
    service: SearchService, system: System, queries: Sequence[Judged], asked: Callable[[int], object] = lambda _: None
) -> Answers:
    """Ask all queries in one way. `asked` is called with 1 after each.

    Raises JudgmentsError for a query that the index refuses, and what `SearchService.search` raises.
    """
    rankings: dict[str, tuple[str, ...]] = {}
    milliseconds: dict[str, float] = {}
    winners: Counter[str] = Counter()
    fitted = 0
    for query in queries:
        answer = _answer(service, system, query)
        if answer is not None:
            rankings[query.id] = tuple(hit["id"] for hit in answer["hits"])
            milliseconds[query.id] = answer["took_ms"]
            winners.update(hit["modality"] for hit in answer["hits"][:FIRST])
            fitted += answer["plan"]["fusion"]["calibration"] == "fitted"
        asked(1)
    return Answers(system, rankings, milliseconds, dict(winners), fitted)


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

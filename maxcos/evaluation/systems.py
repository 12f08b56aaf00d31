"""The ways to search that an evaluation compares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from es_mappings.types import FusionMethod
from maxcos.judgments import Judged

DEFAULT = "hybrid"
"""What users get who do not say how to search."""


@dataclass(frozen=True, slots=True)
class System:
    """method, calibration: as in a request. modalities: those that a query may reach; None: all of them."""

    name: str
    method: FusionMethod
    calibration: Literal["raw"] | None = None
    modalities: tuple[str, ...] | None = None

    def body(self, query: Judged, size: int) -> dict[str, Any] | None:
        """The request that asks the query in this way; None where no part of it may reach anything."""
        terms = [{"text": query.query}] if isinstance(query.query, str) else query.query
        if self.modalities is not None:
            allowed = ({**term, "modalities": self._allowed(term.get("modalities"))} for term in terms)
            terms = [term for term in allowed if term["modalities"]]
        if not terms:
            return None
        fusion = {"method": self.method, "calibration": self.calibration}
        return {"query": terms, "fusion": fusion, "size": size, "fields": [], "track_total_hits": False}

    def _allowed(self, wanted: Sequence[str] | None) -> list[str]:
        return [name for name in self.modalities or () if wanted is None or name in wanted]


def systems(modalities: Sequence[str], *, calibrated: bool, ablate: bool) -> list[System]:
    """Words alone, each modality alone, and all of them together in every way; `ablate`: also without one of each.

    calibrated: the index has maps. Where it has none, every calibration is raw.
    """
    alone = [System(name, "max", "raw", (name,)) for name in modalities]
    raw = [System("max raw", "max", "raw"), System("hybrid raw", "hybrid", "raw")] if calibrated else []
    together = [System("max", "max"), System(DEFAULT, "hybrid"), *raw, System("rrf", "rrf")]
    without = [
        System(f"{DEFAULT} without {name}", "hybrid", None, tuple(other for other in modalities if other != name))
        for name in modalities
        if ablate and len(modalities) > 1
    ]
    return [System("lexical", "lexical"), *alone, *together, *without]

"""What the benchmarks of noise share: the systems, what they find, and what that costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from maxcos.evaluation.metrics import METRICS, Floats, differences, per_query
from maxcos.evaluation.run import ask
from maxcos.evaluation.systems import System
from maxcos.judgments import Judged
from query_api.service import SearchService

TEXT = {"en": "english", "zh": "chinese"}
"""The modality that reads labels in the language."""
COLUMNS = ("clean", "noisy", "cost", "low", "high")


def systems(language: str, *alone: str) -> list[System]:
    """Words, the text and other modalities alone, and everything together, raw and calibrated."""
    return [
        System("lexical", "lexical"),
        System("text", "max", "raw", (TEXT[language],)),
        *(System(modality, "max", "raw", (modality,)) for modality in alone),
        System("max raw", "max", "raw"),
        System("max", "max"),
        System("hybrid", "hybrid"),
    ]


def values(service: SearchService, systems: Sequence[System], queries: Sequence[Judged]) -> Mapping[str, Floats]:
    """By system nDCG@10 of each query."""
    return {a.system.name: per_query(a.rankings, queries)[METRICS[0]] for a in ask(service, systems, queries)}


def cost(clean: Floats, noisy: Floats) -> list[float]:
    """COLUMNS of the same queries."""
    (found,) = differences(noisy, {"clean": clean})
    return [round(x, 4) for x in (clean.mean(), noisy.mean(), found.mean, found.low, found.high)]

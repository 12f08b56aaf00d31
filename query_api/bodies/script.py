"""The Painless script that scores: the maximum of the calibrated, weighted cosines, and BM25 beside it."""

from __future__ import annotations

from typing import Any

from es_mappings.dialects import Dialect
from es_mappings.schema import VECTOR_OBJECT
from es_mappings.types import Plan, QueryVector

JSON = dict[str, Any]


def vector_field(vector: QueryVector) -> str:
    return f"{VECTOR_OBJECT}.{vector.space.name}"


def shift(plan: Plan) -> float:
    """What the script adds, so that no score is negative (engines refuse those), and a reader takes off again.

    Calibrated cosines are probabilities and need none. The cosine of opposite vectors may come out a hair below -1,
    therefore the script still cuts at 0.
    """
    if plan.fusion.method == "lexical":
        return 0.0
    return max((v.weight for v in plan.vectors if v.calibration is None), default=0.0)


def script(plan: Plan, dialect: Dialect) -> JSON:
    """The script of a `script_score` query for the fusions `max` and `hybrid`.

    One unrolled block per space: a call site of cosineSimilarity binds its field once, so a loop would be wrong. All
    numbers but 0 and 1 are params, so a few texts serve all queries and are compiled once. Those two are not, since a
    look into the params costs as much as a tenth of a cosine.
    """
    numbers = _Numbers()
    offset = numbers("shift", shift(plan))
    hybrid, penalize = plan.fusion.method == "hybrid", plan.fusion.missing == "penalize"
    lines = ["boolean seen = false;"] if hybrid and not penalize and plan.vectors else []
    lines.append(f"double best = -{offset};")
    for modality in dict.fromkeys(v.space.modality for v in plan.vectors):
        mark = f"has_{modality} = true; " if penalize else "seen = true; " if hybrid else ""
        if penalize:
            lines.append(f"boolean has_{modality} = false;")
        for vector in (v for v in plan.vectors if v.space.modality == modality):
            value = f"best = Math.max(best, {_value(vector, dialect, numbers)});"
            lines.append(f"if (doc['{vector_field(vector)}'].size() != 0) {{ {mark}{value} }}")
        if penalize:
            background = numbers(f"missing_{modality}", backgrounds(plan)[modality])
            lines.append(f"if (!has_{modality}) {{ best = Math.max(best, {background}); }}")
    if hybrid:
        if not plan.vectors:
            lines.append("best = 0.0;")
        elif not penalize:
            lines.append("if (!seen) { best = 0.0; }")
        weight = numbers("w_lexical", plan.fusion.lexical_weight)
        saturated = f"_score / (_score + {numbers('saturation', plan.fusion.saturation)})"
        lines.append(f"return Math.max(0.0, best + {offset} + {weight} * {saturated});")
    else:
        lines.append(f"return Math.max(0.0, best + {offset});")
    params = {f"q_{v.space.name}": v.vector.tolist() for v in plan.vectors}
    return {"lang": "painless", "source": "\n".join(lines), "params": params | numbers.params}


class _Numbers:
    """Numbers as the script shall write them: 0 and 1 as they are, others by the name of a param."""

    def __init__(self) -> None:
        self.params: dict[str, float] = {}

    def __call__(self, name: str, value: float) -> str:
        if value in {0.0, 1.0}:
            return f"{abs(value):.1f}"
        self.params[name] = value
        return f"params.{name}"


def _value(vector: QueryVector, dialect: Dialect, numbers: _Numbers) -> str:
    name = vector.space.name
    cosine = dialect.cosine(f"q_{name}", vector_field(vector))
    weight = numbers(f"w_{name}", vector.weight)
    if vector.calibration is None:
        return cosine if weight == "1.0" else f"{weight} * {cosine}"
    slope = numbers(f"slope_{name}", vector.calibration.slope)
    offset = numbers(f"offset_{name}", vector.calibration.offset)
    return f"{weight} / (1.0 + Math.exp(-({slope} * {cosine} + {offset})))"


def backgrounds(plan: Plan) -> dict[str, float]:
    """What each queried modality counts for, weight included, where an item lacks it and the policy is to penalize."""
    found: dict[str, float] = {}
    for v in plan.vectors:
        if v.background is not None:
            found[v.space.modality] = max(found.get(v.space.modality, -1e9), v.weight * v.background)
    return found

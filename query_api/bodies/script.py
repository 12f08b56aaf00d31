"""The Painless script that scores: the maximum of the calibrated, weighted cosines, and BM25 beside it."""

from __future__ import annotations

from collections.abc import Callable
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

    One unrolled block per space: a call site of cosineSimilarity binds its field once, so a loop would be wrong.
    Numbers are params, so that a few texts serve all queries: engines compile each once, and only so many in a minute.
    Weights that are all 1, as they mostly are, are left out: a look into the params costs a tenth of a cosine. Whether
    a document has the vector costs a tenth as well to ask, and to be told by an exception 1.5 µs where it has none.
    """
    # As arrays: orjson writes float32 by its shortest decimals, three fifths of what the same numbers are as doubles.
    params: JSON = {f"q_{v.space.name}": v.vector for v in plan.vectors}

    def number(name: str, value: float) -> str:
        params[name] = value
        return f"params.{name}"

    weighted = any(v.weight != 1.0 for v in plan.vectors)
    raw = any(v.calibration is None for v in plan.vectors)
    offset = number("shift", shift(plan)) if raw and weighted else f"{shift(plan):.1f}"
    hybrid, penalize = plan.fusion.method == "hybrid", plan.fusion.missing == "penalize"
    lines = ["boolean seen = false;"] if hybrid and not penalize and plan.vectors else []
    lines.append(f"double best = -{offset};")
    for modality in dict.fromkeys(v.space.modality for v in plan.vectors):
        mark = f" has_{modality} = true;" if penalize else " seen = true;" if hybrid else ""
        if penalize:
            lines.append(f"boolean has_{modality} = false;")
        for vector in (v for v in plan.vectors if v.space.modality == modality):
            weight = number(f"w_{vector.space.name}", vector.weight) if weighted else "1.0"
            value = f"best = Math.max(best, {_value(vector, weight, dialect, number)});{mark}"
            if vector.common and dialect.absent is not None:
                lines.append(f"try {{ {value} }} catch ({dialect.absent} e) {{ }}")
            else:
                lines.append(f"if (doc['{vector_field(vector)}'].size() != 0) {{ {value} }}")
        if penalize:
            background = number(f"missing_{modality}", backgrounds(plan)[modality])
            lines.append(f"if (!has_{modality}) {{ best = Math.max(best, {background}); }}")
    if hybrid:
        if not plan.vectors:
            lines.append("best = 0.0;")
        elif not penalize:
            lines.append("if (!seen) { best = 0.0; }")
        weight = number("w_lexical", plan.fusion.lexical_weight)
        saturated = f"_score / (_score + {number('saturation', plan.fusion.saturation)})"
        lines.append(f"return Math.max(0.0, best + {offset} + {weight} * {saturated});")
    else:
        lines.append(f"return Math.max(0.0, best + {offset});")
    return {"lang": "painless", "source": "\n".join(lines), "params": params}


def _value(vector: QueryVector, weight: str, dialect: Dialect, number: Callable[[str, float], str]) -> str:
    name = vector.space.name
    cosine = dialect.cosine(f"params.q_{name}", f"'{vector_field(vector)}'")
    if vector.calibration is None:
        return cosine if weight == "1.0" else f"{weight} * {cosine}"
    slope = number(f"slope_{name}", vector.calibration.slope)
    offset = number(f"offset_{name}", vector.calibration.offset)
    return f"{weight} / (1.0 + Math.exp(-({slope} * {cosine} + {offset})))"


def backgrounds(plan: Plan) -> dict[str, float]:
    """What each queried modality counts for, weight included, where an item lacks it and the policy is to penalize."""
    found: dict[str, float] = {}
    for v in plan.vectors:
        if v.background is not None:
            found[v.space.modality] = max(found.get(v.space.modality, -1e9), v.weight * v.background)
    return found

"""Hooks of schemathesis: a generated search has the right form, but no schema knows which names are in the demo.

Where a request is meant to be right, most of its invented names are replaced by real ones, so that it reaches the
engine instead of ending as 400. Which ones follows from the request: the same seed asks the same.
"""

from __future__ import annotations

import math
import random
from typing import Any

import schemathesis
from schemathesis import Case, GenerationMode, HookContext

from query_api.openapi.examples import ITEM, PICTURE

JSON = dict[str, Any]

MODALITIES = ["text", "image", "graph"]
FILTERS: list[JSON] = [
    {"category": "Office"},
    {"width": {"gte": 10, "lt": 90}},
    {"any": [{"category": ["Kitchen", "Bedroom"]}, {"movable": False}]},
    {"not": {"creator": {"exists": True}}, "tags": {"prefix": "Cou"}},
    {"created": {"lt": "2013-05-01"}},
    {"category": "nowhere"},
]
SORTS: list[list[Any]] = [["width"], [{"created": "desc"}, "_score"], [{"category": "asc"}, {"height": "desc"}]]
WORDS = ["sofa", "椅子", "wooden table", "ベッド", 'c++ "it\'s"', "*", "a" * 500]
VECTOR = [math.sin(n) for n in range(128)]


@schemathesis.hook
def map_case(context: HookContext, case: Case) -> Case:
    meant = case.meta is not None and case.meta.generation.mode is GenerationMode.POSITIVE
    if meant and isinstance(case.body, dict) and "image" not in case.body:  # a form's picture is no JSON
        case.body = sensible(case.body, random.Random(repr(case.body)))
    return case


def sensible(body: JSON, dice: random.Random) -> JSON:
    # To JSON Schema 5.0 is a whole number.
    made = {n: int(v) if isinstance(v, float) and v.is_integer() else v for n, v in body.items()}
    if "items" in made or "user" in made:
        made.pop("user", None)
        made["items"] = [ITEM]
    elif isinstance(made.get("query"), list) and made["query"]:
        made["query"] = [_term(term, dice) for term in made["query"]]
    else:
        made["query"] = dice.choice(WORDS)
    if "id" in made and dice.random() < 0.3:
        made["id"] = ITEM
    if made.get("filter"):
        made["filter"] = dice.choice(FILTERS)
    if made.get("facets"):
        widths = {"field": "width", "ranges": [{"to": 50}, {"from": 50, "to": 100.5}]}
        made["facets"] = dice.sample(["category", "size", "tags", widths], dice.randint(1, 4))
    if made.get("sort"):
        made["sort"] = dice.choice(SORTS)
    if made.get("from"):
        made["from"] %= 300
    if made.get("after"):
        made |= {"after": "*", "from": 0}
    if isinstance(made.get("fusion"), dict) and made["fusion"].get("weights"):
        weights = made["fusion"]["weights"].values()
        made["fusion"] = {**made["fusion"], "weights": dict(zip([*MODALITIES, "lexical"], weights, strict=False))}
    return made


def _term(term: JSON, dice: random.Random) -> JSON:
    """The term's weight with something that is there."""
    kept = {name: term[name] for name in ("weight",) if name in term}
    if term.get("modalities"):
        kept["modalities"] = dice.sample(MODALITIES, dice.randint(1, 3))
    kind = next(name for name in ("text", "image", "item", "entity", "user", "vector") if term.get(name) is not None)
    real: JSON = {"image": PICTURE, "item": ITEM, "entity": "tag:couch", "vector": VECTOR}
    if kind == "vector":
        kept["space"] = "graph"
    return {**kept, kind: real[kind]} if kind in real else {**kept, "text": dice.choice(WORDS)}

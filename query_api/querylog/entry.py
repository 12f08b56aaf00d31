"""Search -> document of the query log, and the mapping of its index (the fields: docs/kibana.md)."""

from __future__ import annotations

import hashlib
import hmac
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from encoders.parts.scripts import script
from es_mappings.companions import KEYWORD, LEXICAL
from es_mappings.errors import SettingsError
from es_mappings.schema import Schema
from es_mappings.settings import EngineSettings, LogSettings
from es_mappings.types import EntityTerm, ImageTerm, ItemTerm, TextTerm, UserTerm, VectorTerm
from query_api.querylog.heard import Search
from query_api.respond import BACKGROUND
from query_api.stages import Record

JSON = dict[str, Any]

TIME = "@timestamp"
STAGES = ("parse", "encode", "engine", "attribution")
DIGEST = 32
"""Hexadecimal digits of a hashed text: 128 bits, so that no two texts of a log share theirs."""

KINDS: dict[type, str] = {
    TextTerm: "text",
    ImageTerm: "image",
    ItemTerm: "item",
    EntityTerm: "entity",
    UserTerm: "user",
    VectorTerm: "vector",
}

Written = Callable[[str], str]
"""How a text is written down."""


def writing(log: LogSettings) -> Written | None:
    """How texts are written; None: not at all. Raises SettingsError where they are to be hashed without a key."""
    if log.texts == "none":
        return None
    if log.texts == "plain":
        return same_text
    if log.hash_key is None:
        raise SettingsError("log.texts: hashing needs a key, which comes only from MAXCOS_LOG__HASH_KEY")
    key = log.hash_key.get_secret_value().encode()
    return lambda text: hmac.new(key, same_text(text).encode(), hashlib.sha256).hexdigest()[:DIGEST]


def same_text(text: str) -> str:
    """One text for all that differ in case, width and blanks alone, so that equal questions are counted together."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def entry(search: Search, record: Record, written: Written | None, about: Mapping[str, str | None]) -> JSON:
    """The document but for its entities, which take longer to be found.

    about: what is known of the request (request_id, route, key), and when it was (@timestamp).
    """
    request, plan, answer = search.request, search.planned.plan, search.answer
    texts = [term.text for term in request.terms if isinstance(term, TextTerm)]
    walking = request.walk is not None and request.walk.after is not None
    first_page = request.offset == 0 and not walking and request.size > 0
    total = answer["total"]
    return {
        **about,
        "fusion": plan.fusion.method,
        "calibration": search.planned.calibration,
        "plan": search.planned.kind,
        "terms": sorted({KINDS[type(term)] for term in request.terms}),
        "texts": [written(text) for text in texts] if written else [],
        "scripts": sorted({script(text) for text in texts}),
        "took_ms": answer["took_ms"],
        "engine_ms": answer["engine_ms"],
        "stages": _stages(record),
        "total": total["value"] if total is not None else None,
        "hits": len(answer["hits"]),
        "first_page": first_page,
        **(_outcome(answer) if first_page else {}),
        "degraded": list(search.planned.degraded),
        "partial": "partial" in answer,
    }


def _stages(record: Record) -> JSON:
    """Milliseconds by part, all modalities of it together."""
    taken = {name: 0.0 for name, _ in record.seconds}
    for (name, _), seconds in record.seconds.items():
        taken[name] += seconds * 1000
    return {name: round(taken[name], 2) for name in STAGES if name in taken}


def _outcome(answer: JSON) -> JSON:
    """How well a search went, told by its first page alone: a later one is empty where the hits end.

    Where the engine's time was over before it had a hit, nobody knows.
    """
    hits = answer["hits"]
    if not hits:
        return {} if "partial" in answer else {"zero_result": True}
    winners = Counter(hit["modality"] for hit in hits)
    return {
        "zero_result": False,
        "winner": hits[0]["modality"],
        "winners": dict(winners),
        "score": hits[0]["score"],
    }


def decisive(schema: Schema) -> tuple[str, ...]:
    """Everything that a hit may owe its place to."""
    return (*schema.modalities, LEXICAL, BACKGROUND)


def index_body(schema: Schema, engine: EngineSettings) -> JSON:
    """Settings and mapping of the log's index."""
    number, count, flag = {"type": "float"}, {"type": "long"}, {"type": "boolean"}
    words = ("request_id", "route", "key", "fusion", "calibration", "plan", "terms", "texts", "scripts", "entities")
    fields: JSON = {
        TIME: {"type": "date"},
        **dict.fromkeys((*words, "winner", "degraded"), KEYWORD),
        **dict.fromkeys(("took_ms", "engine_ms", "score"), number),
        **dict.fromkeys(("total", "hits"), count),
        **dict.fromkeys(("first_page", "zero_result", "partial"), flag),
        "stages": {"properties": dict.fromkeys(STAGES, number)},
        "winners": {"properties": dict.fromkeys(decisive(schema), count)},
    }
    return {
        "settings": {"index": {"number_of_shards": 1, "number_of_replicas": engine.replicas}},
        # A service of tomorrow, or of one modality more, may write what this mapping does not know.
        "mappings": {"dynamic": False, "properties": fields},
    }

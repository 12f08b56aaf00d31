"""One hit's explanation, put together and as JSON."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from encoders.contract import Encoder, Graph, ReadsFiles
from es_mappings.errors import BadInput, EncoderError
from es_mappings.schema import Schema
from es_mappings.types import Centre, Page, StoredItem
from query_api.paths import explained
from query_api.planner import Planned, combine
from query_api.request import SearchRequest
from query_api.respond import hit_json, path_json
from query_api.rrf import LEXICAL
from query_api.searchers import Searcher
from query_api.why.item import CELLS, MOST_WRITTEN, Asked, Picture, WrittenPiece, seen, written
from query_api.why.pieces import folded
from query_api.why.query import MOST_ASKED, Remembering, asked_pieces

JSON = dict[str, Any]

METHOD: JSON = {"name": "occlusion", "query_pieces": MOST_ASKED, "item_pieces": MOST_WRITTEN, "cells": [CELLS, CELLS]}
"""How the numbers came about, and how many pieces each encoder is asked about at most."""


@dataclass(frozen=True, slots=True)
class Origins:
    """What the vectors of items are made of. fields: by modality those its encoder reads. media: where files are."""

    fields: Mapping[str, Sequence[str]] = field(default_factory=dict)
    media: Path = Path()


def explanation(
    request: SearchRequest,
    planned: Planned,
    page: Page,
    item: StoredItem,
    schema: Schema,
    encoders: Mapping[str, Encoder],
    searcher: Searcher,
    origins: Origins,
) -> JSON:
    """Why this item is a hit. page: that of a search among this item alone, as planned."""
    body: JSON = {"id": item.id, "method": METHOD, "hit": None, "query": [], "modalities": {}}
    if planned.degraded:
        body["degraded"] = list(planned.degraded)
    if not page.hits:
        return body
    body["hit"] = hit_json(page.hits[0], planned.plan)
    centres = searcher.state().manifest.centres
    shares = {name: share for name, share in body["hit"]["contributions"].items() if name != LEXICAL}
    spaces = {share["space"]: name for name, share in shares.items() if share is not None}
    body["query"] = _query(request, planned, item, schema, encoders, centres, searcher, spaces)
    vectors = {vector.space.name: vector.vector for vector in planned.plan.vectors}
    marked = _marked(page.hits[0].highlight)
    for name, share in shares.items():
        if share is None:
            body["modalities"][name] = None
            continue
        space = share["space"]
        told = {"space": space, "cosine": float(vectors[space] @ item.vectors[space])}
        asked = Asked(space, vectors[space], centres.get(space))
        encoder = encoders[name]
        if isinstance(encoder, Graph):
            (found,) = explained(page, request.terms, planned.items, {name: encoder}, schema.languages)
            told["paths"] = [path_json(path) for path in found]
        elif fields := origins.fields.get(name, ()):
            told |= _item(encoder, item, fields, asked, origins.media, marked)
        body["modalities"][name] = told
    return body


def _query(
    request: SearchRequest,
    planned: Planned,
    item: StoredItem,
    schema: Schema,
    encoders: Mapping[str, Encoder],
    centres: Mapping[str, Centre],
    searcher: Searcher,
    spaces: Mapping[str, str],
) -> list[JSON]:
    """The query's texts in pieces, with what each modality that the hit has loses. spaces: to their modalities."""
    known = dict(planned.items)

    def stored(identifier: str) -> StoredItem:
        return known[identifier] if identifier in known else searcher.item(identifier)

    patient = {name: Remembering(encoders[name]) for name in dict.fromkeys(spaces.values())}
    found = asked_pieces(
        request.terms,
        lambda terms: combine(terms, patient, schema, centres, stored)[0],
        {space: item.vectors[space] for space in spaces},
    )
    return [
        {
            "term": position,
            "pieces": [
                {"text": piece.text, "drops": {spaces[space]: drop for space, drop in piece.drops.items()}}
                for piece in told
            ],
        }
        for position, told in found
    ]


def _item(
    encoder: Encoder,
    item: StoredItem,
    fields: Sequence[str],
    asked: Asked,
    media: Path,
    marked: Mapping[str, frozenset[str]],
) -> JSON:
    """What of an item's fields made its vector meet the query's; instead of a picture's map why there is none."""
    try:
        if isinstance(encoder, ReadsFiles):
            return {"picture": _picture(seen(encoder, item.source, fields, asked, media))}
        texts = written(encoder, item.source, fields, asked)
    except (BadInput, EncoderError) as error:
        return {"error": str(error)}
    return {"fields": [{"field": name, "pieces": _pieces(cut, marked.get(name))} for name, cut in texts]}


def _pieces(cut: Sequence[WrittenPiece], marked: frozenset[str] | None) -> list[JSON]:
    return [{"text": p.text, "drop": p.drop, "match": bool(marked and marked & folded(p.text))} for p in cut]


def _picture(picture: Picture) -> JSON:
    return {"drops": picture.drops.tolist(), "box": picture.box}


def _marked(highlight: Mapping[str, Sequence[str]]) -> dict[str, frozenset[str]]:
    """By field the words that the engine marked, because the query's words match them."""
    return {
        name: frozenset().union(
            *(folded(html.unescape(m)) for f in fragments for m in re.findall(r"<em>(.*?)</em>", f))
        )
        for name, fragments in highlight.items()
    }

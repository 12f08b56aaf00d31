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
from es_mappings.types import Centre, Page, StoredItem, Term, Vector
from query_api.paths import explained
from query_api.planner import Planned, combine
from query_api.request import SearchRequest
from query_api.respond import hit_json, path_json
from query_api.rrf import LEXICAL
from query_api.searchers import Searcher
from query_api.why.item import MOST_WRITTEN, Asked, WrittenPiece, seen, written
from query_api.why.picture import CELLS, Picture
from query_api.why.pieces import folded
from query_api.why.query import MOST_ASKED, AskedPiece, Remembering, asked_picture, asked_pieces

JSON = dict[str, Any]

METHOD: JSON = {"name": "occlusion", "query_pieces": MOST_ASKED, "item_pieces": MOST_WRITTEN, "cells": [CELLS, CELLS]}
"""How the numbers came about, and how many pieces each encoder is asked about at most."""


@dataclass(frozen=True, slots=True)
class Origins:
    """What the vectors of items are made of. fields: by modality those its encoder reads. media: where files are."""

    fields: Mapping[str, Sequence[str]] = field(default_factory=dict)
    media: Path = Path()


@dataclass(frozen=True, slots=True)
class Question:
    """One hit to explain: what was asked, how it was planned, and the page of a search among this item alone."""

    request: SearchRequest
    planned: Planned
    page: Page
    item: StoredItem


@dataclass(frozen=True, slots=True)
class Means:
    """Whom to ask for an answer."""

    schema: Schema
    encoders: Mapping[str, Encoder]
    searcher: Searcher
    origins: Origins


def explanation(question: Question, means: Means) -> JSON:
    """Why this item is a hit; `hit` is None when it is none."""
    planned, item = question.planned, question.item
    body: JSON = {"id": item.id, "method": METHOD, "hit": None, "query": [], "modalities": {}}
    if planned.degraded:
        body["degraded"] = list(planned.degraded)
    if not question.page.hits:
        return body
    body["hit"] = hit_json(question.page.hits[0], planned.plan)
    centres = means.searcher.state().manifest.centres
    # Of an item that was written between two questions to the engine, what is there still.
    spaces = {
        name: share["space"] if share is not None and share["space"] in item.vectors else None
        for name, share in body["hit"]["contributions"].items()
        if name != LEXICAL
    }
    there = {name: space for name, space in spaces.items() if space is not None}
    body["query"] = _query(question, means, centres, there)
    vectors = {vector.space.name: vector.vector for vector in planned.plan.vectors}
    for name, space in spaces.items():
        asked = Asked(space, vectors[space], centres.get(space)) if space is not None else None
        body["modalities"][name] = _modality(name, asked, question, means) if asked is not None else None
    return body


def _query(question: Question, means: Means, centres: Mapping[str, Centre], spaces: Mapping[str, str]) -> list[JSON]:
    """The query's texts and its first picture in pieces, with what each modality loses. spaces: by modality."""
    known = question.planned.items

    def stored(identifier: str) -> StoredItem:
        return known[identifier] if identifier in known else means.searcher.item(identifier)

    patient = {name: Remembering(means.encoders[name]) for name in spaces}

    def directions(terms: Sequence[Term]) -> Mapping[str, Vector]:
        return combine(terms, patient, means.schema, centres, stored)[0]

    terms, vectors = question.request.terms, {space: question.item.vectors[space] for space in spaces.values()}
    names = {space: name for name, space in spaces.items()}

    def piece_json(piece: AskedPiece) -> JSON:
        return {"text": piece.text, "drops": {names[space]: drop for space, drop in piece.drops.items()}}

    found: list[JSON] = [
        {"term": position, "pieces": [piece_json(piece) for piece in told]}
        for position, told in asked_pieces(terms, directions, vectors)
    ]
    if shown := asked_picture(terms, directions, vectors):
        maps = {names[space]: _picture(picture) for space, picture in shown[1].items()}
        found.append({"term": shown[0], "pieces": [], "picture": maps})
    return sorted(found, key=lambda part: part["term"])


def _modality(name: str, asked: Asked, question: Question, means: Means) -> JSON:
    """The cosine, and what of the item met the query, as the kind of its encoder allows."""
    encoder, item, page = means.encoders[name], question.item, question.page
    told: JSON = {"space": asked.space, "cosine": float(asked.vector @ item.vectors[asked.space])}
    if isinstance(encoder, Graph):
        terms, items = question.request.terms, question.planned.items
        (found,) = explained(page, terms, items, {name: encoder}, means.schema.languages)
        return {**told, "paths": [path_json(path) for path in found]}
    fields = means.origins.fields.get(name, ())
    if not fields:
        return told
    return {**told, **_item(encoder, item, fields, asked, means.origins.media, _marked(page.hits[0].highlight))}


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

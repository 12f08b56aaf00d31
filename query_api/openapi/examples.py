"""Requests that work on the demo catalogue; a test sends every one of them to the running service."""

from __future__ import annotations

from typing import Any

ITEM = "scopia-bed1"
PICTURE = "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAEklEQVR4nGN4UCOCFTEMLQkAGN52QeDwH3QAAAAASUVORK5CYII="
"""Eight by eight brown pixels, as PNG in base64."""

SEARCHES: dict[str, Any] = {
    "words": {"query": "sofa"},
    "words in another language": {"query": "椅子", "size": 5},
    "words, filtered, with facets": {
        "query": "wooden table",
        "filter": {"category": ["Office", "Kitchen"], "width": {"lt": 200}},
        "facets": ["category", {"field": "width", "ranges": [{"to": 50}, {"from": 50, "to": 100}, {"from": 100}]}],
        "highlight": True,
    },
    "a picture": {"query": [{"image": PICTURE}], "fusion": {"method": "max"}},
    "like this item, but less wooden": {"query": [{"item": ITEM}, {"text": "wooden", "weight": -0.3}]},
    "an entity of the graph, with the links to each hit": {"query": [{"entity": "tag:couch"}], "paths": True},
    "modalities weighed": {
        "query": "a place to sleep",
        "fusion": {"method": "hybrid", "weights": {"text": 1, "image": 0.5, "graph": 0.5, "lexical": 0.3}},
    },
    "only items that have all modalities": {"query": "lamp", "fusion": {"missing": "require"}},
    "ranks fused": {"query": "lamp", "fusion": {"method": "rrf"}},
    "sorted by a field": {"query": "desk", "sort": [{"width": "desc"}, "_score"], "fields": ["title", "width"]},
    "the first page of a walk through all hits": {"query": "bed", "size": 100, "after": "*"},
    "what the engine is asked": {"query": "sofa", "size": 1, "explain": "engine"},
}

RECOMMENDATIONS: dict[str, Any] = {
    "for who likes some items": {"items": [ITEM, "blend-swap-cc-0-bed1"], "size": 5},
}

EXPLANATIONS: dict[str, Any] = {
    "words": {"id": ITEM, "query": "wooden bed"},
    "another item": {"id": ITEM, "query": [{"item": "blend-swap-cc-0-bed1"}]},
}

"""Requests to paste into Kibana's Console: how the index is made, what it lacks, and what a search sends."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from es_mappings.companions import LEXICAL
from es_mappings.schema import VECTOR_OBJECT, Schema
from es_mappings.settings import Settings
from maxcos.kibana.contents import ENCODED, MODALITIES, lacking
from maxcos.kibana.panels import TOP, item_panels
from query_api.querylog.entry import TIME

JSON = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Request:
    """One request. about: what it tells. wide: whether its body is too long to be read, and stands in one line."""

    about: str
    method: str
    path: str
    body: JSON | None = None
    wide: bool = False


def as_text(requests: list[Request]) -> str:
    return "\n".join(map(_written, requests))


def _written(request: Request) -> str:
    lines = [f"# {request.about}", f"{request.method} {request.path}"]
    if request.body is not None:
        lines.append(json.dumps(request.body, ensure_ascii=False, indent=None if request.wide else 2))
    return "\n".join([*lines, ""])


def requests(settings: Settings, schema: Schema) -> list[Request]:
    """What can be asked of the index, and of the query log if there is one."""
    index, log = settings.engine.index, settings.log.index
    return [*_of_items(index, schema), *(_of_searches(log) if log is not None else ())]


def _of_items(index: str, schema: Schema) -> Iterator[Request]:
    search = f"/{index}/_search"
    yield Request("The fields of the index", "GET", f"/{index}/_mapping")
    yield Request(
        "What made its vectors, their means and their calibration", "GET", f"/{index}/_mapping?filter_path=*.*._meta"
    )
    for panel in item_panels(index, schema.modalities):
        yield Request(f"{panel.title}: {panel.description}", "POST", search, panel.spec["data"]["url"]["body"])
    shown = {"_source": False, "fields": [MODALITIES, ENCODED]}
    yield Request("Items that lack a modality", "POST", search, {"query": lacking(schema), **shown})
    for name in (*schema.modalities, LEXICAL):
        field = f"{VECTOR_OBJECT}.hash.{name}"
        same = {"terms": {"field": field, "min_doc_count": 2, "size": TOP}}
        some = {"items": {"top_hits": {"size": 3, "_source": False}}}
        about = "the same fields" if name == LEXICAL else f"the same {name} vectors, made of the same"
        yield Request(f"Items with {about}", "POST", search, {"size": 0, "aggs": {"same": {**same, "aggs": some}}})


def _of_searches(log: str) -> Iterator[Request]:
    search = f"/{log}/_search"
    day = {"range": {TIME: {"gte": "now-1d"}}}
    yield Request(
        "The latest searches without results",
        "POST",
        search,
        {"query": {"bool": {"filter": [day, {"term": {"zero_result": True}}]}}, "sort": [{TIME: "desc"}]},
    )
    times = {"percentiles": {"field": "took_ms", "percents": [50, 95, 99]}}
    kinds = {"terms": {"field": "plan"}, "aggs": {"took": times}}
    yield Request(
        "Latency of a day, by kind of plan", "POST", search, {"size": 0, "query": day, "aggs": {"plans": kinds}}
    )
    yield Request(
        "What a day's searches were about",
        "POST",
        search,
        {"size": 0, "query": day, "aggs": {"entities": {"terms": {"field": "entities", "size": TOP}}}},
    )


def of_search(words: str, explained: Mapping[str, Any]) -> list[Request]:
    """What a search for these words sends, from its answer's `explain`."""
    parts = {"": explained, **{name: explained[name] for name in ("words", "counts") if name in explained}}
    about = {
        "": "what finds and scores",
        "words": "what is asked first: how good the words' 2,000th match is",
        "counts": "what counts",
    }
    return [
        Request(f"A search for {words!r}: {about[name]}", part["method"], part["path"], part["body"], wide=True)
        for name, part in parts.items()
    ]

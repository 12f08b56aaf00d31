"""The panels of the dashboard: Vega-Lite, since the search of each stands in it word for word, and can be tried.

Kibana fills in what is written between percent signs (its `es_query_parser.ts`): the dashboard's filters and time, and
an interval that suits the time. Panels of items always show the whole index: what filters searches does not fit items.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from query_api.querylog.entry import TIME

JSON = dict[str, Any]

SCHEMA = "https://vega.github.io/schema/vega-lite/v5.json"
INTERVALS = 60
"""Into about so many parts the dashboard's time is divided."""
TOP = 20
NO_VECTOR = "no vector"
ALL = "all items"

HALF, WHOLE = 24, 48
"""Widths, in columns of a dashboard."""


@dataclass(frozen=True, slots=True)
class Panel:
    """One visualisation. name: part of its id. spec: Vega-Lite."""

    name: str
    title: str
    description: str
    spec: JSON
    width: int = HALF


def item_panels(index: str, modalities: Sequence[str]) -> list[Panel]:
    return [_coverage(index, modalities), _freshness(index)]


def search_panels(index: str, decisive: Sequence[str], *, texts: bool) -> list[Panel]:
    """index: of the query log. decisive: everything that a hit may owe its place to. texts: whether it holds any."""
    return [
        _winners(index),
        _won(index, decisive),
        _latency(index),
        _zero_results(index),
        *([_without_results(index)] if texts else []),
        _entities(index),
    ]


# --- items


def _coverage(index: str, modalities: Sequence[str]) -> Panel:
    field = "maxcos.modalities"
    filters: JSON = {ALL: {"match_all": {}}}
    filters |= {modality: {"term": {field: modality}} for modality in modalities}
    filters |= {NO_VECTOR: {"bool": {"must_not": [{"exists": {"field": field}}]}}}
    spec = {
        "data": _of_items(index, {"coverage": {"filters": {"keyed": False, "filters": filters}}}, "coverage.buckets"),
        "transform": [
            {"joinaggregate": [{"op": "max", "field": "doc_count", "as": "all"}]},
            {"calculate": "datum.all > 0 ? datum.doc_count / datum.all : 0", "as": "share"},
        ],
        "mark": {"type": "bar", "tooltip": True},
        "encoding": {
            "y": {"field": "key", "type": "nominal", "sort": "-x", "title": None},
            "x": {
                "field": "share",
                "type": "quantitative",
                "title": "share of the items",
                "axis": {"format": "%"},
                "scale": {"domain": [0, 1]},
            },
            "tooltip": [_shown("key", "nominal", "modality"), _shown("doc_count", "quantitative", "items")],
        },
    }
    return _panel("coverage", "Modality coverage", "How many items have a vector of each modality.", spec)


def _freshness(index: str) -> Panel:
    times = {"auto_date_histogram": {"field": "maxcos.encoded", "buckets": INTERVALS}}
    spec = {
        "data": _of_items(index, {"times": times}, "times.buckets"),
        "mark": {"type": "bar", "tooltip": True},
        "encoding": {
            "x": {"field": "key", "type": "temporal", "title": "encoded"},
            "y": _count("doc_count", "items"),
        },
    }
    return _panel("freshness", "Freshness", "When the vectors of the items were made last.", spec)


# --- searches


def _winners(index: str) -> Panel:
    over = _over_time({"winners": {"terms": {"field": "winner", "size": TOP}}})
    spec = {
        "data": _of_searches(index, over, "times.buckets"),
        "transform": [{"flatten": ["winners.buckets"], "as": ["winner"]}],
        "mark": {"type": "bar", "tooltip": True},
        "encoding": {
            "x": _time(),
            "y": {
                "field": "winner.doc_count",
                "type": "quantitative",
                "stack": "normalize",
                "title": "share of the first hits",
                "axis": {"format": "%"},
            },
            "color": {"field": "winner.key", "type": "nominal", "title": "won by"},
        },
    }
    return _panel("winners", "Winners by modality", "What decided the score of each search's first hit.", spec)


def _won(index: str, decisive: Sequence[str]) -> Panel:
    sums = {name: {"sum": {"field": f"winners.{name}"}} for name in decisive}
    spec = {
        "data": _of_searches(index, sums, ""),
        "transform": [
            {"fold": [f"{name}.value" for name in decisive], "as": ["of", "hits"]},
            {"calculate": "split(datum.of, '.')[0]", "as": "modality"},
        ],
        "mark": {"type": "bar", "tooltip": True},
        "encoding": {
            "y": {"field": "modality", "type": "nominal", "sort": "-x", "title": None},
            "x": _count("hits", "hits of first pages"),
        },
    }
    return _panel("won", "Hits won on first pages", "What decided the score of each hit of a first page.", spec)


def _latency(index: str) -> Panel:
    percentiles = {"field": "took_ms", "percents": [50, 95, 99], "keyed": False}
    spec = {
        "data": _of_searches(index, _over_time({"took": {"percentiles": percentiles}}), "times.buckets"),
        "transform": [
            {"flatten": ["took.values"], "as": ["took"]},
            {"calculate": "datum.took.key + '%'", "as": "percentile"},
        ],
        "mark": {"type": "line", "point": True, "tooltip": True},
        "encoding": {
            "x": _time(),
            "y": {"field": "took.value", "type": "quantitative", "title": "milliseconds"},
            "color": {"field": "percentile", "type": "nominal", "sort": ["99%", "95%", "50%"]},
        },
    }
    return _panel("latency", "Latency", "Within how many milliseconds so many of the searches were answered.", spec)


def _zero_results(index: str) -> Panel:
    counts = {"empty": {"filter": _ZERO}, "first": {"filter": {"term": {"first_page": True}}}}
    spec = {
        "data": _of_searches(index, _over_time(counts), "times.buckets"),
        "transform": [
            {"filter": "datum.first.doc_count > 0"},
            {"calculate": "datum.empty.doc_count / datum.first.doc_count", "as": "share"},
        ],
        "mark": {"type": "line", "point": True, "tooltip": True},
        "encoding": {
            "x": _time(),
            "y": {
                "field": "share",
                "type": "quantitative",
                "title": "share of the searches",
                "axis": {"format": "%"},
            },
            "tooltip": [
                _shown("key", "temporal", "time"),
                _shown("empty.doc_count", "quantitative", "without results"),
                _shown("first.doc_count", "quantitative", "searches"),
            ],
        },
    }
    return _panel("zero-results", "Zero-result searches", "How many first pages were empty.", spec)


def _without_results(index: str) -> Panel:
    texts = {"terms": {"field": "texts", "size": TOP}}
    spec = _top(index, {"empty": {"filter": _ZERO, "aggs": {"texts": texts}}}, "empty.texts.buckets", "searches")
    return _panel("without-results", "Top zero-result queries", "The commonest texts that found nothing.", spec)


def _entities(index: str) -> Panel:
    spec = _top(index, {"entities": {"terms": {"field": "entities", "size": TOP}}}, "entities.buckets", "searches")
    return _panel("entities", "Top entities", "Which entities of the knowledge graph searches are about.", spec)


_ZERO: JSON = {"term": {"zero_result": True}}


# --- parts of specs


def _panel(name: str, title: str, description: str, spec: JSON) -> Panel:
    return Panel(name, title, description, {"$schema": SCHEMA, **spec})


def _of_items(index: str, aggs: JSON, rows: str) -> JSON:
    return {"url": {"index": index, "body": {"size": 0, "aggs": aggs}}, "format": _format(rows)}


def _of_searches(index: str, aggs: JSON, rows: str) -> JSON:
    url = {"%context%": True, "%timefield%": TIME, "index": index, "body": {"size": 0, "aggs": aggs}}
    return {"url": url, "format": _format(rows)}


def _format(rows: str) -> JSON:
    return {"property": f"aggregations.{rows}" if rows else "aggregations"}


def _over_time(aggs: JSON) -> JSON:
    histogram = {"field": TIME, "interval": {"%autointerval%": INTERVALS}, "min_doc_count": 1}
    return {"times": {"date_histogram": histogram, "aggs": aggs}}


def _top(index: str, aggs: JSON, rows: str, title: str) -> JSON:
    return {
        "data": _of_searches(index, aggs, rows),
        "mark": {"type": "bar", "tooltip": True},
        "encoding": {
            "y": {"field": "key", "type": "nominal", "sort": "-x", "title": None},
            "x": _count("doc_count", title),
        },
    }


def _time() -> JSON:
    return {"field": "key", "type": "temporal", "title": None}


def _count(field: str, title: str) -> JSON:
    """An axis of whole numbers."""
    return {"field": field, "type": "quantitative", "title": title, "axis": {"tickMinStep": 1}}


def _shown(field: str, kind: str, title: str) -> JSON:
    return {"field": field, "type": kind, "title": title}

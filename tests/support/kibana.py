"""What Kibana does with a Vega panel and with a saved search: the request that it sends.

After `es_query_parser.ts` of Kibana's Vega plugin and `get_search_params.ts` and `search_source.ts` of its data plugin,
as far as what we export needs them; docs/kibana.md names the versions that were read.
"""

from __future__ import annotations

import copy
import json
from datetime import UTC, datetime
from typing import Any

JSON = dict[str, Any]

ROUNDED = (
    (500, "100ms"),
    (5_000, "1s"),
    (7_500, "5s"),
    (15_000, "10s"),
    (45_000, "30s"),
    (180_000, "1m"),
    (450_000, "5m"),
    (1_200_000, "10m"),
    (2_700_000, "30m"),
    (7_200_000, "1h"),
    (21_600_000, "3h"),
    (86_400_000, "12h"),
)
"""Intervals of date histograms, by the longest time in milliseconds that each is taken for."""


def vega_request(spec: JSON, start: datetime, end: datetime) -> tuple[str, JSON]:
    """The index that a panel asks, and its body, for a dashboard without filters over that time."""
    url = copy.deepcopy(spec["data"]["url"])
    body: JSON = url["body"]
    assert "query" not in body, "Kibana refuses a query of the panel's own beside its context"
    assert set(url) <= {"index", "body", "%context%", "%timefield%"}
    if field := url.get("%timefield%"):
        body["query"] = {"bool": {"must": [in_time(field, start, end)], "filter": [], "should": [], "must_not": []}}
    _with_intervals(body["aggs"], (end - start).total_seconds() * 1000)
    return url["index"], body


def in_time(field: str, start: datetime, end: datetime) -> JSON:
    gte, lte = (moment.astimezone(UTC).isoformat(timespec="milliseconds") for moment in (start, end))
    return {"range": {field: {"gte": gte, "lte": lte, "format": "strict_date_optional_time"}}}


def _with_intervals(value: Any, milliseconds: float) -> None:
    if isinstance(value, list):
        for inner in value:
            _with_intervals(inner, milliseconds)
    if not isinstance(value, dict):
        return
    for name, inner in value.items():
        if name == "date_histogram" and "interval" in inner:
            share = milliseconds / inner.pop("interval")["%autointerval%"]
            inner["fixed_interval"] = next((text for most, text in ROUNDED if share <= most), "24h")
        _with_intervals(inner, milliseconds)


def search_body(attributes: JSON, time: str | None, start: datetime, end: datetime) -> JSON:
    """The body for the documents of a saved search."""
    source = json.loads(attributes["kibanaSavedObjectMeta"]["searchSourceJSON"])
    assert source["query"] == {"query": "", "language": "kuery"}
    filters = [given["query"] for given in source["filter"] if not given["meta"]["disabled"]]
    filters += [in_time(time, start, end)] if time is not None else []
    sort = [{field: {"order": order, "unmapped_type": "boolean"}} for field, order in attributes["sort"]]
    return {
        "size": 500,
        "query": {"bool": {"must": [], "filter": filters, "should": [], "must_not": []}},
        "fields": [{"field": "*", "include_unmapped": "true"}],
        "_source": False,
        **({"sort": sort} if sort else {}),
    }

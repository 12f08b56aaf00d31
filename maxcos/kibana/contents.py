"""What is exported for an index and its query log: which data views, saved searches and panels."""

from __future__ import annotations

from typing import Any

from es_mappings.cluster import is_embedded
from es_mappings.errors import SettingsError
from es_mappings.schema import VECTOR_OBJECT, Schema
from es_mappings.settings import Settings
from maxcos.kibana.objects import SavedSearch, dashboard, data_view, saved_search, visualization
from maxcos.kibana.panels import WHOLE, item_panels, search_panels
from query_api.querylog.entry import TIME, decisive

JSON = dict[str, Any]

MODALITIES = f"{VECTOR_OBJECT}.modalities"
ENCODED = f"{VECTOR_OBJECT}.encoded"
EMPTY = "empty"
"""The saved search that the dashboard shows too."""


def saved_objects(settings: Settings, schema: Schema) -> list[JSON]:
    """Every object, what others refer to first. Their ids are made of the index's name, so that the next import takes
    the place of this one.

    Raises SettingsError for the embedded store, of which Kibana knows nothing.
    """
    if is_embedded(settings.engine):
        raise SettingsError("engine.url: Kibana reads from a cluster, and this is the embedded store")
    index, log = settings.engine.index, settings.log.index

    def named(name: str) -> str:
        return f"maxcos-{index}-{name}"

    vectors = [f"{VECTOR_OBJECT}.{space.name}" for space in schema.spaces]
    objects = [data_view(named("items"), index, f"maxcos items: {index}", time=None, hidden=vectors)]
    objects += [saved_search(named(f"items-{s.name}"), s, named("items")) for s in item_searches(schema)]
    panels = item_panels(index, schema.modalities)
    tables = []
    if log is not None:
        objects.append(data_view(named("searches"), log, f"maxcos searches: {log}", time=TIME))
        found = {s.name: saved_search(named(f"searches-{s.name}"), s, named("searches")) for s in log_searches()}
        objects += found.values()
        tables = [(found[EMPTY], WHOLE)]
        panels += search_panels(log, decisive(schema), texts=settings.log.texts != "none")
    drawn = [(visualization(named(panel.name), panel), panel.width) for panel in panels]
    objects += [one for one, _ in drawn]
    about = f"The items of {index}, and the searches for them"
    return [*objects, dashboard(named("dashboard"), f"maxcos: {index}", about, [*drawn, *tables])]


def item_searches(schema: Schema) -> list[SavedSearch]:
    columns = [*(field.name for field in schema.text[:1]), MODALITIES, ENCODED]
    return [
        SavedSearch("all", "Items", "All items, with what stands beside their vectors", columns),
        SavedSearch("incomplete", "Items that lack a modality", "", columns, lacking(schema)),
    ]


def lacking(schema: Schema) -> JSON:
    """Items without a vector of some modality."""
    without = [{"bool": {"must_not": [{"term": {MODALITIES: modality}}]}} for modality in schema.modalities]
    return {"bool": {"should": without, "minimum_should_match": 1}}


def log_searches() -> list[SavedSearch]:
    columns = ("route", "fusion", "plan", "texts", "entities", "winner", "hits", "took_ms")
    latest = (TIME, "desc")
    failing = [{"exists": {"field": "degraded"}}, {"term": {"partial": True}}]
    return [
        SavedSearch("all", "Searches", "All searches, the latest first", columns, None, latest),
        SavedSearch(
            EMPTY,
            "Searches without results",
            "First pages with no hit",
            ("route", "fusion", "terms", "texts", "entities", "total", "request_id"),
            {"term": {"zero_result": True}},
            latest,
        ),
        SavedSearch(
            "slow",
            "Slowest searches",
            "And which part took how long",
            ("took_ms", "engine_ms", "stages.encode", "stages.engine", "plan", "fusion", "terms", "request_id"),
            None,
            ("took_ms", "desc"),
        ),
        SavedSearch(
            "degraded",
            "Degraded searches",
            "Answers without a modality, or cut short",
            ("degraded", "partial", "took_ms", "engine_ms", "request_id"),
            {"bool": {"should": failing, "minimum_should_match": 1}},
            latest,
        ),
    ]

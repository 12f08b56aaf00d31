"""Saved objects as Kibana imports them: data views, saved searches, visualisations and a dashboard of them.

Each is written as the oldest supported Kibana (8.14) writes it: an import brings older objects up to date, and refuses
newer ones (`document_migrator.ts`), so that one file serves Kibana 8 and 9. docs/kibana.md says what was read for it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from maxcos.kibana.panels import WHOLE, Panel

JSON = dict[str, Any]

CORE = "8.8.0"
VERSIONS = {"index-pattern": "8.0.0", "search": "8.0.0", "visualization": "8.5.0", "dashboard": "8.9.0"}
"""By type, which of its formats an object has. The names are Kibana's: a data view is an "index-pattern"."""

SOURCE = "kibanaSavedObjectMeta.searchSourceJSON"
NO_QUERY: JSON = {"query": {"query": "", "language": "kuery"}, "filter": []}
HEIGHT = 12
"""Of a panel, in rows of a dashboard."""


@dataclass(frozen=True, slots=True)
class SavedSearch:
    """Documents of a data view. query: which of them, as the engine is asked; None: all. sort: field, direction."""

    name: str
    title: str
    description: str
    columns: Sequence[str]
    query: JSON | None = None
    sort: tuple[str, str] | None = None


def data_view(identifier: str, index: str, name: str, *, time: str | None, hidden: Iterable[str] = ()) -> JSON:
    """hidden: fields that Discover does not show, such as vectors. time: the field that the time filter is about."""
    attributes = {
        "title": index,
        "name": name,
        "sourceFilters": json.dumps([{"value": field} for field in hidden]),
        **({"timeFieldName": time} if time is not None else {}),
        "fields": "[]",
        "fieldAttrs": "{}",
        "fieldFormatMap": "{}",
        "runtimeFieldMap": "{}",
        "typeMeta": "{}",
    }
    return _saved("index-pattern", identifier, attributes)


def saved_search(identifier: str, search: SavedSearch, view: str) -> JSON:
    source: JSON = {**NO_QUERY, "highlightAll": True, "version": True, "indexRefName": f"{SOURCE}.index"}
    references = [_reference(f"{SOURCE}.index", "index-pattern", view)]
    if search.query is not None:
        name = f"{SOURCE}.filter[0].meta.index"
        source["filter"] = [_filter(search, name)]
        references.append(_reference(name, "index-pattern", view))
    attributes = {
        "title": search.title,
        "description": search.description,
        "columns": list(search.columns),
        "sort": [list(search.sort)] if search.sort is not None else [],
        "grid": {},
        "hideChart": False,
        "isTextBasedQuery": False,
        "kibanaSavedObjectMeta": {"searchSourceJSON": json.dumps(source)},
    }
    return _saved("search", identifier, attributes, references)


def _filter(search: SavedSearch, index: str) -> JSON:
    """A filter whose query Kibana sends as it stands."""
    meta = {
        "alias": search.title,
        "disabled": False,
        "negate": False,
        "type": "custom",
        "key": "query",
        "value": json.dumps(search.query),
        "indexRefName": index,
    }
    return {"$state": {"store": "appState"}, "meta": meta, "query": search.query}


def visualization(identifier: str, panel: Panel) -> JSON:
    state = {"title": panel.title, "type": "vega", "aggs": [], "params": {"spec": json.dumps(panel.spec, indent=2)}}
    attributes = {
        "title": panel.title,
        "description": panel.description,
        "visState": json.dumps(state),
        "uiStateJSON": "{}",
        "version": 1,
        "kibanaSavedObjectMeta": {"searchSourceJSON": json.dumps(NO_QUERY)},
    }
    return _saved("visualization", identifier, attributes)


def dashboard(identifier: str, title: str, description: str, shown: Sequence[tuple[JSON, int]]) -> JSON:
    """shown: visualisations and saved searches, each with its width; a row ends where the next does not fit."""
    panels, references = [], []
    x = y = 0
    for number, (saved, width) in enumerate(shown):
        if x + width > WHOLE:
            x, y = 0, y + HEIGHT
        name = f"panel_{number}"
        panels.append(
            {
                "type": saved["type"],
                "panelIndex": str(number),
                "panelRefName": name,
                "gridData": {"x": x, "y": y, "w": width, "h": HEIGHT, "i": str(number)},
                "embeddableConfig": {"enhancements": {}},
            }
        )
        references.append(_reference(f"{number}:{name}", saved["type"], saved["id"]))
        x += width
    attributes = {
        "title": title,
        "description": description,
        "panelsJSON": json.dumps(panels),
        "optionsJSON": json.dumps({"useMargins": True, "syncColors": False, "hidePanelTitles": False}),
        "timeRestore": True,
        "timeFrom": "now-7d",
        "timeTo": "now",
        "refreshInterval": {"pause": True, "value": 60000},
        "version": 1,
        "kibanaSavedObjectMeta": {"searchSourceJSON": json.dumps(NO_QUERY)},
    }
    return _saved("dashboard", identifier, attributes, references)


def _saved(kind: str, identifier: str, attributes: JSON, references: Sequence[JSON] = ()) -> JSON:
    return {
        "type": kind,
        "id": identifier,
        "attributes": attributes,
        "references": list(references),
        "coreMigrationVersion": CORE,
        "typeMigrationVersion": VERSIONS[kind],
        "managed": False,
    }


def _reference(name: str, kind: str, identifier: str) -> JSON:
    return {"name": name, "type": kind, "id": identifier}

"""The saved objects as Kibana takes them, as far as that can be told without one: see docs/kibana.md.

What they ask of an engine runs on real ones in tests/acceptance/test_kibana.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import vl_convert
from click.testing import CliRunner

from corner import write
from corpus import LEXICAL, Encodes
from es_mappings.dialects import dialect_for
from es_mappings.errors import SettingsError
from es_mappings.mappings import properties
from es_mappings.schema import Schema, build_schema
from es_mappings.settings import EngineSettings, LogSettings, Settings
from maxcos.cli import main
from maxcos.kibana.contents import saved_objects
from query_api.querylog.entry import index_body

JSON = dict[str, Any]

ENGINE = EngineSettings(url="http://127.0.0.1:1", index="shop")
LOG = LogSettings(index="shop-searches", texts="plain")

ATTRIBUTES = {
    "dashboard": {
        *("title", "description", "kibanaSavedObjectMeta", "timeRestore", "timeFrom", "timeTo", "refreshInterval"),
        *("controlGroupInput", "panelsJSON", "optionsJSON", "hits", "version"),
    },
    "search": {
        *("title", "description", "columns", "sort", "grid", "rowHeight", "rowsPerPage", "hideChart", "breakdownField"),
        *("kibanaSavedObjectMeta", "isTextBasedQuery", "usesAdHocDataView", "timeRestore", "timeRange", "viewMode"),
        *("refreshInterval", "hideAggregatedPreview", "hits", "version"),
    },
    "visualization": {
        *("title", "description", "version", "kibanaSavedObjectMeta", "uiStateJSON", "visState", "savedSearchRefName"),
    },
}
"""By type, all that Kibana's schema of the format knows; it refuses others. Data views have no schema."""

KINDS = {"terms": "keyword", "percentiles": "number", "sum": "number", "date_histogram": "date", "term": "any"}
KINDS |= {"auto_date_histogram": "date", "exists": "any"}
"""By what is asked of a field, what it has to hold."""
HOLDS = {"keyword": "keyword", "float": "number", "long": "number", "double": "number", "date": "date"}


@pytest.fixture(scope="module")
def schema() -> Schema:
    return build_schema(LEXICAL, [Encodes()])


@pytest.fixture(scope="module")
def objects(schema: Schema) -> list[JSON]:
    return saved_objects(Settings(engine=ENGINE, log=LOG), schema)


@pytest.fixture(scope="module")
def fields(schema: Schema) -> dict[str, dict[str, str]]:
    """By index, the type of each field."""
    made = index_body(schema, ENGINE)["mappings"]["properties"]
    return {
        "shop": dict(flat(properties(schema, dialect_for("elasticsearch", (9, 4))))),
        "shop-searches": dict(flat(made)),
    }


def flat(mapping: JSON, above: str = "") -> Iterator[tuple[str, str]]:
    for name, field in mapping.items():
        if "type" in field and field["type"] not in {"object", "nested"}:
            yield f"{above}{name}", field["type"]
        for inner in ("properties", "fields"):
            yield from flat(field.get(inner, {}), f"{above}{name}.")


def of(objects: list[JSON], kind: str) -> list[JSON]:
    return [one for one in objects if one["type"] == kind]


def source(saved: JSON) -> JSON:
    found: JSON = json.loads(saved["attributes"]["kibanaSavedObjectMeta"]["searchSourceJSON"])
    return found


def specs(objects: list[JSON]) -> Iterator[tuple[str, JSON]]:
    for saved in of(objects, "visualization"):
        state = json.loads(saved["attributes"]["visState"])
        assert (state["title"], state["type"], state["aggs"]) == (saved["attributes"]["title"], "vega", [])
        yield saved["id"], json.loads(state["params"]["spec"])


def test_an_import_takes_the_place_of_the_last(objects: list[JSON], schema: Schema) -> None:
    ids = [(one["type"], one["id"]) for one in objects]
    assert len(set(ids)) == len(ids)
    assert objects == saved_objects(Settings(engine=ENGINE, log=LOG), schema)
    other = EngineSettings(url=ENGINE.url, index="other")
    assert not {*ids} & {(one["type"], one["id"]) for one in saved_objects(Settings(engine=other, log=LOG), schema)}


def test_each_refers_to_what_stands_before_it(objects: list[JSON]) -> None:
    before: set[tuple[str, str]] = set()
    for saved in objects:
        assert {(reference["type"], reference["id"]) for reference in saved["references"]} <= before
        before.add((saved["type"], saved["id"]))


def test_each_has_the_form_of_a_kibana_that_all_know(objects: list[JSON]) -> None:
    members = {"type", "id", "attributes", "references", "coreMigrationVersion", "typeMigrationVersion", "managed"}
    for saved in objects:
        assert saved.keys() == members
        assert saved["coreMigrationVersion"] == "8.8.0"
        assert saved["typeMigrationVersion"] <= "8.9.0"
        if saved["type"] in ATTRIBUTES:
            assert saved["attributes"].keys() <= ATTRIBUTES[saved["type"]]


def test_searches_and_their_filters_find_their_data_view(objects: list[JSON]) -> None:
    views = {view["id"] for view in of(objects, "index-pattern")}
    for saved in of(objects, "search"):
        found = source(saved)
        names = [found["indexRefName"], *(one["meta"]["indexRefName"] for one in found["filter"])]
        assert [reference["name"] for reference in saved["references"]] == names
        assert {reference["id"] for reference in saved["references"]} <= views
        assert len({reference["id"] for reference in saved["references"]}) == 1
        for one in found["filter"]:
            assert json.loads(one["meta"]["value"]) == one["query"]


def test_data_views_show_no_vectors(objects: list[JSON], fields: dict[str, dict[str, str]]) -> None:
    items, searches = of(objects, "index-pattern")
    assert (items["attributes"]["title"], "timeFieldName" in items["attributes"]) == ("shop", False)
    assert (searches["attributes"]["title"], searches["attributes"]["timeFieldName"]) == ("shop-searches", "@timestamp")
    assert fields["shop-searches"]["@timestamp"] == "date"
    hidden = {one["value"] for one in json.loads(items["attributes"]["sourceFilters"])}
    assert hidden == {name for name, kind in fields["shop"].items() if kind == "dense_vector"}


def test_the_dashboard_shows_every_panel_in_a_place_of_its_own(objects: list[JSON]) -> None:
    (saved,) = of(objects, "dashboard")
    panels = json.loads(saved["attributes"]["panelsJSON"])
    references = {reference["name"]: (reference["type"], reference["id"]) for reference in saved["references"]}
    shown = [references[f"{panel['panelIndex']}:{panel['panelRefName']}"] for panel in panels]
    assert [kind for kind, _ in shown] == [panel["type"] for panel in panels]
    drawn = [("visualization", one["id"]) for one in of(objects, "visualization")]
    assert shown == [*drawn, ("search", "maxcos-shop-searches-empty")]
    cells = set()
    for panel in panels:
        grid = panel["gridData"]
        assert grid["i"] == panel["panelIndex"]
        assert grid["x"] + grid["w"] <= 48
        own = {(x, y) for x in range(grid["x"], grid["x"] + grid["w"]) for y in range(grid["y"], grid["y"] + grid["h"])}
        assert not own & cells
        cells |= own
    assert json.loads(saved["attributes"]["optionsJSON"])["useMargins"]
    assert source(saved)["filter"] == []


def asked(value: Any) -> Iterator[tuple[str, str]]:
    """What is asked of which field, anywhere in a query or an aggregation."""
    for name, inner in value.items() if isinstance(value, dict) else ():
        if name in {"term", "range"}:
            yield from ((name, field) for field in inner)
        elif name in KINDS and "field" in inner:
            yield name, inner["field"]
        yield from asked(inner)
    for inner in value if isinstance(value, list) else ():
        yield from asked(inner)


def test_panels_and_searches_ask_fields_that_can_answer(objects: list[JSON], fields: dict[str, dict[str, str]]) -> None:
    total = 0
    for identifier, spec in specs(objects):
        url = spec["data"]["url"]
        for kind, field in asked(url["body"]):
            holds = fields[url["index"]][field]
            assert KINDS[kind] in {"any", HOLDS.get(holds)}, (identifier, kind, field, holds)
            total += 1
        if "%timefield%" in url:
            assert fields[url["index"]][url["%timefield%"]] == "date"
            assert url["%context%"] is True
    assert total >= 20
    titles = {view["id"]: view["attributes"]["title"] for view in of(objects, "index-pattern")}
    for saved in of(objects, "search"):
        known = fields[titles[saved["references"][0]["id"]]]
        assert {*saved["attributes"]["columns"]} <= known.keys()
        assert {field for field, _ in saved["attributes"]["sort"]} <= known.keys()
        assert {field for _, field in asked(source(saved))} <= known.keys()


@pytest.mark.parametrize("version", ["5.8", "6.4"])
def test_panels_are_vega_lite_of_the_versions_that_kibana_brings(objects: list[JSON], version: str) -> None:
    for _, spec in specs(objects):
        # Only a single or layered view is fitted to its panel.
        assert "mark" in spec
        data = {"values": {"aggregations": {}}, "format": spec["data"]["format"]}
        compiled = vl_convert.vegalite_to_vega({**spec, "data": data}, vl_version=version)
        assert compiled["marks"]


def test_without_a_log_nothing_is_told_of_searches(schema: Schema) -> None:
    objects = saved_objects(Settings(engine=ENGINE), schema)
    assert [one["type"] for one in objects] == ["index-pattern", *["search"] * 2, *["visualization"] * 2, "dashboard"]
    assert "winner" not in json.dumps(objects)


def test_without_texts_there_is_no_panel_of_them(objects: list[JSON], schema: Schema) -> None:
    fewer = saved_objects(Settings(engine=ENGINE, log=LogSettings(index="shop-searches")), schema)
    missing = {one["id"] for one in objects} - {one["id"] for one in fewer}
    assert missing == {"maxcos-shop-without-results"}


def test_kibana_knows_nothing_of_the_embedded_store(schema: Schema) -> None:
    with pytest.raises(SettingsError, match=r"engine\.url: Kibana reads from a cluster"):
        saved_objects(Settings(engine=EngineSettings()), schema)


def test_the_command_writes_lines_of_json(tmp_path: Path) -> None:
    config = write(tmp_path, {"url": "http://127.0.0.1:1", "index": "corner"}, {})
    command = ["kibana", "export", "--config", str(config)]
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 0, done.output
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["type"] for line in lines][-1] == "dashboard"
    assert "without log.index there is no query log" in done.stderr
    files = ["--out", str(tmp_path / "out.ndjson"), "--console", str(tmp_path / "console.txt")]
    assert CliRunner().invoke(main, [*command, *files]).stdout == ""
    assert (tmp_path / "out.ndjson").read_text("utf-8") == done.stdout
    assert "GET /corner/_mapping\n" in (tmp_path / "console.txt").read_text("utf-8")
    assert CliRunner().invoke(main, [*command, "--query", "sofa"]).exit_code == 2

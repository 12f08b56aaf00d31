"""The figures on noise in the documents are those of the runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
QUERIES = ("words", "text", "max raw", "max", "hybrid")
ITEMS = ("text", "image", "max raw", "max", "hybrid")


def results(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ROOT / f"benchmarks/results/{name}.json").read_text("utf-8"))
    return found


def table(document: str, first: str) -> list[list[str]]:
    """The rows of the table whose first column is called so."""
    lines = (ROOT / document).read_text("utf-8").partition(f"| {first} |")[2].splitlines()[2:]
    rows = lines[: next(number for number, line in enumerate(lines) if not line.startswith("|"))]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def cell(figures: list[float]) -> str:
    """What noise costs; in brackets what may be chance."""
    _, _, cost, low, high = figures
    return f"({cost:+.3f})" if low <= 0 <= high else f"{cost:+.3f}"


def test_the_figures_on_noisy_queries_are_those_of_the_run() -> None:
    found = results("noisy-queries")
    wanted = [
        [
            f"{kind}, {language}",
            str(told["changed"]),
            *(cell(told[system.replace("words", "lexical")]) for system in QUERIES),
        ]
        for language in ("en", "zh")
        for kind, told in found[language].items()
        if kind != "queries"
    ]
    assert table("docs/quality.md", "noise in queries") == wanted


def test_the_figures_on_half_of_the_labels_are_those_of_the_runs() -> None:
    runs = {run["language"]: run for run in results("missing-labels-half")["runs"]}
    columns = [(metric, language) for metric in ("nDCG@10", "R@100") for language in ("zh", "en")]
    wanted = [
        [f"{runs[language][f'{system} over text'][metric][0]:+.3f}" for metric, language in columns]
        for system in ("hybrid", "hybrid raw", "hybrid judged")
    ]
    assert [row[1:] for row in table("docs/quality.md", "half of the labels gone")] == wanted


def test_the_figures_on_noisy_items_are_those_of_the_run() -> None:
    wanted = [
        [kind if group == "touched" else "", group, str(told["queries"]), *(cell(told[system]) for system in ITEMS)]
        for kind, groups in results("noisy-items")["quality"].items()
        for group, told in groups.items()
        if group != "all"
    ]
    assert table("docs/quality.md", "damage") == wanted


def test_the_figures_on_inconsistent_items_are_those_of_the_run() -> None:
    findings = [*(f"inconsistent: {m}" for m in ("image", "english", "graph")), "modalities disagree: english / image"]

    def shown(told: dict[str, Any], finding: str) -> str:
        counts = told.get(finding, {"listed": 0, "damaged": 0})
        return f"{counts['damaged']} of {counts['listed']}"

    wanted = [
        [name, str(told["damaged"]), *(shown(told, finding) for finding in findings)]
        for name, told in results("noisy-items")["audit"].items()
    ]
    assert table("docs/audit.md", "damaged") == wanted


@pytest.mark.parametrize("name", ["noisy-queries", "noisy-items"])
def test_costs_are_what_lies_between_the_means(name: str) -> None:
    def rows(told: Any) -> list[list[float]]:
        if isinstance(told, dict):
            return [row for inner in told.values() for row in rows(inner)]
        return [told] if isinstance(told, list) and len(told) == 5 and isinstance(told[0], float) else []

    found = rows(results(name))
    assert found
    for before, after, cost, low, high in found:
        assert after - before == pytest.approx(cost, abs=2e-4)
        assert low <= cost <= high

"""The results of several `maxcos eval --json` side by side, small enough to keep: without their queries, rounded.

    for name in emoji-zh emoji-en emoji appstream hpo; do
      maxcos eval --benchmark $name --ablate --json benchmark/$name.json
    done
    python benchmarks/quality.py benchmark/*.json --output benchmarks/results/quality.json --plot docs/quality.png

Prints the table of docs/quality.md, and draws its picture.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import click

DIGITS = 5
FUSIONS = ("max raw", "max", "hybrid")


def rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: rounded(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [rounded(inner) for inner in value]
    if isinstance(value, float):
        # p-values are small, and 0 is none.
        return float(f"{value:.2g}") if 0 < value < 10**-DIGITS else round(value, DIGITS)
    return value


def table(reports: dict[str, Any]) -> list[str]:
    """One line for each data set and language: words, the best modality, and what fusion makes of them."""
    lines = ["| data | metric | words | best modality | max raw | max | hybrid | hybrid over the best part, p |"]
    lines.append("|" + "---|" * 8)
    for name, report in reports.items():
        groups = report["groups"][1:] or report["groups"]
        for group in groups:
            metric = "RR@10" if name == "hpo" else "nDCG@10"
            rows = {row["system"]: row for row in group["rows"]}
            means = {system: row["metrics"][metric]["mean"] for system, row in rows.items()}
            names = list(rows)
            parts = names[: names.index("max")]
            alone = max(parts[1:], key=lambda part: means[part])
            best = max(parts, key=lambda part: means[part])
            found = next(d for d in rows["hybrid"]["differences"][metric] if d["against"] == best)
            data = name if len(groups) == 1 else f"{name}, {group['language']}"
            fused = " | ".join(f"{means[system]:.3f}" for system in FUSIONS)
            gain = f"{found['mean']:+.3f} over {best}, {found['p']:.1g}"
            lines.append(
                f"| {data} | {metric} | {means['lexical']:.3f} | {alone} {means[alone]:.3f} | {fused} | {gain} |"
            )
    return lines


def plot(reports: dict[str, Any], output: Path) -> None:
    """Every system's mean with its interval, one panel for each data set and language."""
    from matplotlib.figure import Figure

    panels = [
        (name if len(groups) == 1 else f"{name}, {group['language']}", metric, group["rows"])
        for name, report in reports.items()
        for metric in ["RR@10" if name == "hpo" else "nDCG@10"]
        for groups in [report["groups"][1:] or report["groups"]]
        for group in groups
    ]
    figure = Figure(figsize=(9, 0.5 + 1.9 * -(-len(panels) // 2)), layout="constrained")
    axes = figure.subplots(-(-len(panels) // 2), 2, squeeze=False).ravel()
    for axis in axes[len(panels) :]:
        axis.set_axis_off()
    for axis, (title, metric, rows) in zip(axes, panels, strict=False):
        shown = [row for row in reversed(rows) if "without" not in row["system"]]
        found = [row["metrics"][metric] for row in shown]
        centres = [one["mean"] for one in found]
        margins = [[one["mean"] - one["low"] for one in found], [one["high"] - one["mean"] for one in found]]
        axis.errorbar(
            centres, range(len(shown)), xerr=margins, fmt="o", markersize=4, color="#3b6fb6", ecolor="#9bb5d9"
        )
        axis.set(xlim=(0, None), yticks=range(len(shown)), yticklabels=[row["system"] for row in shown])
        axis.set_title(f"{title}: {metric}", fontsize=9)
        axis.tick_params(labelsize=7)
        axis.grid(axis="x", alpha=0.3)
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(output, dpi=100)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("reports", type=Path, nargs="+")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--plot", type=Path)
    given = parser.parse_args()
    read = {path.stem: json.loads(path.read_text("utf-8")) for path in given.reports}
    small = {
        name: rounded({key: value for key, value in report.items() if key != "queries"})
        for name, report in read.items()
    }
    click.echo("\n".join(table(small)))
    if given.output:
        given.output.write_text(json.dumps(small, indent=1) + "\n", "utf-8")
    if given.plot:
        plot(small, given.plot)


if __name__ == "__main__":
    main()

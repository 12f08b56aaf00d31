"""The results of several `maxcos eval --json` side by side, small enough to keep: without their queries, rounded.

    for name in emoji-zh emoji-en emoji appstream hpo; do
      maxcos eval --benchmark $name --ablate --json benchmark/$name.json
    done
    python benchmarks/quality.py benchmark/*.json --output benchmarks/results/quality.json

Prints the table of docs/quality.md.
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


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("reports", type=Path, nargs="+")
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    read = {path.stem: json.loads(path.read_text("utf-8")) for path in given.reports}
    small = {
        name: rounded({key: value for key, value in report.items() if key != "queries"})
        for name, report in read.items()
    }
    click.echo("\n".join(table(small)))
    if given.output:
        given.output.write_text(json.dumps(small, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()

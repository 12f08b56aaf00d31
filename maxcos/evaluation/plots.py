"""The plots of a report, as SVG to stand in a page."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from maxcos.evaluation.metrics import METRICS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from maxcos.evaluation.report import Group, Row

STYLE: Any = {"svg.fonttype": "none", "svg.hashsalt": "maxcos", "font.size": 9, "axes.spines.top": False}
COLOURS = ("#3b6fb6", "#d97b29", "#4a9a5c", "#9a5cb4", "#c44e52", "#7f7f7f", "#8c6d31", "#17a2b8")


def means(group: Group) -> str:
    """Every system's mean of every metric, with its interval."""

    def draw(figure: Figure) -> None:
        axes = figure.subplots(1, len(METRICS), sharey=True)
        rows = list(reversed(group.rows))
        for axis, metric in zip(axes, METRICS, strict=True):
            found = [row.metrics[metric] for row in rows]
            centres = [one.mean for one in found]
            margins = [[one.mean - one.low for one in found], [one.high - one.mean for one in found]]
            axis.errorbar(centres, range(len(rows)), xerr=margins, fmt="o", color=COLOURS[0], ecolor="#9bb5d9")
            axis.set(title=metric, xlim=(0, None), yticks=range(len(rows)), yticklabels=[row.system for row in rows])
            axis.grid(axis="x", alpha=0.3)

    return _svg((9, 0.6 + 0.28 * len(group.rows)), draw)


def cost(rows: Sequence[Row]) -> str:
    """What a query costs against what it is worth."""

    def draw(figure: Figure) -> None:
        axis = figure.subplots()
        for row in rows:
            axis.plot(row.ms, row.metrics[METRICS[0]].mean, "o", color=COLOURS[0])
            axis.annotate(row.system, (row.ms, row.metrics[METRICS[0]].mean), (4, 3), textcoords="offset points")
        axis.set(
            xlabel="median ms of a query whose vectors are known", ylabel=METRICS[0], xlim=(0, None), ylim=(0, None)
        )
        axis.grid(alpha=0.3)

    return _svg((6, 3.2), draw)


def winners(shares: Mapping[str, Mapping[str, int]]) -> str:
    """By system the share of the first hits that each modality decided."""

    def draw(figure: Figure) -> None:
        axis = figure.subplots()
        names = sorted({name for won in shares.values() for name in won})
        systems = [system for system in reversed(list(shares)) if shares[system]]
        left = [0.0] * len(systems)
        for name, colour in zip(names, COLOURS * len(names), strict=False):
            widths = [shares[system].get(name, 0) / sum(shares[system].values()) for system in systems]
            axis.barh(systems, widths, left=left, label=name, color=colour)
            left = [start + width for start, width in zip(left, widths, strict=True)]
        axis.set(xlim=(0, 1))
        axis.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)

    return _svg((7, 0.6 + 0.26 * len(shares)), draw)


def gains(differences: Sequence[float]) -> str:
    """The differences of all queries, the largest first: how many gain, how many lose, and how much."""

    def draw(figure: Figure) -> None:
        axis = figure.subplots()
        ordered = sorted(differences, reverse=True)
        axis.fill_between(range(len(ordered)), ordered, step="mid", color=COLOURS[0], alpha=0.7)
        axis.set(xlabel="queries", ylabel=f"difference of {METRICS[0]}", xlim=(0, len(ordered)), ylim=(-1, 1))
        axis.grid(axis="y", alpha=0.3)

    return _svg((7, 2.4), draw)


def _svg(size: tuple[float, float], draw: Any) -> str:
    """Same figures, same bytes: no date, and no random names."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(STYLE):
        figure = Figure(figsize=size, layout="constrained")
        draw(figure)
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None})
    svg = text.getvalue()
    return svg[svg.index("<svg") :]

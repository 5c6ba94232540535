"""Pictures of what was measured, as SVG; none where matplotlib is missing, which only the training extra brings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.growth import TITLES

WIDTH, HEIGHT = 8.0, 3.6  # inches
OURS, THEIRS = "#1f6f8b", "#b8b8b8"


def draw(found: dict[str, Any], directory: Path) -> list[Path]:
    """Writes a picture for each part that is there; returns the files."""
    try:
        import matplotlib as mpl
    except ImportError:
        return []
    mpl.rcParams["svg.hashsalt"] = "streamgauge"  # the same figures give the same bytes
    pictures = {"engines": _engines, "stages": _stages, "growth": _growth}
    out = []
    for name, picture in pictures.items():
        figure = picture(found)
        if figure is not None:
            path = directory / f"{name}.svg"
            figure.savefig(path, metadata={"Date": None}, bbox_inches="tight")
            out.append(path)
    return out


def _figure() -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, HEIGHT))
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _engines(found: dict[str, Any]) -> Any:
    """Processor time an event of each engine, on a scale of decades, with the span of its rounds."""
    rows = [row for row in found.get("peers", {}).values() if isinstance(row, dict) and "cpu_us_per_event" in row]
    if not rows:
        return None
    figure, axes = _figure()
    rows.sort(key=lambda row: -row["cpu_us_per_event"])
    values = [row["cpu_us_per_event"] for row in rows]
    spans = [[abs(value - row["cpu_us_per_event_range"][side]) for value, row in zip(values, rows, strict=True)] for side in (0, 1)]
    colours = [OURS if row["title"].startswith("streamgauge") else THEIRS for row in rows]
    bars = axes.barh([row["title"] for row in rows], values, xerr=spans, color=colours, ecolor="#555555")
    axes.bar_label(bars, [f"{value:,.1f}" for value in values], padding=6)
    axes.set_xscale("log")
    axes.set_xlim(right=max(values) * 4)
    axes.set_xlabel("µs of processor time an event, client's process")
    return figure


def _stages(found: dict[str, Any]) -> Any:
    """What a stage of the loop costs."""
    stages = found.get("peers", {}).get("streamgauge", {}).get("stages_us")
    if not stages:
        return None
    figure, axes = _figure()
    names = list(stages)[::-1]
    bars = axes.barh(names, [stages[name] for name in names], color=OURS)
    axes.bar_label(bars, [f"{stages[name]:.2f}" for name in names], padding=4)
    axes.set_xlabel("µs of processor time an event, each stage alone")
    return figure


def _growth(found: dict[str, Any]) -> Any:
    """The fold's cost over entities, fields and windows."""
    growth = found.get("growth")
    if not growth:
        return None
    from matplotlib.figure import Figure

    figure = Figure(figsize=(1.5 * WIDTH, HEIGHT))
    for axes, (name, points) in zip(figure.subplots(1, len(growth)), growth.items(), strict=True):
        _line(axes, points)
        axes.set_xlabel(TITLES[name])
        if points[-1]["n"] >= 1_000:
            axes.set_xscale("log")
    figure.axes[0].set_ylabel("µs an event, decode to outputs")
    return figure


def _line(axes: Any, points: Sequence[dict[str, float]]) -> None:
    axes.plot([point["n"] for point in points], [point["us_per_event"] for point in points], "o-", color=OURS)
    axes.set_ylim(bottom=0)
    axes.spines[["top", "right"]].set_visible(False)

"""Versions, decisions and a comparison as tables for people."""

from __future__ import annotations

import math
from typing import Any

import click
from rich.console import Console
from rich.table import Table


def show_versions(versions: list[dict[str, Any]], decisions: list[dict[str, Any]]) -> None:
    """A line a version, then a line for everything that became of one."""
    for version in versions:
        shown = "  ".join(f"{name} {value:.4g}" for name, value in version["metrics"].items())
        learnt = f"{version['revisions']} revisions" if version["revisions"] else ""
        click.echo(f"{version['version']:10} {version['role']:10} {version['family']:10} {shown}{learnt}".rstrip())
    if decisions:
        click.echo()
    for decision in decisions:
        at = decision["event_time"] or "before any label"
        decided = f" ({decision['decided'][:16]}Z)" if decision["decided"] else ""
        click.echo(f"{at[:20]:20} {decision['version']:10} {decision['stage']:11} {decision['by']}{decided}: {decision['why']}")


def show_comparison(found: dict[str, Any], first: str, second: str) -> None:
    """Figures side by side, the difference with its interval in a sentence, and what each was trained on."""
    parts = [found["versions"][name] for name in (first, second)]
    table = Table(title=f"{found['feed']}: {found['labels']:,} labels of events that both predicted", title_justify="left")
    for column in ("", first, second):
        table.add_column(column, justify="left" if not column else "right")
    for name in [name for name in parts[0]["metrics"] if name != "confusion"]:
        table.add_row(name.replace("_", " "), *(_number(part["metrics"][name]) for part in parts))
    names = dict.fromkeys(name for part in parts for name in part["held_out"])
    for name in names:
        table.add_row(f"held out: {name.replace('_', ' ')}", *(_number(part["held_out"].get(name)) for part in parts))
    for name in dict.fromkeys(name for part in parts for name in part["parameters"]):
        table.add_row(name.replace("_", " "), *(part["parameters"].get(name, "–") for part in parts))
    Console().print(table)
    click.echo(_sentence(found, first, second))
    for name, part in zip((first, second), parts, strict=True):
        click.echo(f"{name}: {_origin(part)}")


def _sentence(found: dict[str, Any], first: str, second: str) -> str:
    difference = found["difference"]
    if difference is None:
        return "no event with a label was predicted by both; they must run beside each other: shadow, canary, split or watch"
    mean, interval = difference["mean"], difference["interval"]
    said = f"mean {found['loss']} of {first} − {second}: {mean:.4g}"
    if interval is None:
        return f"{said}; too few labels for an interval"
    verdict = f"{difference['better']} is better" if difference["better"] else "it is not shown that either is better"
    return f"{said}, 95 % between {interval[0]:.4g} and {interval[1]:.4g}: {verdict}"


def _origin(part: dict[str, Any]) -> str:
    pin = part["pin"]
    if pin is None:
        return f"learns from every label; newest revision {part['snapshot']}"
    offsets = ", ".join(f"{place} {first} to {end}" for place, (first, end) in pin["offsets"].items())
    left_out = f", without {len(pin['left_out'])} confirmed incidents" if pin.get("left_out") else ""
    examples = f" on examples {pin['examples'][0]} to {pin['examples'][1]}{left_out}" if pin.get("examples") else ""
    return f"trained for {part['request']}{examples}; events of definition {pin['definition'][:12]}: {offsets or 'none named'}"


def _number(value: float | int | None) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"

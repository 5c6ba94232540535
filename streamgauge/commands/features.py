"""``streamgauge features PLANT ENTITY…``: the newest features of entities, and what each value is worth."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from streamgauge.commands.options import feed_option, json_option, plant_argument, redis_option, resolve_feeds, resolve_servers, say

if TYPE_CHECKING:
    from contracts.definition import Feed
    from feature_store.feature_table import EntityFeatures, FeatureTable

LISTED = 20  # entities named where none is asked for: a fleet's thousands would scroll the count away
COLOURS = {"fresh": "green", "missing": "bright_black", "other definition": "red", "never seen": "red"}  # the rest: yellow


@click.command("features")
@plant_argument
@click.argument("entities", nargs=-1, metavar="[ENTITY]...")
@feed_option
@redis_option
@json_option
def command(plant: Path, entities: tuple[str, ...], feed_name: str | None, redis: str | None, as_json: bool) -> None:
    """Read the newest features of one or more entities from the store; without ENTITY list some that there are."""
    from feature_store.readers import FeatureReader
    from stream_processors.waiting import wait_for_redis

    feeds, url = resolve_feeds(plant, feed_name), resolve_servers(redis=redis).redis
    wait_for_redis(url, say=say)
    if not entities:
        _list(plant, feeds, url, as_json)
        return
    found: dict[str, FeatureTable] = {}
    for feed in feeds:
        with FeatureReader(url, feed) as reader:
            found[feed.name] = reader.read(list(dict.fromkeys(entities)))
    if as_json:
        import msgspec

        text = msgspec.json.encode({"feeds": {name: {row.entity: as_plain(row) for row in table} for name, table in found.items()}})
        click.echo(msgspec.json.format(text, indent=2))
    else:
        for name, table in found.items():
            _show(name, list(table))


def _list(plant: Path, feeds: list[Feed], url: str, as_json: bool) -> None:
    """Entities of each feed, and how to ask for one."""
    import json

    from feature_store.known_entities import some_entities

    found = {feed.name: some_entities(url, feed, LISTED) for feed in feeds}
    if as_json:
        click.echo(json.dumps({"feeds": {name: {"count": count, "entities": names} for name, (names, count) in found.items()}}, indent=2))
        return
    for name, (names, count) in found.items():
        more = f", some of them: {', '.join(names)}" if count > len(names) else f": {', '.join(names)}" if names else ""
        click.echo(f"{name}: {count:,} {'entity' if count == 1 else 'entities'}{more}")
    first = next((names[0] for names, _ in found.values() if names), None)
    if first is None:
        say(f"no reading was folded yet; a worker must run: streamgauge worker {plant}")
    else:
        say(f"ask for one: streamgauge features {shlex.quote(str(plant))} {shlex.quote(first)}")


def as_plain(row: EntityFeatures) -> dict[str, Any]:
    """An entity's features as JSON values: times ISO 8601, age in seconds, null where there is no value."""
    from contracts.event_time import format_event_time

    return {
        "event_time": None if row.event_time is None else format_event_time(row.event_time),
        "age_s": None if row.age is None else row.age / 1e6,
        "partition": row.partition,
        "generation": row.generation,
        "offset": row.offset,
        "features": {name: {"value": None if math.isnan(v.value) else v.value, "worth": v.worth.word} for name, v in row.features.items()},
    }


def _show(name: str, rows: Sequence[EntityFeatures]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from feature_store.feature_table import Worth

    table = Table(title=name, title_justify="left")
    for column, justify in (("entity", "left"), ("feature", "left"), ("value", "right"), ("worth", "left"), ("age", "right")):
        table.add_column(column, justify=justify, overflow="fold")  # type: ignore[arg-type]
    for row in rows:
        entity = escape(row.entity)  # a name such as [pump] is no style
        worths = {value.worth for value in row.features.values()}
        if row.event_time is None:
            table.add_row(entity, "all", "–", _coloured(max(worths, default=Worth.NEVER_SEEN).word), "–")
        for feature, (value, worth) in row.features.items() if row.event_time is not None else ():
            table.add_row(entity, feature, "–" if math.isnan(value) else f"{value:.6g}", _coloured(worth.word), _age(row.age))
        table.add_section()
    Console().print(table)


def _coloured(word: str) -> str:
    return f"[{COLOURS.get(word, 'yellow')}]{word}[/]"


def _age(age: int | None) -> str:
    """The age of a value in its largest unit: ``4.2 s``, ``3.1 h``."""
    if age is None:
        return "–"
    seconds = age / 1e6
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if abs(seconds) >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"

"""``streamgauge dead-letters PLANT``: what was not folded, and why; and the originals sent again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from contracts.errors import SettingsError
from streamgauge.commands.options import feed_option, json_option, kafka_option, plant_argument, resolve_feeds, resolve_servers, say

if TYPE_CHECKING:
    from contracts.records import DeadLetter

NEWEST = 20  # printed unless more is asked for: thousands would scroll the counts away


@click.command("dead-letters")
@plant_argument
@feed_option
@kafka_option
@json_option
@click.option("--reason", metavar="REASON", help="Only those with this reason.")
@click.option("--all", "every", is_flag=True, help=f"Print every one, not only the newest {NEWEST}; --json does so anyway.")
@click.option("--redrive", is_flag=True, help="Send the originals again, as new records marked so; goes on where the last redrive ended.")
def command(plant: Path, feed_name: str | None, kafka: str | None, as_json: bool, reason: str | None, every: bool, redrive: bool) -> None:
    """Count dead letters by reason and print the newest; or send the originals again once the cause is mended."""
    from stream_processors.dead_letters import read_dead_letters, redrive_dead_letters
    from stream_processors.waiting import wait_for_kafka

    servers = resolve_servers(kafka)
    feeds = resolve_feeds(plant, feed_name)
    if redrive and reason:
        raise SettingsError("--redrive goes on where the last one ended, so it takes every reason; leave --reason out")
    wait_for_kafka(servers.kafka, say=say)
    for item in feeds:
        if redrive:
            done = redrive_dead_letters(item, servers.kafka)
            late = f"{done.late} late ones left to: streamgauge backfill --late"
            click.echo(f"{item.name}: {done.sent} sent again, {late}, {done.gone} no longer in Kafka")
            continue
        letters = read_dead_letters(item, servers.kafka)
        if as_json:
            _print_json(letters, reason)
        else:
            _print_text(item.name, letters, reason, every)


def _print_json(letters: Iterable[DeadLetter], reason: str | None) -> None:
    import msgspec

    for letter in letters:
        if reason in (None, letter.reason):
            click.echo(msgspec.json.encode(letter).decode())


def _print_text(name: str, letters: Iterable[DeadLetter], reason: str | None, every: bool) -> None:
    """A count of each reason, then the newest letters by Kafka's timestamp of the original, the newest last."""
    import heapq

    counts: Counter[str] = Counter()

    def chosen() -> Iterator[DeadLetter]:
        for letter in letters:
            counts[letter.reason] += 1
            if reason in (None, letter.reason):
                yield letter

    shown = sorted(chosen(), key=_age) if every else heapq.nlargest(NEWEST, chosen(), key=_age)[::-1]
    if not counts:
        say(f"{name}: no dead letters")
        return
    click.echo(f"{name}: {counts.total():,} dead letters: {', '.join(f'{n:,} {code}' for code, n in counts.most_common())}")
    if reason is not None and reason not in counts:
        say(f"none has the reason '{reason}'; choose from {', '.join(sorted(counts))}")
    for letter in shown:
        click.echo(_line(letter))
    of = counts.total() if reason is None else counts[reason]
    if len(shown) < of:
        say(f"the newest {len(shown)} of {of:,}; --all prints every one, --reason those of one reason")


def _age(letter: DeadLetter) -> tuple[int, int, int]:
    return letter.kafka_time or 0, letter.offset, letter.partition


def _line(letter: DeadLetter) -> str:
    field = f" (field '{letter.field}')" if letter.field else ""
    key = f", keyed {_text(letter.key)}" if letter.key else ""
    return f"{letter.topic}/{letter.partition} offset {letter.offset}: {letter.reason}{field}{key}  {_text(letter.original)[:120]}"


def _text(encoded: str | None) -> str:
    import base64

    return base64.b64decode(encoded or "").decode("utf-8", "backslashreplace")

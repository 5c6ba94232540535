"""``streamgauge simulate PLANT``: sends made-up events of a feed, and labels where it has a target, with faults where asked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from streamgauge.commands.options import feed_option, kafka_option, plant_argument, resolve_one_feed, resolve_servers
from streamgauge.commands.speed import SPEED

if TYPE_CHECKING:
    from producers.plan import Plan

PLAN_WIDTH = 132  # of the plan in a file or a pipe, where a terminal's width of 80 would cut its times


@click.command("simulate")
@plant_argument
@feed_option
@kafka_option
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True, help="Same seed, same readings.")
@click.option("--entities", type=click.IntRange(1, 1_000_000), default=10, show_default=True, help="How many devices.")
@click.option("--rate", type=click.FloatRange(min=0, min_open=True), metavar="EVENTS_PER_S", help="Readings a second of all devices, live.")
@click.option("--speed", type=SPEED, help="Event time over wall time, ending at now; max does not wait.  [default: 1]")
@click.option("--cadence", metavar="DURATION", help="Event time between two readings of a device; fits the windows when left out.")
@click.option("--duration", default="10m", show_default=True, metavar="DURATION", help="Event time to simulate.")
@click.option("--fault", "faults", multiple=True, metavar="KIND", help="Plant a fault; may be repeated. docs/simulator.md lists the kinds.")
@click.option("--plan-file", type=click.Path(path_type=Path), metavar="FILE", help="Write the plan with its expected counters as JSON.")
def command(
    plant: Path,
    feed_name: str | None,
    kafka: str | None,
    seed: int,
    entities: int,
    rate: float | None,
    speed: float | None,
    cadence: str | None,
    duration: str,
    faults: tuple[str, ...],
    plan_file: Path | None,
) -> None:
    """Send made-up events, and labels of a target: plausible values within the ranges that PLANT states, with faults where asked."""
    import time

    from contracts.durations import parse_duration
    from contracts.errors import SettingsError
    from producers.any_feed import any_feed, default_cadence
    from producers.labels import Labels
    from producers.pacing import paced
    from producers.simulator import Simulation
    from streamgauge.sending import send_events

    source = click.get_current_context().get_parameter_source("speed")
    speed_given = source is not None and source.name == "COMMANDLINE"
    if rate is not None and (speed_given or cadence is not None):
        raise SettingsError("--rate says how often devices send in real time; leave out --speed and --cadence")
    feed, servers = resolve_one_feed(plant, feed_name), resolve_servers(kafka)
    pace = speed if speed_given else 1.0
    if rate is not None:
        step = max(round(entities / rate * 1000), 1) * 1000
    else:
        step = default_cadence(feed) if cadence is None else parse_duration(cadence, "--cadence")
    length = parse_duration(duration, "--duration")
    now = time.time_ns() // 1000
    # event time never runs ahead of the clock: a faster one starts that much earlier, and both end together
    start = now - length + (0 if pace is None else int(length / max(pace, 1.0)))
    simulation = Simulation(any_feed(feed, entities, step, seed, start, start + length, faults), seed, start, start + length)
    show_plan(simulation.plan)
    batches = simulation.run() if pace is None else paced(simulation.run(), pace, simulation.plan.start)
    if plan_file is not None:
        simulation.plan.write(plan_file)
    labels = Labels(feed)
    done = send_events(feed, servers, batches, simulation.records_about, "simulate", labels)
    if plan_file is not None:
        simulation.plan.write(plan_file)
    sent = f"{done.delivered - labels.said:,} events" + (f" and {labels.said:,} labels" if feed.target is not None else "")
    click.echo(f"{feed.name}: {sent} delivered, {done.failed:,} failed, in {done.seconds:.1f} s")
    expected = simulation.plan.expected
    click.echo(
        f"expected: {expected.folded:,} folded, {expected.duplicate:,} duplicate, {expected.late:,} late, "
        f"{expected.dead_lettered:,} dead-lettered"
    )


def show_plan(plan: Plan) -> None:
    """Print what is planted as a table."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    if not console.is_terminal:
        console = Console(width=PLAN_WIDTH)
    table = Table(title=f"planted in {plan.feed} (seed {plan.seed})", title_justify="left")
    for column in ("fault", "entity", "field", "size σ", "from", "to", "found by"):
        table.add_column(column)
    for row in plan.rows():
        table.add_row(*row)
    if plan.planted:
        console.print(table)
    else:
        click.echo(f"nothing is planted in {plan.feed} (seed {plan.seed})")

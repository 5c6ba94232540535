"""``streamgauge up [PLANT]``: a broker and a store, and with a plant also worker, judge and archiver, until Ctrl-C."""

from __future__ import annotations

import shlex
import signal
import time
from pathlib import Path
from types import FrameType
from typing import NoReturn

import click

from contracts.definition import Feed
from contracts.errors import StreamgaugeError
from contracts.plant import load_plant
from contracts.settings import KAFKA_VARIABLE, REDIS_VARIABLE, KafkaSettings, configured, public_url
from stream_processors.topics import ensure_topics
from streamgauge.commands.options import resolve_servers
from streamgauge.local_stack import Child, LocalStack
from streamgauge.local_stack.processes import command_child
from streamgauge.web_port import listen_for_pages

POLL_SECONDS = 0.2  # how soon a child that ended by itself is noticed


@click.command("up")
@click.argument("plant", required=False, type=click.Path(path_type=Path))
@click.option("--kafka", metavar="HOST:PORT", help=f"Use this Kafka (or {KAFKA_VARIABLE}); one is started here by default.")
@click.option("--redis", metavar="URL", help=f"Use this Redis (or {REDIS_VARIABLE}); one is started here by default.")
def command(plant: Path | None, kafka: str | None, redis: str | None) -> None:
    """Start a broker and a store, or use those named; with PLANT also worker, judge and archiver. All end at Ctrl-C."""
    feeds = load_plant(plant) if plant else []
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # a shell starts background jobs deaf to SIGINT
        signal.signal(number, _as_ctrl_c)
    try:
        _run(plant, feeds, kafka, redis)
    except KeyboardInterrupt:
        click.echo("ended")


def _as_ctrl_c(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _run(plant: Path | None, feeds: list[Feed], kafka: str | None, redis: str | None) -> None:
    with _stack(kafka, redis) as stack:
        _print_addresses(stack)
        children = _start(plant, feeds, stack) if plant else []
        try:
            _watch(stack, children)
        finally:
            _stop(children)


def _print_addresses(stack: LocalStack) -> None:
    """Where the servers are, and the lines that point other commands at them."""
    click.echo(f"Kafka  {','.join(stack.servers.kafka.servers)}")
    click.echo(f"Redis  {public_url(stack.servers.redis)}")
    click.echo(f"logs   {stack.directory}")
    if stack.started:  # a server that was named is known to whoever named it, and its address may hold a password
        click.echo("in another terminal:")
    for name, value in stack.started.items():
        click.echo(f"export {name}={shlex.quote(value)}")


def _stack(kafka: str | None, redis: str | None) -> LocalStack:
    kafka_given = bool(kafka or configured(KAFKA_VARIABLE))
    redis_given = bool(redis or configured(REDIS_VARIABLE))
    given = resolve_servers(kafka, redis)
    known: KafkaSettings | None = given.kafka if kafka_given else None
    return LocalStack(known, given.redis if redis_given else None, say=click.echo)


def _start(plant: Path, feeds: list[Feed], stack: LocalStack) -> list[Child]:
    """Worker and archiver, and a trainer where there is something to train; the judge runs in the worker that holds the evidence."""
    for feed in feeds:
        for finding in ensure_topics(feed, stack.servers.kafka).findings:
            click.echo(finding)
    with listen_for_pages("127.0.0.1", None) as free:  # given up for the worker: the port is to be printed here
        port = free.getsockname()[1]
    commands = [["worker", str(plant), "--web-port", str(port)], ["archive", str(plant)]]
    if any(feed.target for feed in feeds):
        commands.append(["trainer", str(plant)])
    children = [command_child(command, stack.servers, stack.directory) for command in commands]
    others = " and ".join(command[0] for command in commands[1:])
    click.echo(f"worker (http://127.0.0.1:{port}/metrics/) and {others} run for {', '.join(f.name for f in feeds)}; Ctrl-C ends all")
    return children


def _watch(stack: LocalStack, children: list[Child]) -> NoReturn:
    """Raise when a server or a command ended by itself, or at Ctrl-C."""
    while True:
        time.sleep(POLL_SECONDS)
        stack.check()
        for child in children:
            if child.poll() is not None:
                stack.keeps_logs = True
                raise StreamgaugeError(child.last_words())


def _stop(children: list[Child]) -> None:
    for child in children:
        child.ask_to_stop()
    for child in children:
        child.stop()

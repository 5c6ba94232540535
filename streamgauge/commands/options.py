"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path

import click

from contracts.definition import Feed
from contracts.plant import choose_feeds, load_plant
from contracts.settings import KAFKA_VARIABLE, REDIS_VARIABLE, Servers

plant_argument = click.argument("plant", type=click.Path(path_type=Path))
feed_option = click.option("--feed", metavar="NAME", help="Only this feed of the plant.")
kafka_option = click.option("--kafka", metavar="HOST:PORT", help=f"Kafka's address (or {KAFKA_VARIABLE}; default localhost:9092).")
redis_option = click.option("--redis", metavar="URL", help=f"Redis's address (or {REDIS_VARIABLE}; default localhost:6379).")
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs instead of text for people.")


def feeds_of(plant: Path, feed: str | None = None) -> list[Feed]:
    """The feeds that a command is to act on."""
    return choose_feeds(load_plant(plant), feed)


def servers_of(kafka: str | None = None, redis: str | None = None) -> Servers:
    """Options first, then the environment, then localhost."""
    return Servers.resolve(kafka, redis)

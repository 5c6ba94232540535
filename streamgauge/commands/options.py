"""Arguments and options that commands share, and what they are resolved to."""

from __future__ import annotations

from pathlib import Path

import click

from contracts.definition import Feed
from contracts.errors import InputError, SettingsError
from contracts.plant import choose_feeds, load_plant
from contracts.settings import KAFKA_VARIABLE, REDIS_VARIABLE, Servers

plant_argument = click.argument("plant", type=click.Path(path_type=Path))
feed_option = click.option("--feed", "feed_name", metavar="NAME", help="Only this feed of the plant.")
kafka_option = click.option("--kafka", metavar="HOST:PORT", help=f"Kafka's address (or {KAFKA_VARIABLE}; default localhost:9092).")
redis_option = click.option("--redis", metavar="URL", help=f"Redis's address (or {REDIS_VARIABLE}; default localhost:6379).")
history_option = click.option(
    "--history", metavar="URL", help="Directory or fsspec URL of the history (or STREAMGAUGE_HISTORY; default ./history)."
)
time_option = click.option("--time", metavar="COLUMN", help="The column with the event time; the definition's time when left out.")
entity_option = click.option("--entity", metavar="COLUMN", help="The column that names the device; the definition's entity when left out.")
entity_from_option = click.option(
    "--entity-from", type=click.Choice(["path"]), help="The entity is the file's path below the root, without suffix."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs instead of text for people.")


def resolve_servers(kafka: str | None = None, redis: str | None = None) -> Servers:
    """Options first, then the environment, then localhost; raises SettingsError where an address cannot be understood."""
    return Servers.resolve(kafka, redis)


def resolve_feeds(plant: Path, feed_name: str | None = None) -> list[Feed]:
    """The feeds of a plant file that a command acts on; raises DefinitionError."""
    return choose_feeds(load_plant(plant), feed_name)


def resolve_one_feed(plant: Path, feed_name: str | None = None) -> Feed:
    """The one feed that a command acts on; raises SettingsError where the plant has several and none is named."""
    feeds = resolve_feeds(plant, feed_name)
    if len(feeds) > 1:
        raise SettingsError(f"{plant} defines {len(feeds)} feeds; name one with --feed: {', '.join(feed.name for feed in feeds)}")
    return feeds[0]


def entity_is_path(entity: str | None, entity_from: str | None) -> bool:
    """Whether a file's path names the entity; raises InputError where a column was named, too."""
    if entity and entity_from:
        raise InputError("--entity and --entity-from exclude each other; give one")
    return entity_from == "path"


def say(message: str) -> None:
    """A line for people, on stderr, so that stdout holds results only."""
    click.echo(message, err=True)

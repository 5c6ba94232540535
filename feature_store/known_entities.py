"""Which entities of a feed the store knows, and the event times that it has heard of each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import NamedTuple

from contracts.definition import Feed
from contracts.settings import public_url
from feature_store.readers import FeatureReader
from feature_store.redis_addresses import CLIENT_ERRORS, AnyClient
from feature_store.redis_connection import in_words, sync_client
from feature_store.redis_layout import directory_keys, entry_of

PORTION = 10_000  # entities of one call: some hundred bytes each


class Heard(NamedTuple):
    """Event times of an entity, µs."""

    first: int  # of the reading with which it entered the directory: its first one, or the newest when the store had forgotten
    newest: int


def known_entities(url: str, feed: Feed) -> dict[str, Heard]:
    """Entities that have a served vector, by name; one whose vector has expired is left out.

    Raises:
        ServerUnavailable, SettingsError: Redis does not answer, or refuses.
    """
    with _asked(url) as client:
        entries = client.hscan_iter(directory_keys(feed.name).entries, count=PORTION)
        first = {entity.decode(errors="replace"): found[2] for entity, entry in entries if (found := entry_of(entry))}
        reader, names, heard = FeatureReader(client, feed), sorted(first), dict[str, Heard]()
        for at in range(0, len(names), PORTION):
            table = reader.read(names[at : at + PORTION], features=[])
            for name, newest in zip(table.entities, table.event_time.tolist(), strict=True):
                if newest >= 0:
                    heard[name] = Heard(min(first[name], newest), newest)
        return heard


def some_entities(url: str, feed: Feed, most: int) -> tuple[list[str], int]:
    """Names of at most `most` entities of the directory, in order, and how many it holds; errors as `known_entities`.

    A glance: an entity whose vector has expired is among them, and only so many are read.
    """
    key = directory_keys(feed.name).entries
    with _asked(url) as client:
        entries = client.hscan_iter(key, count=most)
        names = [entity.decode(errors="replace") for entity, _ in islice(entries, most)]
        return sorted(names), int(client.hlen(key))


@contextmanager
def _asked(url: str) -> Iterator[AnyClient]:
    """A client whose errors become those of `known_entities`."""
    client = sync_client(url)
    try:
        yield client
    except CLIENT_ERRORS as error:
        raise in_words(error, public_url(url)) from error
    finally:
        client.close()

"""Readers of served features: many entities, chosen features, one round trip a Redis node.

Both readers share everything but the sending: a read is a generator that yields rounds of commands and is sent their
replies. Which partition holds an entity is looked up in the directory in Redis and remembered here.
"""

from __future__ import annotations

import asyncio
import difflib
import time
from collections.abc import Callable, Generator, Sequence
from typing import Any, NamedTuple

import numpy as np
import redis
import redis.asyncio
import redis.asyncio.cluster
import redis.cluster

from contracts.columns import I64
from contracts.definition import Feed
from contracts.durations import parse_duration
from contracts.errors import InputError
from feature_store.feature_plan import feature_names, feature_windows
from feature_store.feature_table import FeatureTable, Worth
from feature_store.redis_addresses import CLIENT_ERRORS, is_cluster
from feature_store.redis_connection import async_client, binary_only, client_address, in_words, sync_client
from feature_store.redis_layout import PartitionKeys, directory_keys, entry_of, generation_of, partition_keys
from feature_store.served_vector import definition_word, vector_columns

LOOK_AGAIN_SECONDS = 30.0  # without it a reader would go on reading an entity where it was before another producer moved it
SLICE_KEYS = 1000  # in one MGET: with more, every other client of the server waits for over a millisecond
MAX_CHOICES = 64  # remembered selections of features; more come from a program that makes them up, and need not be remembered

Command = tuple[Any, ...]
Rounds = Generator[list[Command], list[Any], FeatureTable]


class _Place(NamedTuple):
    """Where an entity is served."""

    partition: int
    key: bytes


_NOWHERE = _Place(-1, b"")


class _Ask(NamedTuple):
    """A command, the partitions whose generations it begins with, and the entities whose vectors follow."""

    command: Command
    partitions: list[int]
    names: list[str]


class _Answer(NamedTuple):
    """What one read has found so far."""

    places: dict[str, _Place]
    blobs: dict[str, bytes | None]


class _Choice(NamedTuple):
    """Chosen features as columns of the vector."""

    names: tuple[str, ...]
    columns: I64 | None  # None: all, in order
    windows: I64


class _Reading:
    """Everything but the sending: what to ask, and what the replies mean."""

    def __init__(self, feed: Feed, one_node: bool) -> None:
        self.feed = feed
        self.one_node = one_node
        self._definition = definition_word(feed.hash)
        names = feature_names(feed)
        self._all = _Choice(names, None, np.array(feature_windows(feed), np.int64))
        self._columns = {name: column for column, name in enumerate(names)}
        self._choices: dict[tuple[str, ...], _Choice] = {}
        self._partition_keys: dict[int, PartitionKeys] = {}
        self._directory_key = directory_keys(feed.name).entries
        self._places: dict[str, _Place] = {}  # looked up lately
        self._before: dict[str, _Place] = {}  # looked up before that: used, and looked up again in the same round
        self._generations: dict[int, int] = {}  # the newest seen of each partition
        self._looked_at = 0.0  # monotonic seconds

    def rounds(self, entities: Sequence[str], features: Sequence[str] | None, max_age: str | int | None, now: int | None) -> Rounds:
        """A read as a generator; see FeatureReader.read."""
        entities = [entities] if isinstance(entities, str) else list(entities)
        choice = self._choose(features)
        age = self.feed.max_age_us if max_age is None else parse_duration(max_age, "max_age") if isinstance(max_age, str) else max_age
        answer = _Answer({}, {})
        if entities:
            yield from self._ask(entities, answer)
        moment = time.time_ns() // 1000 if now is None else now
        return self._table(entities, answer, choice, age, moment)

    def _ask(self, entities: list[str], answer: _Answer) -> Generator[list[Command], list[Any], None]:
        """Fills the answer: one round where the directory is known and no generation rose."""
        if time.monotonic() - self._looked_at > LOOK_AGAIN_SECONDS:
            self._looked_at, self._before, self._places = time.monotonic(), self._places, {}
        asked = []
        for entity in entities:
            place = self._places.get(entity)
            if place is None:
                asked.append(entity)
                place = self._before.get(entity)
            if place is not None:
                answer.places[entity] = place
        asks = self._vector_asks(answer.places)
        replies = yield [ask.command for ask in asks] + self._directory_commands(asked)
        rose = self._note_vectors(asks, replies, answer)
        moved = self._note_places(asked, replies[len(asks) :], answer)
        if rose:
            self._before, self._places = {}, {}
            replies = yield self._directory_commands(entities)
            moved += self._note_places(entities, replies, answer)
        if moved:
            asks = self._vector_asks({entity: answer.places[entity] for entity in moved})
            replies = yield [ask.command for ask in asks]
            self._note_vectors(asks, replies, answer)

    def _vector_asks(self, places: dict[str, _Place]) -> list[_Ask]:
        """MGETs of generations and vectors: one on a single node, one a partition on a cluster; more only for very many."""
        groups: dict[int, list[str]] = {}
        if self.one_node:
            groups[0] = list(places)
        else:
            for entity, place in places.items():
                groups.setdefault(place.partition, []).append(entity)
        slices = [names[at : at + SLICE_KEYS] for names in groups.values() for at in range(0, len(names), SLICE_KEYS)]
        return [self._vector_ask(names, [places[name] for name in names]) for names in slices]

    def _vector_ask(self, names: list[str], places: list[_Place]) -> _Ask:
        partitions = sorted({place.partition for place in places})
        generations = [self._keys(partition).generation for partition in partitions]
        return _Ask(("MGET", *generations, *[place.key for place in places]), partitions, names)

    def _keys(self, partition: int) -> PartitionKeys:
        keys = self._partition_keys.get(partition)
        if keys is None:
            keys = self._partition_keys[partition] = partition_keys(self.feed.name, partition)
        return keys

    def _directory_commands(self, entities: list[str]) -> list[Command]:
        return [("HMGET", self._directory_key, *entities[at : at + SLICE_KEYS]) for at in range(0, len(entities), SLICE_KEYS)]

    def _note_vectors(self, asks: list[_Ask], replies: list[Any], answer: _Answer) -> bool:
        """Takes up generations and vectors; True where a generation rose above one seen before."""
        rose = False
        for ask, reply in zip(asks, replies, strict=False):
            for partition, stored in zip(ask.partitions, reply, strict=False):
                generation = generation_of(stored)
                rose = rose or generation > self._generations.get(partition, generation)
                self._generations[partition] = generation
            answer.blobs.update(zip(ask.names, reply[len(ask.partitions) :], strict=True))
        return rose

    def _note_places(self, entities: list[str], replies: list[list[bytes | None]], answer: _Answer) -> list[str]:
        """Takes up directory entries; returns the entities whose vector has not been asked for at that place."""
        moved = []
        for entity, stored in zip(entities, (stored for reply in replies for stored in reply), strict=True):
            place, entry = answer.places.get(entity), entry_of(stored)
            if entry is not None:
                partition = entry[0]
                if place is None or place.partition != partition:
                    place = _Place(partition, self._keys(partition).vector + entity.encode())
                    answer.places[entity] = place
                    moved.append(entity)
            if place is not None:
                self._places[entity] = place
        return list(dict.fromkeys(moved))

    def _choose(self, features: Sequence[str] | None) -> _Choice:
        if features is None:
            return self._all
        names = (features,) if isinstance(features, str) else tuple(features)
        choice = self._choices.get(names)
        if choice is None:
            for name in names:
                if name not in self._columns:
                    near = difflib.get_close_matches(name, self._columns, 3, 0.0)
                    raise InputError(f"feed '{self.feed.name}' has no feature '{name}'; nearest are {', '.join(near)}")
            columns = np.array([self._columns[name] for name in names], np.int64)
            choice = _Choice(names, columns, self._all.windows[columns])
            if len(self._choices) < MAX_CHOICES:
                self._choices[names] = choice
        return choice

    def _table(self, entities: list[str], answer: _Answer, choice: _Choice, max_age: int, now: int) -> FeatureTable:
        read = vector_columns([answer.blobs.get(entity) for entity in entities], self._definition, len(self._all.names))
        places = [answer.places.get(entity, _NOWHERE)[0] for entity in entities]
        partition = np.array(places, np.int64)
        needed = [self._generations.get(place, 0) for place in places]
        there = read.readable & (read.generation >= needed)
        values = read.values if choice.columns is None else read.values[:, choice.columns]
        if there.all():
            row_worth = np.zeros(len(entities), np.uint8)
            columns = read.event_time, read.kafka_time, partition, read.offset, read.generation
        else:
            row_worth = np.where(there, Worth.FRESH, np.where(read.foreign, Worth.OTHER_DEFINITION, Worth.MISSING)).astype(np.uint8)
            row_worth[partition < 0] = Worth.NEVER_SEEN
            values = np.where(there[:, None], values, np.nan)
            blank = (np.where(there, column, -1) for column in (read.event_time, read.kafka_time, read.offset, read.generation))
            event_time, kafka_time, offset, generation = blank
            columns = event_time, kafka_time, partition, offset, generation
        return FeatureTable(entities, choice.names, values, row_worth, *columns, read.partial, choice.windows, now, max_age)


def answered(rounds: Rounds, send: Callable[[list[Command]], list[Any]]) -> FeatureTable:
    """What a read comes to where `send` gives the replies to its commands, in their order."""
    replies: list[Any] | None = None
    while True:
        try:
            commands = rounds.send(replies)  # type: ignore[arg-type]
        except StopIteration as done:
            return done.value
        replies = send(commands)


class FeatureReader:
    """Reads served features of one feed. Threads may share one.

    Args:
        redis_or_url: an address (see `redis_connection.sync_client`), or a client of redis-py, also of a cluster,
            without `decode_responses`.
        feed: the definition that the worker runs.
    """

    def __init__(self, redis_or_url: str | redis.Redis | redis.cluster.RedisCluster, feed: Feed) -> None:
        self._own = isinstance(redis_or_url, str)
        self._client = sync_client(redis_or_url) if isinstance(redis_or_url, str) else redis_or_url
        binary_only(self._client)
        self._reading = _Reading(feed, not is_cluster(self._client))

    def read(
        self, entities: Sequence[str], features: Sequence[str] | None = None, max_age: str | int | None = None, now: int | None = None
    ) -> FeatureTable:
        """The newest features of entities.

        Args:
            entities: names, in any number; one name is one entity.
            features: names; all in the definition's order when left out.
            max_age: a duration ("10m") or µs above which a value is stale; the definition's when left out.
            now: µs; the wall clock at the moment of reading when left out.

        Raises:
            InputError: no such feature.
            ServerUnavailable, SettingsError: Redis does not answer, or refuses.
        """
        return answered(self._reading.rounds(entities, features, max_age, now), self._asked)

    def _asked(self, commands: list[Command]) -> list[Any]:
        try:
            return self._send(commands)
        except CLIENT_ERRORS as error:
            raise in_words(error, client_address(self._client)) from error

    def _send(self, commands: list[Command]) -> list[Any]:
        if len(commands) == 1:
            return [self._client.execute_command(*commands[0])]  # type: ignore[no-untyped-call]
        pipeline: Any = self._client.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        return pipeline.execute()

    def close(self) -> None:
        """Closes the connection, if this reader made it."""
        if self._own:
            self._client.close()

    def __enter__(self) -> FeatureReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncFeatureReader:
    """The same for asyncio. Given an address, it connects at the first read."""

    def __init__(self, redis_or_url: str | redis.asyncio.Redis | redis.asyncio.cluster.RedisCluster, feed: Feed) -> None:
        self._own = isinstance(redis_or_url, str)
        self._url = redis_or_url if isinstance(redis_or_url, str) else ""
        self._client: Any = None if isinstance(redis_or_url, str) else redis_or_url
        self._connecting = asyncio.Lock()
        if self._client is not None:
            binary_only(self._client)
        self._reading = _Reading(feed, not is_cluster(self._client))

    async def read(
        self, entities: Sequence[str], features: Sequence[str] | None = None, max_age: str | int | None = None, now: int | None = None
    ) -> FeatureTable:
        """As FeatureReader.read."""
        async with self._connecting:  # of reads that begin together one connects
            if self._client is None:
                self._client = await async_client(self._url, holds_state=False)
                self._reading.one_node = not is_cluster(self._client)
        rounds = self._reading.rounds(entities, features, max_age, now)
        replies: list[Any] | None = None
        while True:
            try:
                commands = rounds.send(replies)  # type: ignore[arg-type]
            except StopIteration as done:
                return done.value
            try:
                replies = await self._send(commands)
            except CLIENT_ERRORS as error:
                raise in_words(error, client_address(self._client)) from error

    async def _send(self, commands: list[Command]) -> list[Any]:
        if len(commands) == 1:
            return [await self._client.execute_command(*commands[0])]
        pipeline = self._client.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        return await pipeline.execute()

    async def aclose(self) -> None:
        """Closes the connection, if this reader made it."""
        if self._own and self._client is not None:
            await self._client.aclose()

    async def __aenter__(self) -> AsyncFeatureReader:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

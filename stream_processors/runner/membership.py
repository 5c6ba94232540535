"""A worker's membership of its group, which can be asked for before the worker can fold.

A broker holds the first join of a group: Apache Kafka for `group.initial.rebalance.delay.ms`, 3 s unless told otherwise, the embedded one
for half of the session. Meanwhile a worker loads its kernels, where they are compiled already and nobody folds yet.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Iterable
from typing import NamedTuple

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from contracts.definition import Feed
from contracts.settings import KafkaSettings
from contracts.topics import topic_name
from stream_processors.runner.batch_consumer import PlainConsumer, batch_consumer_class, unchecked_consumer_class
from stream_processors.runner.clients import connection_options, group_consumer, stopped
from stream_processors.runner.rebalance import Rebalance
from stream_processors.topics import FeedTopics, ensure_topics

LOGS = ("events", "evidence")
LEARNING_LOGS = ("labels", "examples")  # of feeds with a target
GIVEN = ("Stable", "CompletingRebalance")  # states of a group whose members have partitions, or know of them in a moment


class Membership(NamedTuple):
    """A consumer that has joined or is about to; `topics` are those of each feed as they were made or found, by the feed's name."""

    consumer: PlainConsumer
    listener: Rebalance
    topics: dict[str, FeedTopics]


def folded_logs(feed: Feed) -> tuple[str, ...]:
    """Kinds of the topics of a feed that workers fold."""
    return LOGS + (LEARNING_LOGS if feed.target is not None else ())


def group_name(plant: str) -> str:
    """Of the workers of a plant."""
    return f"streamgauge-{plant}"


def owner_name() -> str:
    """By which this process is known to the group and in the switches."""
    return f"{socket.gethostname()}-{os.getpid()}"


async def join(feeds: Iterable[Feed], settings: KafkaSettings, plant: str, kind: type[PlainConsumer] | None = None) -> Membership:
    """Makes the feeds' topics and begins to join; places are held, unread, for the service that is told of them later.

    Args:
        kind: of the consumer; that of `batch_consumer_class` by default.

    Raises:
        SettingsError, ServerUnavailable: as `ensure_topics`.
        KafkaError: the broker went away meanwhile.
    """
    topics = {feed.name: await asyncio.to_thread(ensure_topics, feed, settings) for feed in feeds}
    consumer = group_consumer(settings, group_name(plant), owner_name(), kind)
    try:
        await consumer.start()
    except BaseException:
        await stopped(consumer)
        raise
    listener = Rebalance(consumer)
    consumer.subscribe([topic_name(feed, name) for feed in feeds for name in folded_logs(feed)], listener=listener)
    return Membership(consumer, listener, topics)


async def join_while(loading: Callable[[], None], feeds: Iterable[Feed], settings: KafkaSettings, plant: str) -> Membership | None:
    """Loads in a thread, which leaves the heartbeats alone, and joins meanwhile; where either fails the group is left at once.

    Returns:
        None where the group is still to be joined: others fold, and what they gave up would have waited for the loading; or aiokafka
        turned out to be made otherwise than the consumer that had joined expects.
    """
    if await _is_folded(settings, group_name(plant)):
        await asyncio.to_thread(loading)
        return None
    membership = await join(feeds, settings, plant, unchecked_consumer_class())
    try:
        await asyncio.to_thread(loading)
    except BaseException:
        await stopped(membership.consumer)
        raise
    if type(membership.consumer) is batch_consumer_class():
        return membership
    await stopped(membership.consumer)
    return None


async def _is_folded(settings: KafkaSettings, group: str) -> bool:
    """Whether members of the group have partitions, or may have: a broker that does not say is no reason to make them wait."""
    client = AIOKafkaAdminClient(**connection_options(settings))
    try:
        await client.start()
        answers = await client.describe_consumer_groups([group])
    except KafkaError:
        return True
    finally:
        await client.close()
    return any(error or state in GIVEN for answer in answers for error, _, state, *_ in answer.groups)

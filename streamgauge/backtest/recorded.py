"""Recorded events, archive and log as one, as one table of columns: what a backtest of another definition folds again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from aiokafka import TopicPartition

from contracts.columns import I64, Columns
from contracts.definition import Feed
from contracts.errors import InputError
from contracts.settings import KafkaSettings, public_url
from contracts.topics import events_topic
from feature_store.history_files import HistoryFiles
from stream_processors.archive.whole_log import WholeLog, open_archive
from stream_processors.backtest.column_rows import join_columns
from stream_processors.decoding.batches import raw_batch
from stream_processors.decoding.decoder import Decoder
from stream_processors.log_ends import end_offset
from stream_processors.runner.clients import batch_consumer, stopped
from streamgauge.backtest.history import History


class Recorded(NamedTuple):
    """The events of all partitions, one partition after the other."""

    history: History  # in the order of the partitions' clocks, which keeps the order of each log
    partition: I64  # (n,) of each row
    partitions: int


def read_recorded(feed: Feed, kafka: KafkaSettings, url: str, say: Callable[[str, int, int], None]) -> Recorded:
    """Reads what archive and Kafka hold of a feed's events into memory, some 100 bytes a row and 8 more a field.

    Args:
        url: of the history.
        say: is told (partition, offsets read, offsets in all).

    Raises:
        InputError: there is no such topic, or nothing on it.
        HistoryError, ServerUnavailable: files or log cannot be read.
    """
    parts = asyncio.run(_read(feed, kafka, url, say))
    columns = join_columns([part for _, part in parts])
    if not columns.n:
        raise InputError(f"nothing stands on {events_topic(feed)}, and nothing of it is archived at {public_url(url)}")
    partition = np.concatenate([np.full(part.n, number) for number, part in parts])
    clock = np.concatenate([_clock(feed, part) for _, part in parts])
    entity, names = _entities(columns)
    return Recorded(History(columns, entity, names, np.argsort(clock, kind="stable")), partition, 1 + max(number for number, _ in parts))


async def _read(feed: Feed, kafka: KafkaSettings, url: str, say: Callable[[str, int, int], None]) -> list[tuple[int, Columns]]:
    archive = await open_archive(feed, kafka, HistoryFiles(url))
    topic = events_topic(feed)
    if topic not in archive.topics:
        raise InputError(f"there is no topic {topic}; name files, or the broker that has it")
    decoder = Decoder(feed)
    parts = []
    consumer = batch_consumer(kafka)
    await consumer.start()
    try:
        for partition in range(archive.topics[topic].partitions):
            log = WholeLog(archive.log("events", partition), consumer, topic, partition)
            end = await end_offset(consumer, TopicPartition(topic, partition))
            first = await log.first()
            found = [decoder.decode(raw_batch([], [], [], []))]
            async for fetched in log.batches(first, end):
                found.append(decoder.decode(fetched.batch))
                say(f"{topic}/{partition}", fetched.next_offset - first, end - first)
            parts.append((partition, join_columns(found)))
    finally:
        await stopped(consumer)
    return parts


def _clock(feed: Feed, columns: Columns) -> I64:
    """The greatest event time so far at each row, of those that the partition's clock heeds."""
    on_time = (columns.kafka_time < 0) | (columns.event_time <= columns.kafka_time + feed.clock_tolerance_us)
    return np.maximum.accumulate(np.where((columns.reason == 0) & on_time, columns.event_time, -1)) if columns.n else columns.event_time


def _entities(columns: Columns) -> tuple[I64, list[bytes]]:
    """Each row's index into the names, −1 where it names none that could be read; and the names, in the order of their first row."""
    good = np.flatnonzero(columns.reason == 0)
    _, first, code = np.unique(columns.entity_hash[good], return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    entity = np.full(columns.n, -1, np.int64)
    entity[good] = rank[code]
    rows = good[first[order]].tolist()
    text = columns.entity.tobytes()
    return entity, [text[columns.entity_end[row - 1] if row else 0 : columns.entity_end[row]] for row in rows]

"""What `<feed>.scores` holds beyond the files, as rows of the history."""

from __future__ import annotations

import asyncio

import pyarrow as pa
from aiokafka import TopicPartition

from contracts.definition import Feed
from contracts.errors import HistoryError
from contracts.settings import KafkaSettings
from contracts.topics import topic_name
from feature_store.history import LogTail
from feature_store.history_files import HistoryFiles
from feature_store.history_rows import history_schema, history_table
from stream_processors.archive.positions import start_position
from stream_processors.archive.score_cuts import Place, archived_place
from stream_processors.archive.score_decoding import ScoreRecord, decode_scores, history_rows, vector_of
from stream_processors.log_ends import end_offset
from stream_processors.runner.clients import free_consumer, stopped
from stream_processors.topics import describe_topics
from stream_processors.verification.log_reader import read_portions, read_switches


async def read_tail(feed: Feed, kafka: KafkaSettings, url: str) -> LogTail:
    """Reads the scores that are in no file, up to the present end; generations of other definitions are left out.

    Raises:
        HistoryError: the feed has no scores topic.
        ServerUnavailable: Kafka did not hand out its records.
    """
    topic = topic_name(feed, "scores")
    found = (await asyncio.to_thread(describe_topics, [topic], kafka)).get(topic)
    if found is None:
        raise HistoryError(f"there is no topic {topic}; start a worker, or read the history without the log")
    switches = [r.switch for r in await read_switches(feed, kafka) if r.switch.kind == "generation"]
    ours = {(s.partition, s.generation) for s in switches if s.log == topic_name(feed, "events") and s.definition == feed.hash}
    history = HistoryFiles(url)
    files = history.scores(feed.name)
    tables, ends = [history_schema(feed).empty_table()], {}
    consumer = free_consumer(kafka)
    await consumer.start()
    try:
        for partition in range(found.partitions):
            at = TopicPartition(topic, partition)
            place = archived_place(files, partition)
            end = await end_offset(consumer, at)
            first = (await consumer.beginning_offsets([at]))[at]
            start, _ = start_position(history, feed.name, partition, found.topic_id, place, first, end)
            newest = place
            async for records in read_portions(consumer, topic, partition, start, end):
                scores = decode_scores(
                    feed, [r.value for r in records], [vector_of(r.headers) for r in records], [r.offset for r in records]
                )
                fresh, newest = _fresh([s for s in scores if (partition, s.generation) in ours], partition, place, newest)
                tables += _tables(feed, fresh, topic)
            ends[partition] = (newest.generation, newest.cut)
    finally:
        await stopped(consumer)
    return LogTail(pa.concat_tables(tables), ends)


def _fresh(scores: list[ScoreRecord], partition: int, place: Place, newest: Place) -> tuple[list[ScoreRecord], Place]:
    """Those in no file and not seen before, and the place after the last of them."""
    out = []
    for score in scores:
        at = (score.generation, score.offset)
        if score.partition == partition and at >= place and at >= newest:
            out.append(score)
            newest = Place(score.generation, score.offset + 1)
    return out, newest


def _tables(feed: Feed, scores: list[ScoreRecord], topic: str) -> list[pa.Table]:
    """One a generation, as the topic has them in order."""
    out = []
    for generation in sorted({score.generation for score in scores}):
        mine = [score for score in scores if score.generation == generation]
        out.append(history_table(feed, history_rows(feed, mine, topic), generation, mine[0].partition, 0))
    return out

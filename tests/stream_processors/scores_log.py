"""A feed's logs on a real broker with no worker: events, their scores as the fold gives them, and the switches."""

from __future__ import annotations

import asyncio

import msgspec
import numpy as np

from contracts.columns import RawBatch
from contracts.definition import Feed, Number
from contracts.records import Switch
from contracts.settings import KafkaSettings
from contracts.topics import events_topic, topic_name
from stream_processors.decoding.batches import raw_batch
from stream_processors.log_fold import OutRecord
from stream_processors.runner.clients import plain_producer
from stream_processors.runner.publisher import Publisher
from stream_processors.stream_fold.fold import StreamFold
from stream_processors.topics import ensure_topics

START = 1_767_225_600_000_000  # 2026-01-01


def make_feed(name: str, log_vectors: str = "all", partitions: int = 1, lateness: str = "30s") -> Feed:
    return Feed(
        name,
        entity="pump",
        time="ts",
        fields=[Number("x", low=-100, high=100, features=["count", "mean", "last"])],
        windows=["1m"],
        lateness=lateness,
        season=None,
        partitions=partitions,
        detectors=(),
        time_features=False,
        log_vectors=log_vectors,
    )


def events(n: int, first: int = 0, seed: int = 1, disorder: float = 0.02) -> list[tuple[bytes, bytes]]:
    """n readings, one a second in turn from three pumps, some of them ten seconds old, a few not to be folded."""
    draw = np.random.default_rng(seed)
    old, bad, x = draw.random(n) < disorder, draw.random(n) < 0.01, draw.normal(size=n)
    out = []
    for i in range(n):
        name = f"pump-{i % 3}"
        time = START + (first + i) * 1_000_000 - (10_000_000 if old[i] else 0)
        value = f'{{"pump":"{name}","ts":{time},"x":{x[i]:.6f}}}' if not bad[i] else "{}"
        out.append((name.encode(), value.encode()))
    return out


def batch_of(records: list[tuple[bytes, bytes]], first: int) -> RawBatch:
    return raw_batch(range(first, first + len(records)), [-1] * len(records), [k for k, _ in records], [v for _, v in records])


def fold_scores(feed: Feed, records: list[tuple[bytes, bytes]], first: int = 0, generation: int = 1) -> list[OutRecord]:
    """The score records of one partition's events from offset `first` on."""
    return list(StreamFold(feed, 0, generation).fold(batch_of(records, first)).records["scores"])


def publish(feed: Feed, kafka: KafkaSettings, scores: list[OutRecord], kind: str = "scores") -> None:
    """Puts records on a topic of the feed."""

    async def run() -> None:
        producer = plain_producer(kafka)
        await producer.start()
        try:
            publisher = Publisher(producer, transactional=False)
            publisher.hand_over({topic_name(feed, kind): scores})
            await publisher.published()
        finally:
            await producer.stop()

    asyncio.run(run())


def begin_generation(feed: Feed, kafka: KafkaSettings, generation: int, from_offset: int, definition: str | None = None) -> None:
    """Makes the topics and records a generation of partition 0."""
    ensure_topics(feed, kafka)
    switch = Switch(
        kind="generation",
        log=events_topic(feed),
        partition=0,
        generation=generation,
        from_offset=from_offset,
        definition=definition or feed.hash,
    )

    async def run() -> None:
        producer = plain_producer(kafka)
        await producer.start()
        try:
            await producer.send_and_wait(topic_name(feed, "switches"), msgspec.json.encode(switch), partition=0)
        finally:
            await producer.stop()

    asyncio.run(run())

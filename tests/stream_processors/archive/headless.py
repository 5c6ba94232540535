"""Logs whose head Kafka has deleted, as retention does: what a worker folded, an archiver wrote, and then is gone from the broker."""

from __future__ import annotations

from pathlib import Path

import pytest
from kafka.admin import KafkaAdminClient
from kafka.structs import TopicPartition

from contracts.definition import Feed
from contracts.settings import Servers
from contracts.topics import topic_name
from feature_store.redis_connection import async_client
from stream_processors.archive import archived_log, raw_cuts
from stream_processors.archive.archiver import Archiver
from stream_processors.verification.verification import FeedReport, verify_feed

CUT = 500  # offsets of a raw file: logs of some thousand then have whole files and an open one


def short_cuts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cuts the archive's raw files shorter."""
    monkeypatch.setattr(raw_cuts, "CUT", CUT)
    monkeypatch.setattr(raw_cuts, "cut_of", lambda offset: offset // CUT * CUT)
    monkeypatch.setattr(archived_log, "CUT", CUT)


async def archive(servers: Servers, feed: Feed, history: Path) -> None:
    """Archives all that stands there, then stops."""
    await Archiver([feed], servers.kafka, str(history)).run(idle=lambda: True)


def delete_head(servers: Servers, feed: Feed, ends: dict[str, int]) -> None:
    """Deletes what comes before an offset of partition 0, by kind of log."""
    admin = KafkaAdminClient(**servers.kafka.client_options())
    try:
        admin.delete_records({TopicPartition(topic_name(feed, kind), 0): end for kind, end in ends.items()})
    finally:
        admin.close()


async def verified(servers: Servers, feed: Feed, history: Path) -> FeedReport:
    redis = await async_client(servers.redis)
    try:
        return await verify_feed(feed, servers.kafka, redis, str(history), lambda *_: None)
    finally:
        await redis.aclose()


def differences(report: FeedReport) -> list[str]:
    return [line for place in report.places for line in place.differences]


def files_below(directory: Path, pattern: str) -> list[Path]:
    """Sorted."""
    return sorted(directory.rglob(pattern))

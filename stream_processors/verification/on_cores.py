"""Verifies a feed whose logs are long on all cores: each place by a process of its own."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.queues import SimpleQueue

from contracts.definition import Feed
from contracts.errors import NotCheckable
from contracts.settings import Servers
from contracts.topics import events_topic
from feature_store.redis_connection import async_client
from stream_processors.end_with_parent import end_with_parent
from stream_processors.log_ends import end_offsets
from stream_processors.runner.place import Place
from stream_processors.verification.history_comparison import HistoryReport
from stream_processors.verification.reports import Say
from stream_processors.verification.verification import NOT_CHECKABLE, SAME, FeedReport, places_of, verify_feed

LONG = 200_000  # offsets of events; with fewer a process takes longer to start than it saves
TELL_SECONDS = 0.2  # between two looks at what the processes have done

_told: SimpleQueue[tuple[str, int, int]]


async def verify_on_cores(feed: Feed, servers: Servers, history: str, say: Say, labels: bool = True) -> FeedReport:
    """`verify_feed` of all places of a feed, the same report, in as many processes as there are cores where its logs are long.

    `labels`: also of labels; each of their partitions reads all scores of the feed again.
    """
    try:
        places = [place for place in await places_of(feed, servers.kafka) if labels or place.log != "labels"]
    except NotCheckable as error:
        return FeedReport(feed.name, NOT_CHECKABLE, str(error), [])
    events = [(events_topic(feed), place.partition) for place in places if place.log == "events"]
    offsets = sum((await asyncio.to_thread(end_offsets, events, servers.kafka)).values())
    cores = min(len(os.sched_getaffinity(0)), len(places))
    if offsets < LONG or cores < 2:
        return await _verify(feed, servers, history, say, places)
    spawning = multiprocessing.get_context("spawn")  # a fork would copy locks that threads of Kafka's clients hold
    told: SimpleQueue[tuple[str, int, int]] = spawning.SimpleQueue()
    telling = asyncio.create_task(_tell(told, say))
    loop = asyncio.get_running_loop()
    try:
        with ProcessPoolExecutor(cores, spawning, _begin, (told,)) as pool:
            jobs = [loop.run_in_executor(pool, _verify_place, feed, servers, history, p.log, p.partition) for p in places]
            return _merged(feed, await asyncio.gather(*jobs))
    finally:
        telling.cancel()


def _begin(told: SimpleQueue[tuple[str, int, int]]) -> None:
    global _told
    _told = told
    end_with_parent()


def _verify_place(feed: Feed, servers: Servers, history: str, log: str, partition: int) -> FeedReport:
    return asyncio.run(_verify(feed, servers, history, lambda *done: _told.put(done), [Place(feed, log, partition)]))


async def _verify(feed: Feed, servers: Servers, history: str, say: Say, places: list[Place]) -> FeedReport:
    redis = await async_client(servers.redis)
    try:
        return await verify_feed(feed, servers.kafka, redis, history, say, places)
    finally:
        await redis.aclose()


async def _tell(told: SimpleQueue[tuple[str, int, int]], say: Say) -> None:
    while True:
        while not told.empty():
            say(*told.get())
        await asyncio.sleep(TELL_SECONDS)


def _merged(feed: Feed, reports: list[FeedReport]) -> FeedReport:
    """The report of all places out of those of each."""
    refused = next((report for report in reports if report.verdict == NOT_CHECKABLE), None)
    if refused is not None:
        return refused
    files = [report.history for report in reports if report.history is not None]
    listed = max(found.listed for found in files)
    left_out = listed - sum(found.listed - found.left_out for found in files)
    history = HistoryReport(files[0].url, listed, sum(found.same for found in files), left_out)
    verdict = next((report.verdict for report in reports if report.verdict != SAME), SAME)
    return FeedReport(feed.name, verdict, "", [place for report in reports for place in report.places], history)

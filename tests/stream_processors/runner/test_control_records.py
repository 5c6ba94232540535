"""Events written in transactions: control records have a count of their own, from the fetch to `status` and `verify`."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from aiokafka import TopicPartition

from contracts.settings import Servers
from contracts.topics import events_topic
from feature_store.partition_reader import PartitionReader
from stream_processors.log_ends import end_offset
from stream_processors.runner import clients, copying
from stream_processors.runner.batch_consumer import PlainConsumer
from stream_processors.runner.clients import transactional_producer
from stream_processors.runner.fetch_seam import BatchConsumer
from stream_processors.runner.partition_runner import PartitionRunner
from stream_processors.status import feed_status
from stream_processors.topics import ensure_topics
from stream_processors.verification.verification import SAME, verify_feed
from tests.stream_processors.runner.places import Shell, fresh_feed, own_store, shell
from tests.stream_processors.stream_fold.streams import Log, hostile

pytestmark = [pytest.mark.integration, pytest.mark.kafka]
LOG, _ = hostile(fresh_feed("plan"), 17, 1_200, 7)
IN_A_TRANSACTION = 100
ABORTED = 2  # of the transactions, between those of the log


async def send_in_transactions(worker: Shell, log: Log) -> None:
    """The whole log, with other records in aborted transactions between."""
    producer = transactional_producer(worker.servers.kafka, f"events of {worker.feed.name}")
    await producer.start()
    topic = events_topic(worker.feed)
    for start in range(0, len(log.values), IN_A_TRANSACTION):
        async with producer.transaction():
            for key, value in zip(log.keys[start:][:IN_A_TRANSACTION], log.values[start:][:IN_A_TRANSACTION], strict=True):
                await producer.send(topic, value, key=key, partition=0)
        if start // IN_A_TRANSACTION < ABORTED:
            await producer.begin_transaction()
            await producer.send_and_wait(topic, log.values[start], key=log.keys[start], partition=0)  # folded, it would count
            await producer.abort_transaction()
    await producer.stop()


async def fold_all(worker: Shell) -> PartitionRunner:
    """Folds the events, the second half by another owner, and the evidence."""
    end = await end_offset(worker.consumer, TopicPartition(events_topic(worker.feed), 0))
    one = await worker.take(owner="one")
    await worker.fold(one, end // 2)
    await one.release()
    two = await worker.take(owner="two")
    await worker.fold(two)
    await two.release()
    judge = await worker.take("evidence")
    await worker.fold(judge)
    await judge.release()
    return two


def read_by(kind: type[PlainConsumer], monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on, logs are folded as a consumer of this kind hands them out."""
    monkeypatch.setattr(clients, "batch_consumer_class", lambda: kind)


@pytest.mark.parametrize(("worker_reads", "verify_reads"), [(BatchConsumer, PlainConsumer), (PlainConsumer, BatchConsumer)])
def test_counts_hold_from_the_fetch_to_status_and_verify(
    kafka_stack: Servers,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    worker_reads: type[PlainConsumer],
    verify_reads: type[PlainConsumer],
) -> None:
    """Nothing of an aborted transaction is folded, all is in balance over two owners, and verify finds the same either way."""
    feed = fresh_feed("control")
    ensure_topics(feed, kafka_stack.kafka)
    read_by(worker_reads, monkeypatch)

    async def scenario(servers: Servers) -> None:
        async with shell(servers, feed) as worker:
            await send_in_transactions(worker, LOG)
            runner = await fold_all(worker)
            assert runner.progress.balanced(runner.fold.counters())
            apart = counted() if worker_reads is BatchConsumer else counted() | {"control": 0, "gaps": counted()["control"] + ABORTED}
            found = await feed_status(feed, servers)
            assert found["balanced"]
            totals = found["totals"]
            assert {name: totals[name] for name in (*apart, "lag")} == apart | {"lag": 0}
            assert totals["read"] == totals["folded"] + totals["duplicate"] + totals["late"] + totals["dead_lettered"]
            evidence = await PartitionReader(worker.redis, feed.name, "evidence").manifest()
            assert evidence is not None
            transactions = evidence.counters["control" if worker_reads is BatchConsumer else "gaps"]
            assert 0 < transactions == evidence.counters["control"] + evidence.counters["gaps"], "the worker publishes in transactions, too"
            for kind in (worker_reads, verify_reads):
                read_by(kind, monkeypatch)
                report = await verify_feed(feed, servers.kafka, worker.redis, str(tmp_path), lambda *_: None)
                assert (report.verdict, [place.differences for place in report.places]) == (SAME, [[], []])

    with own_store(kafka_stack) as own:
        asyncio.run(scenario(own))


def counted(end: int | None = None) -> dict[str, int]:
    """What the offsets before `end` hold, or all of them."""
    offsets = ""
    for turn, start in enumerate(range(0, len(LOG.values), IN_A_TRANSACTION)):
        offsets += "r" * len(LOG.values[start:][:IN_A_TRANSACTION]) + "c" + ("gc" if turn < ABORTED else "")
    return {name: offsets[:end].count(name[0]) for name in ("read", "control", "gaps")}


def test_a_full_copy_counts_what_lies_before_it(kafka_stack: Servers, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It stands in the middle of a fetch: the owner that goes on from it counts markers and gaps on either side once."""
    monkeypatch.setattr(copying, "COPY_SECONDS", 0.0)
    feed = fresh_feed("copied")

    async def scenario(servers: Servers) -> None:
        async with shell(servers, feed, str(tmp_path)) as worker:
            await send_in_transactions(worker, LOG)
            one = await worker.take()
            assert one._copying
            await worker.fold(one)
            assert one.progress.counters() == counted()
            one._copying.join()
            await one.abandon()
            await worker.redis.flushall()
            two = await worker.take()
            copied = two.progress.next_offset
            assert copied % copying.COPY_EVERY == 0 < copied < one.progress.next_offset
            assert two.progress.counters() == counted(copied)
            await worker.fold(two)
            assert two.progress.counters() == counted()
            assert two.progress.balanced(two.fold.counters())
            await two.release()

    with own_store(kafka_stack) as own:
        asyncio.run(scenario(own))

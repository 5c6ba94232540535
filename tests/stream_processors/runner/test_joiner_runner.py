"""The joiner on real servers: labels of every kind become examples, and a restart anywhere repeats none."""

from __future__ import annotations

import asyncio
import base64
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from contracts.definition import Feed, Regression
from contracts.durations import SECOND
from contracts.errors import ServerUnavailable
from contracts.event_time import format_event_time
from contracts.records import DeadLetter, Example, Score
from contracts.settings import Servers
from contracts.topics import topic_name
from producers.sender import Sender
from stream_processors.archive.score_decoding import vector_of
from stream_processors.joiner import score_follower
from stream_processors.joiner.joiner_runner import JoinerRunner
from stream_processors.remarks_reader import read_remarks
from stream_processors.runner.fold_service import FoldService
from stream_processors.runner.metrics import WorkerMetrics
from stream_processors.runner.place import Place
from stream_processors.status import feed_status
from stream_processors.topics import ensure_topics
from stream_processors.verification.log_reader import read_switches
from stream_processors.verification.verification import verify_feed
from tests.stream_processors.runner.places import Shell, fresh_feed, send, shell
from tests.stream_processors.stream_fold.streams import START, Log

pytestmark = pytest.mark.integration
COUNT = 600  # readings, one a second in turn from two pumps


def readings(first: int, last: int) -> Log:
    """Readings first ≤ i < last: pump-0 at even seconds, pump-1 at odd ones."""
    log = Log([], [], [], first)
    for i in range(first, last):
        log.times.append(START + i * SECOND)
        log.keys.append(b"pump-%d" % (i % 2))
        log.values.append(msgspec.json.encode({"pump": f"pump-{i % 2}", "ts": START + i * SECOND, "heat": 20.0 + i % 7, "flow": float(i)}))
    return log


def feed_of(test: str) -> Feed:
    return replace(fresh_feed(test), target=Regression("power", unit="kW"))


def tell(servers: Servers, feed: Feed, labels: list[dict[str, Any] | bytes]) -> None:
    with Sender(servers.kafka) as sender:
        values = [label if isinstance(label, bytes) else msgspec.json.encode(label) for label in labels]
        sender.send(topic_name(feed, "labels"), [b"pump"] * len(values), values)
        sender.flush()


async def fold_events(worker: Shell) -> None:
    """As the owner of the events does, from the last checkpoint to the end."""
    runner = await worker.take()
    await worker.fold(runner)
    await runner.release()


async def take_labels(worker: Shell, owner: str = "joiner") -> JoinerRunner:
    """Takes the place, and waits until labels may be read."""
    runner = await worker.take("labels", owner)
    assert isinstance(runner, JoinerRunner)
    async with asyncio.timeout(60):
        while runner.full:
            await runner.settle()
            await asyncio.sleep(0.01)
    return runner


async def join(worker: Shell, runner: JoinerRunner, end: int | None = None) -> None:
    """Reads the labels to the end, or to `end`, and ends all that can be ended."""
    await worker.fold(runner, end)
    while await runner.settle():
        pass
    await runner.published()


async def examples(worker: Shell) -> list[Example]:
    return [msgspec.json.decode(record.value, type=Example) for record in await worker.on_topic("examples")]


def pairs(found: list[Example]) -> list[tuple[int, int, float]]:
    """(offset of the label, offset of the event, value)."""
    return [(int(e.id.split("/")[3]), int(e.score.split("/")[3]), e.value[0]) for e in found]


def at(i: int) -> str:
    return format_event_time(START + i * SECOND)


async def eventually(done: Callable[[], bool]) -> None:
    """Waits for what a service does by itself."""
    async with asyncio.timeout(60):
        while True:
            if done():
                return
            await asyncio.sleep(0.05)


def all_kinds(feed: Feed) -> list[dict[str, Any] | bytes]:
    """Labels 0 to 9, of every kind; see the first test for what they end as."""
    return [
        {"score": f"{feed.name}/1/0/10/score/0", "value": 1.5},
        {"entity": "pump-1", "event_time": at(11), "value": 2.5},
        {"entity": "pump-0", "event_time": at(20), "until": at(30), "value": 3.5},
        {"entity": "pump-0", "event_time": at(10), "value": 1.5},
        {"entity": "pump-1", "event_time": at(11), "value": 9.0},
        {"entity": "pump-0", "event_time": at(11), "value": 1.0},
        b"no label",
        {"entity": "pump-0", "event_time": at(400), "value": 4.5},
        {"entity": "pump-1", "event_time": at(395), "until": at(402), "value": 5.5},
        {"incident": "some incident", "verdict": "confirm"},
    ]


EXPECTED = {(0, 10, 1.5), (1, 11, 2.5), (4, 11, 9.0), *((2, i, 3.5) for i in range(20, 30, 2)), (7, 400, 4.5)} | {
    (8, i, 5.5) for i in range(395, 402, 2)
}


def test_labels_of_all_kinds_become_examples(servers: Servers) -> None:
    """By score, by time and by interval, early ones too, joined to the very vector and record that stand on the scores."""
    feed = feed_of("kinds")
    send(servers, feed, readings(0, 200))
    tell(servers, feed, all_kinds(feed))

    async def scenario() -> None:
        async with shell(servers, feed) as worker:
            await fold_events(worker)
            runner = await take_labels(worker)
            await join(worker, runner)
            assert set(pairs(await examples(worker))) == {pair for pair in EXPECTED if pair[0] < 7}
            assert runner.fold.counters()["waiting"] == 2
            send(servers, feed, readings(200, COUNT))
            await fold_events(worker)
            await until(worker, runner, lambda: runner.fold.counters()["waiting"] == 0)
            found = await examples(worker)
            assert set(pairs(found)) == EXPECTED
            assert len(found) == len(EXPECTED)
            scores = {msgspec.json.decode(r.value, type=Score).id: r for r in await worker.on_topic("scores")}
            for example in found:
                record = scores[example.score]
                assert base64.b64decode(example.vector) == vector_of(record.headers)
                score = msgspec.json.decode(record.value, type=Score)
                assert (example.entity, example.event_time, example.predictions) == (score.entity, score.event_time, score.predictions)
            letters = [msgspec.json.decode(r.value, type=DeadLetter) for r in await worker.on_topic("dead-letters")]
            assert [(x.offset, x.reason, x.topic) for x in letters] == [
                (6, "label_unreadable", f"{feed.name}.labels"),
                (5, "label_unmatched", f"{feed.name}.labels"),
            ]
            (remark,) = (await asyncio.to_thread(read_remarks, feed, servers.kafka)).said
            assert (remark.label.incident, remark.label.verdict) == ("some incident", "confirm")
            await runner.release()
            status = await feed_status(feed, servers)
            counts = {"joined": 5, "duplicate": 1, "correction": 1, "too_late": 0, "unmatched": 2, "waiting": 0, "remarks": 1}
            assert status["labels"] == {"read": 10, "lag": 0} | counts | {"balanced": True}

    asyncio.run(scenario())


async def until(worker: Shell, runner: JoinerRunner, done: Any) -> None:
    """Lets the follower read and the joiner settle until a condition holds."""
    async with asyncio.timeout(60):
        while not done():
            await runner.settle()
            await asyncio.sleep(0.01)
    await runner.published()


@pytest.mark.parametrize("seed", range(4))
def test_joiners_killed_anywhere_repeat_no_example(servers: Servers, seed: int) -> None:
    """Joiners die with and without a checkpoint, amid publishing, before and after events come; each example stands once."""
    feed = feed_of("killed")
    send(servers, feed, readings(0, 200))
    tell(servers, feed, all_kinds(feed))
    draw = np.random.default_rng(seed)

    async def scenario() -> None:
        async with shell(servers, feed) as worker:
            await fold_events(worker)
            for life in range(4):
                runner = await take_labels(worker, f"life {life}")
                if life == 2:
                    send(servers, feed, readings(200, COUNT))
                    await fold_events(worker)
                hand_over = runner._publisher.hand_over
                left = int(draw.integers(1, 4))

                def dying(records: Any, hand_over: Any = hand_over) -> None:
                    nonlocal left
                    left -= 1
                    if left == 0:  # a part of the outputs is out, then the process dies
                        hand_over({topic: items[: int(draw.integers(len(items) + 1))] for topic, items in records.items()})
                        raise ConnectionError
                    hand_over(records)

                runner._publisher.hand_over = dying
                with pytest.raises((ConnectionError, TimeoutError)):
                    async with asyncio.timeout(3):
                        for stop in range(runner.progress.next_offset + 1, 11):
                            await join(worker, runner, stop)
                            if draw.random() < 0.3:
                                await runner.checkpoint()
                        await until(worker, runner, lambda: False)
                await runner.published()
                await runner.abandon()
            runner = await take_labels(worker, "last")
            await join(worker, runner)
            await until(worker, runner, lambda: runner.fold.counters()["waiting"] == 0)
            await runner.release()
            for kind in ("examples", "dead-letters", "remarks"):
                assert set((await worker.ids(kind)).values()) == {1}, kind
            assert Counter(pairs(await examples(worker))) == Counter(EXPECTED)
            counts = (await feed_status(feed, servers))["labels"]
            assert counts["balanced"]
            assert (counts["joined"], counts["unmatched"], counts["waiting"], counts["remarks"]) == (5, 2, 0, 1)
            report = await verify_feed(feed, servers.kafka, worker.redis, "nowhere", lambda *_: None, [Place(feed, "labels", 0)])
            assert (report.verdict, report.places[0].differences) == ("same", [])

    asyncio.run(scenario())


def test_old_records_are_read_from_kafka_again(servers: Servers) -> None:
    """Where the newest records are no longer in memory, the joiner reads those that labels name, by their position."""
    feed = feed_of("old")
    send(servers, feed, readings(0, COUNT))
    tell(servers, feed, [{"score": f"{feed.name}/1/0/{i}/score/0", "value": i} for i in (3, 5, 590, 17)])

    async def scenario() -> None:
        async with shell(servers, feed) as worker:
            await fold_events(worker)
            worker.runners._scores._recent._most = 0
            runner = await take_labels(worker)
            await join(worker, runner)
            found = await examples(worker)
            assert pairs(found) == [(0, 3, 3.0), (1, 5, 5.0), (2, 590, 590.0), (3, 17, 17.0)]
            scores = {msgspec.json.decode(r.value, type=Score).id: r for r in await worker.on_topic("scores")}
            assert [base64.b64decode(e.vector) for e in found] == [vector_of(scores[e.score].headers) for e in found]
            await runner.release()

    asyncio.run(scenario())


def test_a_place_that_is_taken_waits_alone_for_the_newest_scores(servers: Servers) -> None:
    """`take` returns before they are read; until then no label is read or ended, and then all are joined."""
    feed = feed_of("waits")
    send(servers, feed, readings(0, 200))
    tell(servers, feed, [{"entity": "pump-1", "event_time": at(5), "value": 5}])

    async def scenario() -> None:
        async with shell(servers, feed) as worker:
            await fold_events(worker)
            runner = await worker.take("labels", "joiner")
            assert isinstance(runner, JoinerRunner)
            assert runner.full
            assert not await runner.settle()
            async with asyncio.timeout(60):
                while runner.full:
                    await asyncio.sleep(0.01)
                    await runner.settle()
            await join(worker, runner)
            assert pairs(await examples(worker)) == [(0, 5, 5.0)]
            await runner.release()

    asyncio.run(scenario())


def test_a_worker_reads_no_more_while_too_many_labels_wait(stack: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    """Labels without events stop their partition at the limit and nothing is given up; with the events all of them are joined."""
    monkeypatch.setattr("stream_processors.joiner.joiner_runner.LIMIT", 10)
    feed = feed_of("full")
    ensure_topics(feed, stack.kafka)
    truths = [{"entity": f"pump-{i % 2}", "event_time": at(i), "value": i} for i in range(60)]

    async def scenario() -> None:
        service = FoldService([feed], stack, "full", WorkerMetrics())
        await service.start()
        place = TopicPartition(topic_name(feed, "labels"), 0)
        try:
            await eventually(lambda: place in service.runners)
            runner = service.runners[place]
            await asyncio.to_thread(tell, stack, feed, truths[:20])
            await eventually(lambda: runner.fold.counters()["waiting"] == 20)
            await eventually(lambda: place in service._full)
            await asyncio.to_thread(tell, stack, feed, truths[20:])
            turns = [0]
            settle = runner.settle

            async def counted() -> bool:
                turns[0] += 1
                return await settle()

            runner.settle = counted
            await eventually(lambda: turns[0] >= 5)  # each after a fetch of all that is not paused
            assert runner.progress.read == 20
            await asyncio.to_thread(send, stack, feed, readings(0, 200))
            await eventually(lambda: runner.fold.counters()["joined"] == 60)
            assert not service._full
        finally:
            await service.stop()

    asyncio.run(scenario())


def test_scores_of_another_definition_are_not_joined(servers: Servers) -> None:
    """A vector that was made by another definition is not an example for this one: its label is unmatched."""
    feed = feed_of("other")
    send(servers, feed, readings(0, 100))
    other = replace(feed, lateness="1m")

    async def scenario() -> None:
        async with shell(servers, other) as worker:
            await fold_events(worker)
        send(servers, feed, readings(100, 200))
        tell(
            servers, feed, [{"entity": "pump-0", "event_time": at(50), "value": 1}, {"entity": "pump-0", "event_time": at(150), "value": 1}]
        )
        async with shell(servers, feed) as worker:
            await fold_events(worker)
            runner = await take_labels(worker)
            await join(worker, runner)
            assert [pair[0] for pair in pairs(await examples(worker))] == [1]
            assert runner.fold.counters()["unmatched"] == 1
            await runner.release()

    asyncio.run(scenario())


def test_a_broker_that_fails_amid_the_scores_costs_no_label(stack: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    """Scores that were fetched when the broker failed are not passed over: every label of theirs is joined."""
    feed = feed_of("asked-again")
    send(stack, feed, readings(0, COUNT))
    tell(stack, feed, [{"entity": f"pump-{i % 2}", "event_time": at(i), "value": i} for i in range(40)])
    failures = [ServerUnavailable("Kafka did not describe its topics"), KafkaError("gone"), None]

    async def fails_first(*asked: Any) -> Any:
        if error := failures.pop(0) if failures else None:
            raise error
        return await read_switches(*asked)

    monkeypatch.setattr(score_follower, "read_switches", fails_first)

    async def scenario() -> None:
        async with shell(stack, feed) as worker:
            await fold_events(worker)
            runner = await take_labels(worker)
            await join(worker, runner)
            assert not failures
            assert sorted(pair[1] for pair in pairs(await examples(worker))) == list(range(40))
            await runner.release()

    asyncio.run(scenario())


@pytest.mark.parametrize("fails", [False, True])
def test_scores_from_far_back_are_indexed_like_the_newest(servers: Servers, monkeypatch: pytest.MonkeyPatch, fails: bool) -> None:
    """However many are kept whole, the index is the same, also where a broker fails amid it; each record can be had."""
    feed = feed_of("far-back")
    send(servers, feed, readings(0, COUNT))

    async def fails_first(*asked: Any) -> Any:
        if failures.pop():
            raise ServerUnavailable("Kafka did not describe its topics")
        return await read_switches(*asked)

    async def told(recent_bytes: int) -> tuple[Any, Any]:
        follower = score_follower.ScoreFollower(feed, servers.kafka, recent_bytes=recent_bytes)
        try:
            ends = await follower.start(lambda _: None)
            async with asyncio.timeout(60):
                while not follower.holds(ends):
                    follower.check()
                    await asyncio.sleep(0.01)
            found = [follower.index.within(f"pump-{i}", 0, 2**62) for i in range(2)]
            return found, await follower.records([(event.name.partition, event.position) for events in found for event in events[::50]])
        finally:
            await follower.stop()

    async def scenario() -> list[tuple[Any, Any]]:
        async with shell(servers, feed) as worker:
            await fold_events(worker)
            if fails:
                monkeypatch.setattr(score_follower, "read_switches", fails_first)
            return [await told(recent_bytes) for recent_bytes in (10**9, 100_000, 0)]

    failures = [False, True] * 3
    whole, some, none = asyncio.run(scenario())
    assert [len(events) for events in whole[0]] == [COUNT // 2, COUNT // 2]
    assert whole == some == none

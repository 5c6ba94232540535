"""Retraining, backtest and backfill where Kafka has deleted the heads of the logs: as if nothing had been deleted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from contracts.definition import Feed
from contracts.errors import StreamgaugeError
from contracts.outcomes import Outcome
from contracts.records import Score
from contracts.settings import Servers
from feature_store.history import read_history
from stream_processors.archive.log_tail import read_tail
from stream_processors.backfill.late import backfill_late
from stream_processors.examples_reader import read_examples
from stream_processors.log_fold import OutRecord
from stream_processors.stream_fold.fold import StreamFold
from stream_processors.topics import ensure_topics
from stream_processors.trainer.logs import FeedLogs
from stream_processors.trainer.trainer import Trainer
from streamgauge.backtest.recorded import read_recorded
from streamgauge.backtest.run import run_backtest
from tests.stream_processors.archive.headless import archive, delete_head, short_cuts
from tests.stream_processors.runner.places import fresh_feed, own_store, send, shell
from tests.stream_processors.runner.test_take import COUNT, LOG
from tests.stream_processors.scores_log import batch_of, begin_generation, events, make_feed, publish
from tests.stream_processors.trainer.retrain_log import Story, put_examples, request
from tests.stream_processors.trainer.test_trainer import Shown, live
from tests.training.examples import regression

pytestmark = [pytest.mark.integration, pytest.mark.kafka]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short raw files."""
    short_cuts(monkeypatch)


def archived(servers: Servers, feed: Feed, history: Path) -> None:
    asyncio.run(archive(servers, feed, history))


def train(servers: Servers, feed: Feed, history: Path | None) -> Story:
    logs = FeedLogs(feed, servers.kafka, None if history is None else str(history))
    live(logs, [request(feed, 0)], Shown())
    return Story(logs)


def test_a_model_is_trained_on_what_is_archived(kafka_stack: Servers, tmp_path: Path) -> None:
    """With 700 of 900 examples gone from Kafka the model is that of all 900, byte for byte; without the archive there is none."""

    def feed_of(name: str) -> Feed:
        feed = replace(regression(name), archive="raw")
        ensure_topics(feed, kafka_stack.kafka)
        put_examples(feed, kafka_stack.kafka, 900)
        return feed

    whole = train(kafka_stack, feed_of("train-whole"), None)
    headless = feed_of("train-headless")
    archived(kafka_stack, headless, tmp_path)
    delete_head(kafka_stack, headless, {"examples": 700})
    assert len(list(read_examples(headless, kafka_stack.kafka))) == 200
    assert [offset for offset, _ in read_examples(headless, kafka_stack.kafka, str(tmp_path))] == list(range(900))
    found = train(kafka_stack, headless, tmp_path)
    assert found.answers[-1].examples == (0, 900)
    assert (found.outcomes, found.snapshots[0].state) == (["started", "trained"], whole.snapshots[0].state)
    assert [arrival.version for arrival in found.arrivals] == ["v1"], "looked for in the archive as well"

    alone = feed_of("train-alone")
    delete_head(kafka_stack, alone, {"examples": 700})
    assert train(kafka_stack, alone, tmp_path).outcomes == ["too_little"]


def test_a_history_that_cannot_be_reached_fails_no_request(kafka_stack: Servers, tmp_path: Path) -> None:
    """A damaged file stops the training with a sentence and leaves the request as it was, to be done when the file is mended."""
    feed = replace(regression("train-damaged"), archive="raw")
    ensure_topics(feed, kafka_stack.kafka)
    put_examples(feed, kafka_stack.kafka, 900)
    archived(kafka_stack, feed, tmp_path)
    delete_head(kafka_stack, feed, {"examples": 700})
    (path,) = tmp_path.rglob("examples/*/partition-0/000000000000.parquet")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    trainer = Trainer(FeedLogs(feed, kafka_stack.kafka, str(tmp_path)), Shown())
    job = trainer.answer(0, request(feed, 0))
    assert job is not None
    with pytest.raises(StreamgaugeError, match="remove it and archive it again"):
        job()
    path.write_bytes(data)
    assert train(kafka_stack, feed, tmp_path).outcomes == ["started", "started", "trained"]


def test_a_backtest_of_recorded_events_is_the_live_run(kafka_stack: Servers, tmp_path: Path) -> None:
    """Scores of the same definition are those that the worker published, of the deleted head too; another definition is as easy."""
    feed = replace(fresh_feed("recorded"), archive="raw")
    send(kafka_stack, feed, LOG)

    async def scenario(servers: Servers) -> list[Score]:
        async with shell(servers, feed) as worker:
            runner = await worker.take()
            await worker.fold(runner)
            await runner.release()
            await archive(servers, feed, tmp_path)
            return [msgspec.json.decode(r.value, type=Score) for r in await worker.on_topic("scores")]

    with own_store(kafka_stack) as own:
        scores = asyncio.run(scenario(own))
    delete_head(kafka_stack, feed, {"events": COUNT // 2})
    told: list[tuple[str, int, int]] = []
    found = read_recorded(feed, kafka_stack.kafka, str(tmp_path), lambda *done: told.append(done))
    assert (found.history.columns.n, found.partitions, told[-1][1:]) == (COUNT, 1, (COUNT, COUNT))
    tested = run_backtest(feed, found.history, found.partitions, lambda rows: None, found.partition)
    folded = tested.rows.outcome == Outcome.FOLDED
    assert tested.report["reasons"]["clock_ahead"] > 0, "the Kafka timestamps are in the archive"
    assert tested.rows.score[folded].tolist() == pytest.approx([np.nan if s.score is None else s.score for s in scores], abs=0, nan_ok=True)
    entities = [found.history.names[code].decode() for code in found.history.entity[folded].tolist()]
    assert entities == [score.entity for score in scores]
    longer = replace(feed, windows=["1m", "5m", "1h"])
    again = run_backtest(longer, found.history, found.partitions, lambda rows: None, found.partition)
    assert again.report["outcomes"] == tested.report["outcomes"]


def test_late_readings_find_their_places_in_the_archive(kafka_stack: Servers, tmp_path: Path) -> None:
    """Revision 1 is the same, row by row, whether Kafka has all events or files hold their head."""
    feed = replace(make_feed("late-headless", lateness="5s"), archive="raw")
    records = events(3_000)
    fold = StreamFold(feed, 0, 1)
    outputs = fold.fold(batch_of(records, 0)).records
    begin_generation(feed, kafka_stack.kafka, 1, 0)
    publish(feed, kafka_stack.kafka, [OutRecord(i, 0, 0, key, value) for i, (key, value) in enumerate(records)], "events")
    for kind in ("scores", "dead-letters"):
        publish(feed, kafka_stack.kafka, outputs[kind], kind)
    late = fold.counters()["late"]
    assert late > 30

    def revision(history: Path, before: Callable[[], None] = lambda: None) -> list[list[object]]:
        archived(kafka_stack, feed, history)
        before()
        report = asyncio.run(backfill_late(feed, kafka_stack.kafka, str(history), lambda *_: None))
        assert (report.revision, report.readings, report.gone) == (1, late, 0)
        tail = asyncio.run(read_tail(feed, kafka_stack.kafka, str(history)))
        frame = read_history(str(history), feed, revision=1, tail=tail)
        return frame[frame["revision"] == 1].astype(str).to_numpy().tolist()

    whole = revision(tmp_path / "whole")
    headless = revision(tmp_path / "headless", lambda: delete_head(kafka_stack, feed, {"events": 2_000}))
    assert whole == headless
    assert len(whole) > late

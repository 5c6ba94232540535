"""verify computes again what labels came to: joined, corrections and duplicates, with waiting and refused labels as recorded."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from contracts.settings import Servers
from stream_processors.archive import archived_log, raw_cuts
from stream_processors.joiner.joiner import Joiner, Settled
from stream_processors.joiner.joiner_fold import JoinerFold
from stream_processors.verification.reports import PlaceReport
from stream_processors.verification.verification import DIFFERENT, SAME
from tests.stream_processors.archive.headless import archive, delete_head, short_cuts, verified
from tests.stream_processors.runner.places import Shell, own_store, send, shell
from tests.stream_processors.runner.test_joiner_runner import (
    COUNT,
    all_kinds,
    at,
    feed_of,
    fold_events,
    join,
    readings,
    take_labels,
    tell,
    until,
)

pytestmark = pytest.mark.integration


async def fold_the_rest(worker: Shell) -> None:
    """Evidence and examples, so that all of the feed can be verified."""
    for log in ("evidence", "examples"):
        runner = await worker.take(log)
        await worker.fold(runner)
        runner._changed = True
        await runner.release()


async def labels_report(worker: Shell, history: Path) -> tuple[str, PlaceReport]:
    report = await verified(worker.servers, worker.feed, history)
    assert not report.reason
    (found,) = [place for place in report.places if place.place.endswith(".labels/0")]
    others = [line for place in report.places if place is not found for line in place.differences]
    assert others == []
    return report.verdict, found


def test_labels_of_all_kinds_are_computed_again(servers: Servers, tmp_path: Path) -> None:
    """While some wait, and once all have ended: every example is compared byte for byte, and the counters are those of the checkpoint."""
    feed = feed_of("verified")
    send(servers, feed, readings(0, 200))
    tell(servers, feed, all_kinds(feed))

    async def scenario(servers: Servers) -> None:
        async with shell(servers, feed) as worker:
            await fold_events(worker)
            runner = await take_labels(worker)
            await join(worker, runner)
            await runner.checkpoint()
            await fold_the_rest(worker)
            verdict, found = await labels_report(worker, tmp_path)
            assert (verdict, found.differences) == (SAME, [])
            assert (found.compared["read"], found.compared["examples"], found.compared["dead-letters"]) == (10, 8, 2)
            send(servers, feed, readings(200, COUNT))
            await fold_events(worker)
            await until(worker, runner, lambda: runner.fold.counters()["waiting"] == 0)
            verdict, found = await labels_report(worker, tmp_path)
            assert (verdict, found.differences) == (SAME, []), "what was published since the checkpoint is not of it"
            await runner.release()
            await fold_the_rest(worker)
            verdict, found = await labels_report(worker, tmp_path)
            assert (verdict, found.differences) == (SAME, [])
            assert (found.compared["examples"], found.compared["remarks"], found.compared["gone"]) == (13, 1, 0)

    with own_store(servers) as own:
        asyncio.run(scenario(own))


def _without(n: int) -> Callable[[Any, Settled], Settled]:
    return lambda self, settled: settled._replace(examples=[e for i, e in enumerate(settled.examples) if i != n])


def _changed(self: Any, settled: Settled) -> Settled:
    first, *rest = settled.examples
    return settled._replace(examples=[first._replace(value=first.value + 1), *rest])


def _of_another(self: Any, settled: Settled) -> Settled:
    first, *rest = settled.examples
    return settled._replace(examples=[first._replace(record=rest[-1].record), *rest])


def _twice(self: Any, settled: Settled) -> Settled:
    return settled._replace(examples=[*settled.examples, settled.examples[-1]._replace(n=settled.examples[-1].n + 1)])


def _no_correction(self: Any, settled: Settled) -> Settled:
    return settled._replace(examples=[e._replace(previous=None) for e in settled.examples])


FAULTS = {
    "an example is lost": (_without(0), "no example"),
    "the last of an interval is lost": (_without(7), "no example"),
    "one in the middle of an interval is lost": (_without(3), "some are lost"),
    "a truth is changed": (_changed, "differs: computed again"),
    "another event is named": (_of_another, "another event than its label names"),
    "an example is told again": (_twice, "differs: computed again"),
    "a correction does not say so": (_no_correction, "differs: computed again"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_the_joiner_is_found(stack: Servers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    """A joiner that loses, changes, doubles or misplaces an example is told apart from one that does not."""
    feed = feed_of("faulty")
    send(stack, feed, readings(0, 200))
    tell(stack, feed, [label for label in all_kinds(feed) if isinstance(label, dict)][:5])
    spoil, expected = FAULTS[fault]
    whole = Joiner.settle

    async def scenario(servers: Servers) -> None:
        async with shell(servers, feed) as worker:
            await fold_events(worker)
            with monkeypatch.context() as faulty:

                def settle(self: Joiner, *given: Any) -> Settled:
                    settled = whole(self, *given)
                    last = len(settled.examples) - 1
                    order = sorted(settled.examples, key=lambda e: (e.label == 2, e.label, e.n))
                    assert last == 7
                    return spoil(self, settled._replace(examples=order))

                faulty.setattr(Joiner, "settle", settle)
                runner = await take_labels(worker)
                await join(worker, runner)
                await runner.release()
            await fold_the_rest(worker)
            verdict, found = await labels_report(worker, tmp_path)
            assert verdict == DIFFERENT
            assert any(expected in line for line in found.differences), found.differences

    with own_store(stack) as own:
        asyncio.run(scenario(own))


def test_a_miscounted_label_is_found(stack: Servers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A duplicate that is counted as joined leaves no trace but the counters."""
    feed = feed_of("miscounted")
    send(stack, feed, readings(0, 200))
    tell(stack, feed, [label for label in all_kinds(feed) if isinstance(label, dict)][:4])

    async def scenario(servers: Servers) -> None:
        async with shell(servers, feed) as worker:
            await fold_events(worker)
            runner = await take_labels(worker)
            await join(worker, runner)
            fold = runner.fold
            assert isinstance(fold, JoinerFold)
            fold.joiner.counts["duplicate"] -= 1
            fold.joiner.counts["joined"] += 1
            await runner.release()
            await fold_the_rest(worker)
            verdict, found = await labels_report(worker, tmp_path)
            assert verdict == DIFFERENT
            assert found.differences == [
                f"{feed.name}.labels/0: counter joined is 4, computed again 3",
                f"{feed.name}.labels/0: counter duplicate is 0, computed again 1",
            ]

    with own_store(stack) as own:
        asyncio.run(scenario(own))


@pytest.mark.kafka
def test_labels_without_heads_are_verified_from_the_archive(kafka_stack: Servers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Labels, examples and models lost their heads in Kafka: with the archive at hand all examples are compared."""
    short_cuts(monkeypatch)
    monkeypatch.setattr(raw_cuts, "CUT", 4)
    monkeypatch.setattr(raw_cuts, "cut_of", lambda offset: offset // 4 * 4)
    monkeypatch.setattr(archived_log, "CUT", 4)
    feed = replace(feed_of("headless-labels"), archive="raw")
    send(kafka_stack, feed, readings(0, COUNT))
    tell(kafka_stack, feed, [*all_kinds(feed), {"entity": "pump-0", "event_time": at(500), "value": 1.0}])

    async def scenario(servers: Servers) -> None:
        async with shell(servers, feed) as worker:
            await fold_events(worker)
            runner = await take_labels(worker)
            await join(worker, runner)
            await runner.release()
            await fold_the_rest(worker)
            await archive(servers, feed, tmp_path)
            delete_head(servers, feed, {"labels": 7, "examples": 6})
            verdict, found = await labels_report(worker, tmp_path)
            assert (verdict, found.differences) == (SAME, [])
            assert (found.first, found.compared["read"], found.compared["examples"]) == (0, 11, 14)
            delete_head(servers, feed, {"scores": 100})
            verdict, found = await labels_report(worker, tmp_path)
            assert (verdict, found.differences) == (SAME, [])
            assert found.compared["examples"] + found.compared["gone"] == 14
            assert found.compared["gone"] > 0, "their scores are neither archived as they stand nor in Kafka"

    with own_store(kafka_stack) as own:
        asyncio.run(scenario(own))

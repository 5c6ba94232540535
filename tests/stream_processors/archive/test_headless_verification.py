"""verify where Kafka has deleted the heads of the logs: from the archive the whole range, from a full copy what follows it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from contracts.settings import Servers
from stream_processors.archive import raw_rows
from stream_processors.runner import copying
from stream_processors.verification.verification import DIFFERENT, NOT_CHECKABLE, SAME
from tests.stream_processors.archive.headless import archive, delete_head, differences, files_below, short_cuts, verified
from tests.stream_processors.runner.places import Shell, fresh_feed, own_store, send, shell
from tests.stream_processors.runner.test_copying import fold_and_copy
from tests.stream_processors.runner.test_take import COUNT, LOG

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short raw files, and a full copy wherever a batch passes a multiple of 100."""
    short_cuts(monkeypatch)
    monkeypatch.setattr(copying, "COPY_SECONDS", 0.0)


async def fold_all(worker: Shell) -> None:
    """Events with copies on the way, then the evidence."""
    runner = await worker.take()
    await fold_and_copy(worker, runner, COUNT)
    await runner.release()
    judge = await worker.take("evidence")
    await worker.fold(judge)
    await judge.release()


def test_archive_and_log_are_one(stack: Servers, tmp_path: Path) -> None:
    """With all of the log still in Kafka the archived part is read from files: a changed byte in them is a difference."""
    feed = replace(fresh_feed("one-log"), archive="raw")
    send(stack, feed, LOG)

    async def scenario(servers: Servers) -> None:
        async with shell(servers, feed, str(tmp_path)) as worker:
            await fold_all(worker)
            await archive(servers, feed, tmp_path)
            kinds = {path.parts[-4] for path in files_below(tmp_path, "*.parquet*") if "scores" not in path.parts}
            assert kinds == {"events", "evidence", "switches"}, "no label was told, and there is nothing to learn"
            report = await verified(servers, feed, tmp_path)
            assert (report.verdict, differences(report)) == (SAME, [])
            events = report.places[0]
            assert (events.first, events.end, events.from_copy) == (0, COUNT, False)
            _change_a_value(files_below(tmp_path, "events/*/partition-0/000000000500.parquet")[0])
            report = await verified(servers, feed, tmp_path)
            assert report.verdict == DIFFERENT

    with own_store(stack) as own:
        asyncio.run(scenario(own))


def _change_a_value(path: Path) -> None:
    """Another reading of one device, in a file that is whole and bears the right checksums."""
    part = raw_rows.decode_rows(path.read_bytes(), 500, str(path))
    values = part.batch.values.copy()
    at = values.tobytes().index(b'"heat":') + len(b'"heat":')
    values[at] = ord("7") if values[at] != ord("7") else ord("8")
    path.write_bytes(raw_rows.encode_rows([part._replace(batch=part.batch._replace(values=values))], 1_000))


@pytest.mark.kafka
def test_logs_without_heads_are_verified_whole_from_the_archive(kafka_stack: Servers, tmp_path: Path) -> None:
    """Events, evidence and switches lost their heads in Kafka: `same` on the whole range; without the archive, from the oldest copy."""
    feed = replace(fresh_feed("headless-raw"), archive="raw")
    send(kafka_stack, feed, LOG)

    async def scenario(servers: Servers) -> None:
        async with shell(servers, feed, str(tmp_path)) as worker:
            await fold_all(worker)
            await archive(servers, feed, tmp_path)
            ends = {kind: len(await worker.on_topic(kind)) for kind in ("scores", "evidence", "dead-letters")}
            heads = {"events": 1_150, "evidence": 3, "scores": 600, "dead-letters": 20, "switches": 2}
            delete_head(servers, feed, heads)
            report = await verified(servers, feed, tmp_path)
            assert (report.verdict, differences(report)) == (SAME, [])
            events, evidence = report.places
            assert (events.first, events.end, events.from_copy) == (0, COUNT, False)
            assert evidence.first == 0
            assert events.compared["evidence"] == ends["evidence"], "the archived outputs are compared, too"
            same = [events.compared[kind] for kind in ("scores", "dead-letters", "gone")]
            assert sum(same) == ends["scores"] + ends["dead-letters"], "what is left is compared, what is not is counted"
            assert 0 < same[2] < 620

            (tmp_path / feed.name / "events").rename(tmp_path / "events, taken away")
            report = await verified(servers, feed, tmp_path)
            assert (report.verdict, differences(report)) == (SAME, [])
            copies = sorted(int(path.stem) for path in files_below(tmp_path, "*.checkpoint"))
            assert len(copies) == 3
            assert (report.places[0].first, report.places[0].from_copy) == (min(c for c in copies if c >= 1_150), True)

            (tmp_path / feed.name / "checkpoints").rename(tmp_path / "copies, taken away")
            report = await verified(servers, feed, tmp_path)
            assert report.verdict == NOT_CHECKABLE
            assert "keep offsets from 1150 on" in report.reason

    with own_store(kafka_stack) as own:
        asyncio.run(scenario(own))

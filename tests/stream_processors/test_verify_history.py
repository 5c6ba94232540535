"""verify compares the archiver's files with what the fold gives again, on the embedded stack with real runners."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from contracts.definition import Feed
from contracts.settings import Servers
from contracts.topics import events_topic
from feature_store.history_rows import parquet_bytes
from feature_store.redis_connection import async_client
from producers.sender import Sender
from stream_processors.archive.archiver import Archiver
from stream_processors.topics import ensure_topics
from stream_processors.verification import on_cores
from stream_processors.verification.verification import FeedReport, verify_feed
from tests.stream_processors.runner.places import own_store, shell
from tests.stream_processors.scores_log import events, make_feed
from tests.streamgauge.commands_in_process import command

pytestmark = pytest.mark.integration
COUNT = 43_000  # four whole cuts, and one that is not over
PLANT = """
from streamgauge import Feed, Number

pumps = Feed(
    "verify-history", entity="pump", time="ts", fields=[Number("x", low=-100, high=100, features=["count", "mean", "last"])],
    windows=["1m"], lateness="30s", season=None, partitions=1, detectors=(), time_features=False,
)
"""


class Story(NamedTuple):
    """A feed that a worker has folded and an archiver has written to a directory."""

    feed: Feed
    servers: Servers
    history: Path


@pytest.fixture(scope="module")
def story(stack: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    feed = make_feed("verify-history")
    history = tmp_path_factory.mktemp("history")
    ensure_topics(feed, stack.kafka)
    records = events(COUNT)
    # the third cut holds nothing that can be folded: its file is empty
    with Sender(stack.kafka) as sender:
        sender.send(events_topic(feed), [k for k, _ in records], [b"{}" if 20_000 <= i < 30_000 else v for i, (_, v) in enumerate(records)])
        sender.flush()
    with own_store(stack) as own:
        asyncio.run(_fold(own, feed))
        asyncio.run(Archiver([feed], stack.kafka, str(history)).run(idle=lambda: True))
        yield Story(feed, own, history)


async def _fold(servers: Servers, feed: Feed) -> None:
    async with shell(servers, feed) as worker:
        for log in ("events", "evidence"):
            runner = await worker.take(log)
            await worker.fold(runner)
            await runner.release()


def verify(story: Story, history: Path) -> FeedReport:
    async def run() -> FeedReport:
        redis = await async_client(story.servers.redis)
        try:
            return await verify_feed(story.feed, story.servers.kafka, redis, str(history), lambda *_: None)
        finally:
            await redis.aclose()

    return asyncio.run(run())


@pytest.fixture
def copy(story: Story, tmp_path: Path) -> Path:
    """The history, to be damaged."""
    return shutil.copytree(story.history, tmp_path / "history")


def cut(history: Path, first: int) -> Path:
    return history / "verify-history" / "scores" / "revision-0" / "generation-1" / "partition-0" / f"{first:012d}.parquet"


def differences(report: FeedReport) -> list[str]:
    return [line for place in report.places for line in place.differences]


def test_files_of_the_archiver_are_the_same(story: Story) -> None:
    """Every file of the range is compared, the empty one too, and is what the fold gives."""
    report = verify(story, story.history)
    assert (report.verdict, differences(report)) == ("same", [])
    assert report.history == (str(story.history), 4, 4, 0)
    assert [place.compared["files"] for place in report.places] == [4, 0]


@pytest.mark.slow
def test_processes_of_their_own_report_the_same(story: Story, copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each place verified by another process: the report is that of one process, progress is told, and a damaged file is found."""
    monkeypatch.setattr(on_cores, "LONG", 1)
    cut(copy, 10_000).write_bytes(b"damaged")
    told: list[tuple[str, int, int]] = []
    for history in (story.history, copy):
        report = asyncio.run(on_cores.verify_on_cores(story.feed, story.servers, str(history), lambda *done: told.append(done)))
        assert report == verify(story, history)
    assert "verify-history.events/0" in {place for place, _, _ in told}
    assert report.verdict == "different"


def test_places_that_never_got_a_record_are_the_same(stack: Servers, tmp_path: Path) -> None:
    """Of a partition without records there is no checkpoint, and of one just added no generation: nothing could differ."""
    feed = make_feed("verify-untouched", partitions=2)
    ensure_topics(feed, stack.kafka)

    async def take_and_release(servers: Servers) -> None:
        async with shell(servers, feed) as worker:
            for log in ("events", "evidence"):
                await (await worker.take(log)).release()

    with own_store(stack) as own:
        asyncio.run(take_and_release(own))
        report = verify(Story(feed, own, tmp_path), tmp_path)
    assert (report.verdict, [(place.first, place.end) for place in report.places]) == ("same", [(0, 0)] * 3)


def test_a_feed_without_topics_is_not_checkable_on_any_number_of_cores(story: Story) -> None:
    """As with one process: the sentence says what to do."""
    report = asyncio.run(on_cores.verify_on_cores(make_feed("nobody-sent-any"), story.servers, str(story.history), lambda *_: None))
    assert report.verdict == "not checkable" and "start a worker" in report.reason


def test_one_changed_row_is_found(story: Story, copy: Path) -> None:
    """One score in one row of one file, changed and encoded as the archiver does: different, with file, offset and column."""
    path = cut(copy, 10_000)
    table = pq.read_table(path, partitioning=None)
    score = table["score"].to_pylist()
    score[77] = 0.125
    at = table.schema.get_field_index("score")
    path.write_bytes(parquet_bytes(table.set_column(at, table.schema.field(at), pa.array(score))))
    report = verify(story, copy)
    assert report.verdict == "different"
    assert differences(report) == [
        "verify-history/scores/revision-0/generation-1/partition-0/000000010000.parquet: 1 rows differ, "
        f"the first at offset {table['offset'][77]} in score"
    ]
    assert report.history == (str(copy), 4, 3, 0)


def test_a_row_too_few_is_found(story: Story, copy: Path) -> None:
    """A file that lost its last row is told with both numbers of rows."""
    path = cut(copy, 30_000)
    table = pq.read_table(path, partitioning=None)
    path.write_bytes(parquet_bytes(table.slice(0, len(table) - 1)))
    (line,) = differences(verify(story, copy))
    assert line.endswith(f"000000030000.parquet: {len(table) - 1} rows, folded again {len(table)}")


def test_a_damaged_file_is_found(story: Story, copy: Path) -> None:
    """What is no Parquet any more is a difference and no traceback."""
    path = cut(copy, 0)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    (line,) = differences(verify(story, copy))
    assert "cannot be read as Parquet" in line


@pytest.mark.parametrize("first", [0, 10_000, 20_000])
def test_a_missing_file_is_found(story: Story, copy: Path, first: int) -> None:
    """A file is missing where later ones are there, at the beginning, in the middle, and of a cut without rows."""
    cut(copy, first).unlink()
    report = verify(story, copy)
    assert report.verdict == "different"
    assert differences(report) == [
        f"verify-history/scores/revision-0/generation-1/partition-0/{first:012d}.parquet: missing, and later files are there"
    ]


def test_an_archiver_that_is_behind_is_no_difference(story: Story, copy: Path) -> None:
    """Behind the last file nothing is expected yet: an archiver may be slow or stopped."""
    cut(copy, 30_000).unlink()
    cut(copy, 20_000).unlink()
    report = verify(story, copy)
    assert (report.verdict, report.history) == ("same", (str(copy), 2, 2, 0))


def test_no_history_is_no_difference(story: Story, tmp_path: Path) -> None:
    """Where nothing was archived, the rest is compared and no file is missed."""
    report = verify(story, tmp_path / "nowhere")
    assert (report.verdict, report.history) == ("same", (str(tmp_path / "nowhere"), 0, 0, 0))


def test_rows_of_backfills_are_left_out(story: Story, copy: Path) -> None:
    """Files of a revision and of generation 0 are no rows of the live fold: counted as left out, not compared."""
    whole = cut(copy, 0)
    for place in ("revision-1/generation-1", "revision-0/generation-0"):
        other = copy / "verify-history" / "scores" / place / "partition-0" / whole.name
        other.parent.mkdir(parents=True)
        other.write_bytes(b"of a backfill")
    report = verify(story, copy)
    assert (report.verdict, report.history) == ("same", (str(copy), 6, 4, 2))


def test_another_version_of_pyarrow_wrote_the_file(story: Story, copy: Path) -> None:
    """A file whose footer names another version is compared row by row: same with the same rows, different with others."""
    here, there = f"version {pa.__version__}".encode(), b"version " + b"9" * len(pa.__version__)
    path = cut(copy, 10_000)
    path.write_bytes(path.read_bytes().replace(here, there))
    assert verify(story, copy).verdict == "same"
    table = pq.read_table(path, partitioning=None)
    at = table.schema.get_field_index("x_last")
    other = table.set_column(at, table.schema.field(at), pc.add(table["x_last"], 1e-9))
    path.write_bytes(parquet_bytes(other).replace(here, there))
    (line,) = differences(verify(story, copy))
    assert f"{len(table)} rows differ, the first at offset {table['offset'][0]} in x_last" in line


def test_the_command_says_how_many(story: Story, copy: Path, tmp_path: Path) -> None:
    """`verify --history` prints the number of files, in text and in JSON, says so where there are none, and exits by the verdict."""
    plant = tmp_path / "plant.py"
    plant.write_text(PLANT)
    done = command(["verify", str(plant), "--history", str(copy), "--json"], story.servers)
    assert done.code == 0, done.out + done.err
    assert '"listed": 4' in done.out
    assert '"same": 4' in done.out
    done = command(["verify", str(plant), "--history", str(tmp_path / "nowhere")], story.servers)
    assert (done.code, f"history: no files of verify-history at {tmp_path / 'nowhere'}" in done.out) == (0, True)
    cut(copy, 10_000).unlink()
    done = command(["verify", str(plant), "--history", str(copy)], story.servers)
    assert (done.code, "3 of 3 files" in done.out, "000000010000.parquet: missing" in done.out) == (1, True, True)

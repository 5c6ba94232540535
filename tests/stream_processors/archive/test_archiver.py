"""The archiver on real brokers: scores with their vectors as rows, and logs as they stand."""

import asyncio
import json
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from contracts.definition import Feed
from contracts.errors import SettingsError
from contracts.settings import KafkaSettings, Servers
from contracts.topics import topic_name
from feature_store import history_files
from feature_store.history import read_history
from feature_store.history_files import HistoryFiles
from producers.sender import Sender
from stream_processors.archive import archived_log, consumers, raw_cuts, score_cuts
from stream_processors.archive import archiver as archiver_module
from stream_processors.archive.archived_log import ArchivedLog
from stream_processors.archive.archiver import Archiver
from stream_processors.archive.log_tail import read_tail
from stream_processors.log_ends import end_offsets
from stream_processors.log_fold import OutRecord
from stream_processors.runner.clients import plain_producer
from stream_processors.runner.publisher import Publisher
from stream_processors.topics import describe_topics
from tests.stream_processors.archive.headless import delete_head
from tests.stream_processors.runner.places import send
from tests.stream_processors.runner.test_fold_service import eventually
from tests.stream_processors.runner.test_other_logs import grow
from tests.stream_processors.scores_log import begin_generation, events, fold_scores, make_feed, publish
from tests.stream_processors.stream_fold.streams import Log


def archive(feed: Feed, kafka: KafkaSettings, to: Path, portion: int = 5_000, kinds: tuple[str, ...] | None = ("scores",)) -> int:
    """Runs an archiver until it has read everything; returns the files it wrote."""
    archiver = Archiver([feed], kafka, str(to), kinds, portion)
    asyncio.run(archiver.run(idle=lambda: True))
    return archiver.files_written


def contents(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in sorted(directory.rglob("*.parquet"))}


def test_bytes_do_not_depend_on_portions_or_restarts(servers: Servers, tmp_path: Path) -> None:
    """The same log gives the same files in large portions, in small ones, and in two runs with records added between."""
    feed = make_feed("archive-bytes")
    scores = fold_scores(feed, events(25_000))
    begin_generation(feed, servers.kafka, 1, 0)
    publish(feed, servers.kafka, scores[:12_000])
    assert archive(feed, servers.kafka, tmp_path / "twice") == 1
    publish(feed, servers.kafka, scores[12_000:])
    assert archive(feed, servers.kafka, tmp_path / "twice", 700) == 1
    assert archive(feed, servers.kafka, tmp_path / "twice") == 0
    assert archive(feed, servers.kafka, tmp_path / "once", 100_000) == 2
    assert contents(tmp_path / "twice") == contents(tmp_path / "once")
    assert list(contents(tmp_path / "once")) == [
        f"archive-bytes/scores/revision-0/generation-1/partition-0/{first:012d}.parquet" for first in (0, 10_000)
    ]


def test_rows_are_the_scores_and_the_vectors(servers: Servers, tmp_path: Path) -> None:
    """Files and the log's tail together give every score record once, with the very numbers of its header."""
    feed = make_feed("archive-rows")
    scores = fold_scores(feed, events(15_000))
    begin_generation(feed, servers.kafka, 1, 0)
    publish(feed, servers.kafka, scores[:9_000])
    publish(feed, servers.kafka, scores[8_500:])  # a repeat of 500
    archive(feed, servers.kafka, tmp_path)
    file = HistoryFiles(str(tmp_path)).scores(feed.name)[0].path
    in_file = [record.offset for record in scores if record.offset < 10_000]
    assert pq.read_table(file, partitioning=None)["offset"].to_pylist() == in_file
    tail = asyncio.run(read_tail(feed, servers.kafka, str(tmp_path)))
    frame = read_history(str(tmp_path), feed, tail=tail)
    assert frame["offset"].tolist() == [record.offset for record in scores]
    vectors = np.stack([np.frombuffer(record.headers[0][1]) for record in scores])
    np.testing.assert_array_equal(frame[["x_count_1m", "x_mean_1m", "x_last"]].to_numpy(), vectors)
    late = frame["flags"].str.contains("out_of_order")
    assert late.any() and (frame["as_of"] > frame["event_time"])[late].all() and (frame["as_of"] == frame["event_time"])[~late].all()
    assert tail.ends == {0: (1, scores[-1].offset + 1)}
    assert len(read_history(str(tmp_path), feed)) == len(in_file)


def test_a_new_generation_ends_the_files_of_the_one_before(servers: Servers, tmp_path: Path) -> None:
    """The rest of generation 1 is written when generation 2 is seen, and offsets without rows have empty files."""
    feed = make_feed("archive-generations")
    begin_generation(feed, servers.kafka, 1, 0)
    publish(feed, servers.kafka, fold_scores(feed, events(500)))
    begin_generation(feed, servers.kafka, 2, 500)
    publish(feed, servers.kafka, fold_scores(feed, events(100, 500), 500, 2) + fold_scores(feed, events(100, 30_000), 30_000, 2))
    assert archive(feed, servers.kafka, tmp_path) == 4
    found = {(f.generation, f.first) for f in HistoryFiles(str(tmp_path)).scores(feed.name)}
    assert found == {(1, 0), (2, 0), (2, 10_000), (2, 20_000)}
    assert set(read_history(str(tmp_path), feed, end="2026-01-01T01:00Z")["generation"]) == {1, 2}


def test_another_definition_is_not_archived(servers: Servers, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A generation folded with another definition is left out, and it is said so."""
    feed = make_feed("archive-foreign")
    begin_generation(feed, servers.kafka, 1, 0, "0123456789abcdef")
    publish(feed, servers.kafka, fold_scores(feed, events(11_000)))
    assert archive(feed, servers.kafka, tmp_path) == 0
    assert "generation 1 was folded with definition 0123456789abcdef" in caplog.text


def test_a_removed_file_is_written_again(servers: Servers, tmp_path: Path) -> None:
    """A noted position is believed only where the files go as far as they went then."""
    feed = make_feed("archive-removed")
    begin_generation(feed, servers.kafka, 1, 0)
    publish(feed, servers.kafka, fold_scores(feed, events(21_000)))
    archive(feed, servers.kafka, tmp_path)
    before = contents(tmp_path)
    note = json.loads((tmp_path / feed.name / "scores" / "positions" / "partition-0.json").read_bytes())
    assert (note["generation"], note["cut"]) == (1, 20_000) and 19_000 < note["position"] < 20_000
    (tmp_path / list(before)[-1]).unlink()
    assert archive(feed, servers.kafka, tmp_path) == 1
    assert contents(tmp_path) == before


def test_thinned_vectors_are_null(servers: Servers, tmp_path: Path) -> None:
    """A row whose vector was not logged has null features and says so."""
    feed = make_feed("archive-thinned", log_vectors="10s")
    begin_generation(feed, servers.kafka, 1, 0)
    publish(feed, servers.kafka, fold_scores(feed, events(10_100)))
    archive(feed, servers.kafka, tmp_path)
    frame = read_history(str(tmp_path), feed)
    assert 0 < frame["logged"].sum() < len(frame)
    assert frame["x_count_1m"].isna().equals(~frame["logged"])


def test_events_are_archived_as_they_stand(servers: Servers, tmp_path: Path) -> None:
    """`--what events` writes every record's bytes, cut by the log's own offsets, and the cut at hand beside; an unknown log is refused."""
    feed = make_feed("archive-events")
    records = events(10_050)
    begin_generation(feed, servers.kafka, 1, 0)
    publish(feed, servers.kafka, [OutRecord(i, 0, 0, key, value) for i, (key, value) in enumerate(records)], "events")
    assert archive(feed, servers.kafka, tmp_path, kinds=("events",)) == 1
    (whole,) = tmp_path.glob("archive-events/events/*/partition-0/000000000000.parquet")
    table = pq.read_table(whole, partitioning=None)
    assert table["offset"].to_pylist() == list(range(10_000))
    assert table["value"].to_pylist() == [value for _, value in records[:10_000]]
    rest = pq.read_table(whole.with_name("000000010000.parquet.open"), partitioning=None)
    assert rest["key"].to_pylist() == [key for key, _ in records[10_000:]]
    assert not (tmp_path / feed.name / "scores").exists()
    with pytest.raises(SettingsError, match="choose from scores, events"):
        Archiver([feed], servers.kafka, str(tmp_path), ["alerts"])


def test_the_definition_names_what_is_archived(servers: Servers, tmp_path: Path) -> None:
    """With archive="raw" the logs stand beside the scores; the setting changes nothing that is folded, so the hash is the same."""
    feed = make_feed("archive-raw")
    raw = replace(feed, archive="raw")
    assert raw.hash == feed.hash
    records = events(300)
    begin_generation(feed, servers.kafka, 1, 0)
    publish(feed, servers.kafka, [OutRecord(i, 0, 0, key, value) for i, (key, value) in enumerate(records)], "events")
    archive(feed, servers.kafka, tmp_path / "scores", kinds=None)
    assert not list((tmp_path / "scores").rglob("*.open"))
    archive(raw, servers.kafka, tmp_path / "raw", kinds=None)
    assert {path.parts[-4] for path in (tmp_path / "raw").rglob("*.open")} == {"events", "switches"}


@pytest.mark.kafka
def test_an_archiver_at_work_that_retention_overtakes_says_so(
    kafka_stack: Servers, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it has read half a cut, what comes next is deleted: of events and of scores that cut has no file, later ones are whole."""
    monkeypatch.setattr(raw_cuts, "CUT", 1_000)
    monkeypatch.setattr(raw_cuts, "cut_of", lambda offset: offset // 1_000 * 1_000)
    monkeypatch.setattr(archived_log, "CUT", 1_000)
    monkeypatch.setattr(score_cuts, "CUT", 1_000)
    monkeypatch.setattr(score_cuts, "cut_of", lambda offset: offset // 1_000 * 1_000)
    monkeypatch.setattr(history_files, "CUT", 1_000)
    monkeypatch.setattr(consumers, "FETCH_BYTES", 20_000)  # the fetch that waits at the end brings some records, not all of them
    monkeypatch.setattr(consumers, "FETCH_MIN_BYTES", 1)
    feed = replace(make_feed("archive-overtaken"), archive="raw")
    records = events(5_400, disorder=0.0)
    scores = fold_scores(feed, records)
    begin_generation(feed, kafka_stack.kafka, 1, 0)
    first, rest = records[:1_500], records[1_500:]
    publish(feed, kafka_stack.kafka, [OutRecord(i, 0, 0, key, value) for i, (key, value) in enumerate(first)], "events")
    publish(feed, kafka_stack.kafka, [s for s in scores if s.offset < 1_500])
    archiver = Archiver([feed], kafka_stack.kafka, str(tmp_path))
    rounds = 0

    def idle() -> bool:
        """Between two rounds more is sent, and deleted before it can be read."""
        nonlocal rounds
        rounds += 1
        if rounds == 3:
            publish_here(feed, kafka_stack.kafka, [OutRecord(i, 0, 0, key, value) for i, (key, value) in enumerate(rest)], "events")
            publish_here(feed, kafka_stack.kafka, [s for s in scores if s.offset >= 1_500], "scores")
            position = sum(1 for s in scores if s.offset < 2_300)
            delete_head(kafka_stack, feed, {"events": 2_300, "scores": position})
        return rounds > 12

    asyncio.run(archiver.run(idle))
    assert re.search(r"Kafka deleted offsets 1\d\d\d to 2300 before they were archived", caplog.text)
    assert "archive-overtaken/0: Kafka no longer has what comes before offset" in caplog.text
    raw = sorted(int(path.stem) for path in tmp_path.glob("archive-overtaken/events/*/partition-0/*.parquet"))
    assert raw == [0, 3_000, 4_000]
    derived = [file.first for file in HistoryFiles(str(tmp_path)).scores(feed.name)]
    assert derived == [0, 3_000, 4_000]
    whole = pq.read_table(next(tmp_path.glob("archive-overtaken/events/*/partition-0/000000003000.parquet")), partitioning=None)
    assert whole["offset"].to_pylist() == list(range(3_000, 4_000))
    folded = pq.read_table(HistoryFiles(str(tmp_path)).scores(feed.name)[1].path, partitioning=None)
    assert folded["offset"].to_pylist() == [s.offset for s in scores if 3_000 <= s.offset < 4_000]


def publish_here(feed: Feed, kafka: KafkaSettings, records: list[OutRecord], kind: str) -> None:
    """Puts records on a topic in small batches, from within an event loop."""

    async def run() -> None:
        producer = plain_producer(kafka)
        await producer.start()
        try:
            publisher = Publisher(producer, transactional=False)
            for first in range(0, len(records), 50):
                publisher.hand_over({topic_name(feed, kind): records[first : first + 50]})
                await publisher.published()
        finally:
            await producer.stop()

    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, run()).result()


@pytest.mark.kafka
def test_added_partitions_are_archived_without_a_restart(kafka_stack: Servers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An archiver at work sees that a log has one partition more, and what stands on it is in a file when it ends."""
    monkeypatch.setattr(archiver_module, "TOPICS_SECONDS", 0.2)
    feed = replace(make_feed("archive-grown"), partitions=1)
    topic = topic_name(feed, "events")
    send(kafka_stack, feed, Log([0], [b"a"], [b"{}"], 0))

    async def scenario() -> None:
        archiver = Archiver([feed], kafka_stack.kafka, str(tmp_path), ["events"])
        running = asyncio.create_task(archiver.run())
        await eventually(lambda: archiver._raw is not None and list(archiver._raw._next.values()) == [1])
        await asyncio.to_thread(grow, kafka_stack, topic)
        with Sender(kafka_stack.kafka) as sender:
            keys = [b"%d" % n for n in range(20)]
            await asyncio.to_thread(sender.send, topic, keys, [b"{}"] * len(keys))
        await eventually(lambda: archiver._raw is not None and sum(archiver._raw._next.values()) == 21)
        archiver.stop()
        await running

    asyncio.run(scenario())
    topic_id = describe_topics([topic], kafka_stack.kafka)[topic].topic_id
    ends = [ArchivedLog(HistoryFiles(str(tmp_path)), feed, "events", topic_id, partition).end(0) for partition in (0, 1)]
    assert ends == [end for _, end in sorted(end_offsets([(topic, 0), (topic, 1)], kafka_stack.kafka).items())]
    assert min(ends) > 0

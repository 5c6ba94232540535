import asyncio
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from contracts.definition import Category, Feed, Number
from contracts.settings import Servers
from feature_store.history import newest_revision, read_history
from feature_store.history_files import CUT, HistoryFiles
from feature_store.history_rows import history_table, parquet_bytes
from feature_store.point_in_time import point_in_time_join
from producers.replay import Replay
from stream_processors.archive.archiver import Archiver
from stream_processors.archive.log_tail import read_tail
from stream_processors.archive.score_decoding import decode_scores, history_rows, vector_of
from stream_processors.backfill.from_files import FileLoad
from stream_processors.backfill.late import backfill_late
from stream_processors.backtest.partition_folds import place_entities
from stream_processors.log_fold import OutRecord
from stream_processors.stream_fold.fold import StreamFold
from tests.stream_processors.scores_log import START, batch_of, begin_generation, events, make_feed, publish

VECTOR = ["x_count_1m", "x_mean_1m", "x_last"]


class Killed(Exception):
    pass


def write_csv(path: Path, rows: int, seed: int = 1) -> None:
    """One reading a second in turn from three pumps."""
    draw = np.random.default_rng(seed)
    times = START + np.arange(rows) * 1_000_000
    pd.DataFrame({"pump": [f"pump-{i % 3}" for i in range(rows)], "ts": times, "x": draw.normal(size=rows).round(6)}).to_csv(
        path, index=False
    )


def contents(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in sorted(directory.rglob("*")) if path.is_file()}


def load(feed: Feed, csv: Path, to: Path, stop_at: int | None = None) -> FileLoad:
    """Loads a file, or is killed once so many rows are done."""

    def say(done: int, total: int) -> None:
        if stop_at is not None and done >= stop_at:
            raise Killed

    made = FileLoad(feed, [str(csv)], str(to))
    made.folded = made.run(say).folded_now  # type: ignore[attr-defined]
    return made


def test_files_become_the_rows_that_events_would(tmp_path: Path) -> None:
    """A load's rows are those of the same readings folded as events: same offsets, scores and vectors."""
    feed = make_feed("load-rows")
    write_csv(tmp_path / "a.csv", 3_000)
    load(feed, tmp_path / "a.csv", tmp_path / "history")
    frame = read_history(str(tmp_path / "history"), feed)
    values = pd.read_csv(tmp_path / "a.csv")
    records = [(p.encode(), f'{{"pump":"{p}","ts":{t},"x":{x!r}}}'.encode()) for p, t, x in values.itertuples(index=False)]
    scores = StreamFold(feed, 0, 0).fold(batch_of(records, 0)).records["scores"]
    assert frame["offset"].tolist() == [score.offset for score in scores] and set(frame["generation"]) == {0}
    np.testing.assert_array_equal(frame[VECTOR].to_numpy(), np.stack([np.frombuffer(s.headers[0][1]) for s in scores]))
    assert frame["score"].notna().any()


def test_a_killed_load_goes_on_and_ends_in_the_same_bytes(tmp_path: Path) -> None:
    """The second run folds only what the first had not saved; no file differs from those of a run that was left alone."""
    feed = make_feed("load-resume")
    rows = 4 * CUT + 100
    write_csv(tmp_path / "a.csv", rows)
    load(feed, tmp_path / "a.csv", tmp_path / "whole")
    with pytest.raises(Killed):
        load(feed, tmp_path / "a.csv", tmp_path / "cut", stop_at=rows - 5_000)
    assert newest_revision(str(tmp_path / "cut"), feed) == 0 and read_history(str(tmp_path / "cut"), feed).empty
    again = load(feed, tmp_path / "a.csv", tmp_path / "cut")
    assert 0 < again.folded <= 3 * CUT + 100  # type: ignore[attr-defined]
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")


def test_a_complete_load_is_not_done_twice_and_another_is_the_next_revision(tmp_path: Path) -> None:
    """The same files are recognised; other ones replace them for readers who name revision 1."""
    feed = make_feed("load-again")
    write_csv(tmp_path / "a.csv", 300)
    write_csv(tmp_path / "b.csv", 200, seed=2)
    load(feed, tmp_path / "a.csv", tmp_path / "history")
    again = FileLoad(feed, [str(tmp_path / "a.csv")], str(tmp_path / "history"))
    assert again.is_loaded and again.revision == 0
    assert load(feed, tmp_path / "b.csv", tmp_path / "history").revision == 1
    assert len(read_history(str(tmp_path / "history"), feed)) == 300
    assert len(read_history(str(tmp_path / "history"), feed, revision=1)) == 200


def test_late_readings_are_folded_in_their_places(servers: Servers, tmp_path: Path) -> None:
    """Revision 1 holds the vectors of a fold in the order of event time, and only those that the late readings change."""
    feed = make_feed("late", lateness="5s")
    records = events(12_000)
    assert_late = StreamFold(feed, 0, 1)
    outputs = assert_late.fold(batch_of(records, 0)).records
    begin_generation(feed, servers.kafka, 1, 0)
    publish(feed, servers.kafka, [OutRecord(i, 0, 0, key, value) for i, (key, value) in enumerate(records)], "events")
    for kind in ("scores", "dead-letters"):
        publish(feed, servers.kafka, outputs[kind], kind)
    asyncio.run(Archiver([feed], servers.kafka, str(tmp_path)).run(idle=lambda: True))
    late = assert_late.counters()["late"]
    assert late > 100

    report = asyncio.run(backfill_late(feed, servers.kafka, str(tmp_path), lambda place, read, total: None))
    assert (report.revision, report.readings, report.older, report.gone) == (1, late, 0, 0)
    assert asyncio.run(backfill_late(feed, servers.kafka, str(tmp_path), lambda place, read, total: None)).revision is None

    tail = asyncio.run(read_tail(feed, servers.kafka, str(tmp_path)))
    before, after = (read_history(str(tmp_path), feed, revision=revision, tail=tail) for revision in (0, 1))
    assert len(after) == len(before) + late
    assert (after["flags"].str.contains("late")).sum() == late
    times = START + np.arange(12_000) * 1_000_000
    order = sorted(
        range(12_000), key=lambda i: (int(records[i][1].split(b":")[2].split(b",")[0]) if records[i][1] != b"{}" else times[i], i)
    )
    fold = StreamFold(feed, 0, 1)
    scores = fold.fold(batch_of([records[i] for i in order], 0)).records["scores"]
    expected = {order[score.offset]: np.frombuffer(score.headers[0][1]) for score in scores}
    np.testing.assert_array_equal(after[VECTOR].to_numpy(), np.stack([expected[offset] for offset in after["offset"].tolist()]))
    revised = after[(after["revision"] == 1) & ~after["flags"].str.contains("late")].set_index("offset")
    old = before.set_index("offset").loc[revised.index]
    assert len(revised) > late and (revised[VECTOR] != old[VECTOR]).any(axis=1).all()
    assert revised["score"].isna().all() and set(revised["model"]) == {"none"}

    labels = after.loc[after["flags"].str.contains("late"), ["entity", "event_time"]].assign(
        event_time=lambda f: f["event_time"] + pd.Timedelta("1us")
    )
    assert set(point_in_time_join(labels, after)["vector_revision"]) == {1}
    assert set(point_in_time_join(labels, before)["vector_revision"]) == {0}


def test_columns_of_files_give_the_bytes_that_events_would(tmp_path: Path) -> None:
    """Gaps, infinities, odd texts, ids, repeats and thinned vectors end in the same files as the same readings sent as events."""
    feed = Feed(
        "load-bytes",
        entity="pump",
        time="ts",
        id="reading",
        fields=[Number("x", low=-3, high=3, features=["count", "mean"]), Category("mode")],
        windows=["1m"],
        season=None,
        partitions=2,
        time_features=False,
        log_vectors="10s",
    )
    rows, draw = 2 * CUT + 500, np.random.default_rng(1)
    x = draw.normal(size=rows)
    x[::50], x[1::500], x[2::500] = np.nan, np.inf, -0.0
    modes = np.array(["run", 'say "stop"', "", "läuft", "m" * 300, " idle "], object)
    frame = pd.DataFrame(
        {
            "pump": np.array(["pump-0", "pümp 1", "p" * 300, "pump-3"], object)[draw.choice(4, rows, p=[0.4, 0.39, 0.01, 0.2])],
            "ts": pd.to_datetime(START + np.arange(rows) // 3 * 1_000_000, unit="us", utc=True),
            "reading": [None if i % 97 == 0 else f"r{i % 4_000}" for i in range(rows)],
            "x": x,
            "mode": modes[draw.choice(6, rows)],
        }
    )
    sent = np.arange(rows)
    sent[1::20] -= 1  # sent twice
    frame.iloc[sent].to_parquet(tmp_path / "a.parquet")
    load(feed, tmp_path / "a.parquet", tmp_path / "history")
    counted = [0, 0]
    for partition in range(2):
        records = [
            (key, value)
            for batch in Replay(feed, [tmp_path / "a.parquet"]).batches()
            for key, value in zip(batch.keys, batch.values, strict=True)
            if place_entities([key], 2)[0] == partition
        ]
        fold = StreamFold(feed, partition, 0)
        for first in range(0, len(records), CUT):
            found = list(fold.fold(batch_of(records[first : first + CUT], first)).records["scores"])
            scores = decode_scores(feed, [s.value for s in found], [vector_of(s.headers) for s in found], [s.offset for s in found])
            table = history_table(feed, history_rows(feed, scores, ""), 0, partition, 0)
            files = HistoryFiles(str(tmp_path / "history"))
            assert files.read(files.scores_path(feed.name, 0, 0, partition, first)) == parquet_bytes(table)
            assert set(table["logged"].to_pylist()) == {True, False} and "accuracy" in "".join(table["flags"].to_pylist())
        counted = [counted[0] + fold.counters()["dead_lettered"], counted[1] + fold.counters()["duplicate"]]
    assert min(counted) > 100

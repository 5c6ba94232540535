"""A backtest gives what a live run gives: the same rows as JSON records, cut otherwise, through the decoder and the folds."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from contracts.definition import Category, Feed, Number
from contracts.records import Score
from producers.files import find_files
from producers.replay import Replay
from stream_processors.backtest.partition_folds import GENERATION, PartitionFolds, place_entities
from stream_processors.decoding.batches import raw_batch
from stream_processors.stream_fold import fold_kernel
from stream_processors.stream_fold.fold import StreamFold
from streamgauge.backtest.history import History, read_history
from streamgauge.backtest.run import run_backtest, write_outputs

ROWS, PARTITIONS = 4_000, 3
FEED = Feed(
    "pumps",
    entity="pump",
    time="ts",
    fields=[Number("temperature", low=-40, high=150), Number("vibration"), Category("mode")],
    windows=["1m", "10m"],
    lateness="30s",
)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two files of nine pumps with gaps, repeats, impossible values, names that need quotes, and a stuck sensor."""
    root = tmp_path_factory.mktemp("files")
    rng = np.random.default_rng(5)
    for number in range(2):
        lines = ["pump;ts;temperature;vibration;mode;remark"]
        for i in range(ROWS // 2):
            pump = f'p"{i % 9},é' if i % 9 == 4 else f"p{i % 9}"
            pump = f'"{pump.replace(chr(34), chr(34) * 2)}"' if '"' in pump else pump
            second = 1_767_225_600 + 10 * i + number
            when = f"{second}" if number else f"{np.datetime64(second, 's')}Z"
            temperature = "" if rng.random() < 0.05 else "999" if rng.random() < 0.01 else repr(60.0 + rng.standard_normal())
            vibration = "7.25" if i % 9 == 2 and i > 500 else repr(float(rng.exponential()))
            line = f"{pump};{when};{temperature};{vibration};{('on', 'off', '')[int(rng.integers(3))]};x"
            lines += [line] * (2 if rng.random() < 0.02 else 1)
        (root / f"{number}.csv").write_text("\n".join(lines) + "\n")
    return root


@pytest.fixture(scope="module")
def history(files: Path) -> History:
    """The files as the backtest reads them."""
    return read_history(FEED, find_files([files]), None, None, False, lambda rows: None)


def live(files: Path, cut: int) -> tuple[dict[tuple[int, int], bytes], list[list[bytes]], list[tuple[int, int]]]:
    """Scores by (partition, offset), evidence by partition and the log order of a live run in batches of `cut` records."""
    keys: list[bytes] = []
    values: list[bytes] = []
    for batch in Replay(FEED, [files]).batches():
        keys += [key or b"" for key in batch.keys]
        values += [value or b"" for value in batch.values]
    placed = place_entities(keys, PARTITIONS)
    scores: dict[tuple[int, int], bytes] = {}
    evidence: list[list[bytes]] = []
    for partition in range(PARTITIONS):
        rows = np.flatnonzero(placed == partition).tolist()
        fold = StreamFold(FEED, partition, GENERATION)
        evidence.append([])
        for first in range(0, len(rows), cut):
            part = rows[first : first + cut]
            offsets = range(first, first + len(part))
            out = fold.fold(raw_batch(offsets, [-1] * len(part), [keys[i] for i in part], [values[i] for i in part]))
            scores |= {(partition, record.offset): record.value for record in out.records.get("scores", [])}
            evidence[-1] += [record.value for record in out.records.get("evidence", [])]
    order = [(int(p), int(np.sum(placed[:i] == p))) for i, p in enumerate(placed)]
    return scores, evidence, order


def test_scores_equal_those_of_a_live_run(files: Path, history: History) -> None:
    """Every folded row has the score and the p-value that its score record says, to the digit; the others have none."""
    scores, _, order = live(files, cut=97)
    found = run_backtest(FEED, history, PARTITIONS, lambda rows: None).rows
    assert len(order) == history.columns.n > ROWS
    for row, place in zip(history.order.tolist(), order, strict=True):
        assert (found.outcome[row] == 0) == (place in scores)
        if place in scores:
            record = msgspec.json.decode(scores[place], type=Score)
            for value, said in ((found.score[row], record.score), (found.p_value[row], record.p_value)):
                assert (value == said) if said is not None else np.isnan(value)
    assert np.sum(found.outcome == 1) > 20
    assert np.sum(np.isfinite(found.p_value)) > 1_000


def test_evidence_equals_that_of_a_live_run(files: Path, history: History) -> None:
    """Each partition's evidence is the same bytes in the same order, however both are cut."""
    _, evidence, _ = live(files, cut=213)
    placed = place_entities(history.names, PARTITIONS)[history.entity]
    folds = PartitionFolds(FEED, PARTITIONS)
    found: list[list[bytes]] = [[] for _ in range(PARTITIONS)]
    for rows in np.array_split(history.order, 11):
        for record in folds.fold(history.columns, rows, placed[rows])[1]:
            found[record.partition].append(record.value)
    folds.close()
    assert found == evidence
    assert sum(map(len, found)) > 50


def test_outputs_are_the_same_bytes_again(history: History, tmp_path: Path) -> None:
    """Two backtests of the same files write the same scores and alerts."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write_outputs(tmp_path / name, history, run_backtest(FEED, history, PARTITIONS, lambda rows: None))
    for name in ("scores.csv", "alerts.jsonl"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_rows_of_files_run_through_the_kernel_that_is_compiled_for_records(files: Path, history: History) -> None:
    """A first backtest compiles the fold no second time."""
    live(files, cut=1_000)
    run_backtest(FEED, history, PARTITIONS, lambda rows: None)
    assert len(fold_kernel.fold_rows.signatures) == 1

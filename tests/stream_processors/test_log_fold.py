"""What every fold promises its runner."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from contracts.definition import Regression
from stream_processors.decoding.batches import raw_batch
from stream_processors.joiner.joiner_fold import JoinerFold
from stream_processors.judge_fold import JudgeFold
from stream_processors.learner_fold import LearnerFold
from stream_processors.log_fold import LogFold
from stream_processors.stream_fold.fold import StreamFold
from tests.stream_processors.stream_fold.streams import small_feed

FEED = replace(small_feed("promises"), target=Regression("power"))
FOLDS: dict[str, Callable[[], LogFold]] = {
    "events": lambda: StreamFold(FEED, 0, 1),
    "evidence": lambda: JudgeFold(FEED, 1),
    "labels": lambda: JoinerFold(FEED, 0, 1),
    "examples": lambda: LearnerFold(FEED, 1),
}


@pytest.mark.parametrize("log", FOLDS)
def test_a_batch_without_records_changes_nothing(log: str) -> None:
    """A cut may leave nothing on one side of it."""
    fold = FOLDS[log]()
    before, counters = fold.all_chunks(), fold.counters()
    outputs = fold.fold(raw_batch([], [], [], []))
    assert not any(outputs.records.values()) and not outputs.entities and not outputs.vectors and not outputs.created
    assert (fold.all_chunks(), fold.counters()) == (before, counters)

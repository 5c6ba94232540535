"""What a backtest came to, as counts."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from contracts.event_time import format_event_time
from contracts.outcomes import Outcome, Reason
from stream_processors.backtest.backtest import Backtest
from stream_processors.backtest.partition_folds import RowResults
from stream_processors.stream_fold.fold import FOLD_VERSION
from streamgauge.backtest.history import History

RECORDED = "as in the worker: by the Kafka timestamps of the recorded events"
NO_TIMESTAMPS = "off: rows of a file have no Kafka timestamp to hold their event time against"


def report(backtest: Backtest, history: History, results: RowResults, seconds: float, recorded: bool) -> dict[str, Any]:
    """The contents of report.json; docs/backtest.md describes it. `recorded`: the rows are events of a log."""
    good = history.columns.event_time[history.columns.reason == 0]
    opened = [alert for alert in backtest.alerts if alert.status == "opened"]
    ended = [alert for alert in backtest.alerts if alert.status == "resolved"]
    n = len(results.outcome)
    return {
        "feed": backtest.feed.name,
        "definition": backtest.feed.hash,
        "fold_version": FOLD_VERSION,
        "partitions": backtest.partitions,
        "rows": n,
        "entities": len(history.names),
        "first_event_time": format_event_time(int(good.min())) if len(good) else None,
        "last_event_time": format_event_time(int(good.max())) if len(good) else None,
        "outcomes": {outcome.name.lower(): int(np.sum(results.outcome == outcome)) for outcome in Outcome},
        "reasons": {reason.code: int(count) for reason in Reason if reason and (count := np.sum(results.reason == reason))},
        "incidents": len(opened),
        "incidents_by_kind": dict(sorted(Counter(alert.kind for alert in opened).items())),
        "incidents_merged": sum(alert.merged_into is not None for alert in ended),
        "incidents_open_at_the_end": len({a.incident for a in opened} - {a.incident for a in ended}),
        "retrain_requests": backtest.retrain_requests,
        "fold_seconds": round(seconds, 3),
        "rows_per_second": round(n / seconds) if seconds else None,
        "clock_ahead": RECORDED if recorded else NO_TIMESTAMPS,
    }

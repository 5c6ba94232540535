"""Runs every kernel once on a few records, so that numba has compiled it and put it into its cache."""

from __future__ import annotations

import json

from contracts.definition import Category, Feed, Number


def warm_up() -> None:
    """Compiles what a worker, a backtest and a verification run."""
    from stream_processors.decoding.batches import raw_batch
    from stream_processors.runner.batch_consumer import batch_consumer_class
    from stream_processors.stream_fold.fold import StreamFold

    batch_consumer_class()
    feed = Feed("warm", entity="e", time="t", fields=[Number("x"), Number("y"), Category("c")])
    fold = StreamFold(feed, 0, 1)
    values: list[bytes | None] = [
        json.dumps({"e": "a", "t": 1_767_225_600 + i, "x": i / 7, "y": 1.5, "c": "on"}).encode() for i in range(8)
    ]
    fold.fold(raw_batch(list(range(8)), [-1] * 8, [b"a"] * 8, values))
    fold.everything_served()
    StreamFold(feed, 0, 1).restore(fold.changed_chunks())


def warm_up_simulator() -> None:
    """Compiles what the simulator and the demo run besides."""
    from contracts.durations import DAY, MINUTE
    from producers.pump_fleet import pump_fleet
    from producers.simulator import Simulation

    end = 1_790_000_000_000_000
    for _ in Simulation(pump_fleet(1, end - 2 * DAY, end), 1, end - 2 * DAY, end).run(end - 2 * DAY + MINUTE):
        pass

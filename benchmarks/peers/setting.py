"""Where a peer reads and writes; handed over by the environment, since a peer knows nothing of this project."""

from __future__ import annotations

import os

KAFKA = os.environ["BENCH_KAFKA"]  # host:port
REDIS_PORT = int(os.environ["BENCH_REDIS_PORT"])  # on 127.0.0.1
EVENTS = os.environ["BENCH_EVENTS"]
SCORES = os.environ["BENCH_SCORES"]
RUN = os.environ["BENCH_RUN"]  # a name that no run before had: group, prefix of keys
DIRECTORY = os.environ["BENCH_DIRECTORY"]  # empty, for what the engine keeps on disk
PARTITIONS = 4

WINDOW_SECONDS, STEP_SECONDS, GRACE_SECONDS = 60, 10, 30

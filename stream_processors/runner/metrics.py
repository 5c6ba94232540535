"""What the worker tells Prometheus; no label carries a device's name, so that their number stays bounded."""

from __future__ import annotations

import functools
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from contracts.columns import RawBatch
from contracts.outage import Outage
from stream_processors.log_fold import Outputs
from stream_processors.runner.partition_runner import PartitionRunner
from stream_processors.runner.place import Place

LATENCIES = (0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0)  # seconds
OUTCOMES = ("folded", "duplicate", "late", "dead_lettered")


class WorkerMetrics:
    """Counters and gauges of one worker, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        place = ("feed", "log", "partition")
        self._ended = Gauge(
            "streamgauge_records", "Records by what they ended as since the generation began", (*place, "outcome"), registry=self.registry
        )
        self._read = Counter("streamgauge_records_read", "Records read by this worker", place, registry=self.registry)
        self._balanced = Gauge("streamgauge_balanced", "1 where every record and offset is accounted for", place, registry=self.registry)
        self._offset = Gauge("streamgauge_next_offset", "Offset that is read next", place, registry=self.registry)
        told = "Outputs of folds, by kind of topic; after a takeover also such as stood there before"
        self._out = Counter("streamgauge_records_published", told, ("feed", "kind"), registry=self.registry)
        self._batch = Histogram(
            "streamgauge_batch_seconds",
            "From a fetch to its features served and its records handed over to be published",
            ("log",),
            buckets=LATENCIES,
            registry=self.registry,
        )
        self._checkpoint = Histogram(
            "streamgauge_checkpoint_seconds", "From a checkpoint's snapshot to its flip", buckets=LATENCIES, registry=self.registry
        )
        self._snapshot = Histogram(
            "streamgauge_snapshot_seconds", "For how long a checkpoint holds up the fold", buckets=LATENCIES, registry=self.registry
        )
        self._delay = Gauge("streamgauge_delay_seconds", "Kafka timestamp to folding, of the newest record", place, registry=self.registry)
        self._lag = Gauge("streamgauge_lag", "Offsets between what is read next and the end of the log", place, registry=self.registry)
        self._waiting = Gauge(
            "streamgauge_waiting_seconds", "For how long a server has not answered; 0 while it does", ("server",), registry=self.registry
        )
        self.open_incidents = Gauge("streamgauge_open_incidents", "Incidents open now, by kind", ("feed", "kind"), registry=self.registry)
        self.alerts = Counter("streamgauge_alerts", "Alerts read, by kind and status", ("feed", "kind", "status"), registry=self.registry)

    def watch(self, *outages: Outage) -> None:
        """Tells of each server for how long it has been waited for."""
        for outage in outages:
            self._waiting.labels(outage.server.lower()).set_function(functools.partial(getattr, outage, "seconds"))

    def lag(self, found: Iterable[tuple[Place, int]]) -> None:
        """Notes how far each place of this worker is behind the end of its log."""
        self._lag.clear()
        for place, n in found:
            self._lag.labels(place.feed.name, place.log, str(place.partition)).set(n)

    def folded(self, runner: PartitionRunner, batch: RawBatch, outputs: Outputs, seconds: float) -> None:
        """Notes a batch that was folded and served."""
        place = (runner.place.feed.name, runner.place.log, str(runner.place.partition))
        counters = runner.fold.counters()
        for outcome in OUTCOMES:
            self._ended.labels(*place, outcome).set(counters[outcome])
        self._read.labels(*place).inc(batch.n)
        self._balanced.labels(*place).set(runner.progress.balanced(counters))
        self._offset.labels(*place).set(runner.progress.next_offset)
        self._delay.labels(*place).set(max(0.0, time.time() - float(batch.kafka_time[-1]) / 1e6))
        self._batch.labels(runner.place.log).observe(seconds)
        for kind, records in outputs.records.items():
            self._out.labels(runner.place.feed.name, kind).inc(len(records))

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Times what of a checkpoint holds up the fold."""
        with self._snapshot.time():
            yield

    def checkpointed(self, seconds: float) -> None:
        """Notes a checkpoint that is flipped."""
        self._checkpoint.observe(seconds)

    def text(self) -> bytes:
        """Everything in Prometheus's text format."""
        return generate_latest(self.registry)

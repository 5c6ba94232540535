"""A partition on which nobody is heard: seen by its owner's timer, put down as a record that a replay reads."""

from __future__ import annotations

from typing import NamedTuple

import msgspec
from aiokafka import TopicPartition

from contracts.columns import RawBatch
from contracts.ids import RecordId
from contracts.records import Evidence
from stream_processors.runner.partition_runner import PartitionRunner

LEAST_SECONDS = 60.0  # a shorter pause of a whole partition is a deployment or a rebalance of the producers
USUAL_STEPS = 20.0  # of the time that usually passes between two fetches with records


class _Heard(NamedTuple):
    at: float  # monotonic seconds
    usual: float  # running mean of seconds between fetches with records
    kafka_time: int  # of the newest record, µs
    last_offset: int
    told: bool


class IdleWatch:
    """Remembers when each partition was last heard; the clock's values come from the caller."""

    def __init__(self) -> None:
        self._heard: dict[TopicPartition, _Heard] = {}

    def taken(self, place: TopicPartition, now: float) -> None:
        """A partition just taken has been quiet for no time, and is silent only after it was heard."""
        self._heard[place] = _Heard(now, 0.0, -1, -1, True)

    def heard(self, place: TopicPartition, batch: RawBatch, now: float) -> None:
        """Notes a batch."""
        before = self._heard.get(place, _Heard(now, 0.0, -1, -1, True))
        usual = before.usual + (now - before.at - before.usual) / 20.0
        self._heard[place] = _Heard(now, usual, int(batch.kafka_time[-1]), int(batch.offset[-1]), False)

    def went_on(self, now: float) -> None:
        """Nothing was read for a while, of any partition: that was no silence."""
        self._heard = {place: heard._replace(at=now) for place, heard in self._heard.items()}

    def last_heard(self, place: TopicPartition) -> float:
        """Monotonic seconds of the last batch, or of the taking."""
        return self._heard[place].at

    def observation(self, place: TopicPartition, runner: PartitionRunner, now: float) -> bytes | None:
        """The record to put on `evidence`, once for each idle time, or None.

        An old or accelerated replay is no silence: only where the newest record's Kafka timestamp lies within lateness
        and cadence of the partition clock was the partition live.
        """
        heard = self._heard[place]
        quiet = now - heard.at
        if heard.told or quiet < max(LEAST_SECONDS, USUAL_STEPS * heard.usual + runner.place.feed.lateness_us / 1e6):
            return None
        self._heard[place] = heard._replace(told=True)
        clock, cadence = runner.fold.clock()
        if abs(heard.kafka_time - clock) > runner.place.feed.lateness_us + cadence:
            return None
        feed = runner.place.feed
        name = RecordId(feed.name, runner.generation, str(place.partition), heard.last_offset, "idle", 0)
        return msgspec.json.encode(
            Evidence(
                id=str(name),
                kind="idle",
                partition=place.partition,
                event_time=clock + round(quiet * 1e6),
                source="silence",
                since=clock,
                detail=f"no record for {quiet:.0f} s",
            )
        )

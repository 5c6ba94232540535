"""A joiner at work on one partition of `<feed>.labels`: the runner of a fold, with the scores beside it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from aiokafka import TopicPartition

from stream_processors.decoding.batches import keys_and_values
from stream_processors.joiner.joiner_fold import JoinerFold
from stream_processors.joiner.score_follower import ScoreFollower
from stream_processors.joiner.score_index import Heard
from stream_processors.joiner.waiting import LIMIT
from stream_processors.log_ends import end_offset
from stream_processors.log_fold import Outputs
from stream_processors.runner.batch_consumer import PlainConsumer
from stream_processors.runner.new_generation import LogBounds
from stream_processors.runner.partition_runner import PartitionRunner
from stream_processors.verification.log_reader import read_batches

EVENTS = 2_000  # joined at once: an interval of hours has more, and its vectors need not all be in memory together


log = logging.getLogger("streamgauge.joiner")


class JoinerRunner(PartitionRunner):
    """Owns one place of labels. The owner calls `settle` between batches, and reads no more while it is `full`.

    At first the newest scores are read, beside whatever else the process does: half a million of them take half a minute, in which the
    other places would stand still.

    Args:
        follower: of the feed's scores, shared by its joiners.
        clock: wall clock in µs.
    """

    def __init__(
        self, *runner: Any, follower: ScoreFollower, clock: Callable[[], int] = lambda: time.time_ns() // 1000, **options: Any
    ) -> None:
        super().__init__(*runner, **options)
        self._follower = follower
        self._clock = clock
        self._heard: list[Heard] = []  # handed over between batches: a batch may be folded in another thread
        self._scores_to_read: dict[TopicPartition, int] = {}  # the ends that they stand before
        self._tails: dict[tuple[str, int], int] = {}  # where what the owner before had published was read from

    @property
    def joiner(self) -> JoinerFold:
        """The fold, by its own type."""
        assert isinstance(self.fold, JoinerFold)
        return self.fold

    @property
    def full(self) -> bool:
        """Whether so many labels wait that no more should be read, or the newest scores are not read yet."""
        return bool(self._scores_to_read) or self.joiner.waiting >= LIMIT

    async def take(self, bounds: LogBounds, tail: PlainConsumer) -> int:
        """As every place; it is `full` until the newest scores are read, which comes before the first label."""
        position = await super().take(bounds, tail)
        ends = await self._follower.start(self._heard.append)
        if not self._follower.holds(ends):
            self._scores_to_read = ends
            log.info("%s/%d: reading the newest scores, which labels are joined to", self.place.topic, self.place.partition)
        self.joiner.join_with(self._follower.index)
        self.joiner.now = self._clock()
        return position

    async def settle(self) -> bool:
        """Ends labels that can be ended, and publishes what they come to; says whether there may be more to do at once."""
        self._follower.check()
        if not self._follower.holds(self._scores_to_read):
            return False
        self._scores_to_read = {}
        fold = self.joiner
        fold.now = self._clock()
        heard, self._heard[:] = list(self._heard), []
        for item in heard:
            fold.joiner.heard(item)
        steps = fold.plan(EVENTS)
        if not steps:
            return False
        wanted = [(event.name.partition, event.position) for step in steps for event in step.events]
        outputs = fold.settle(steps, await self._follower.records(wanted) if wanted else {})
        self._changed = True
        await self._publish(outputs)
        return True

    async def abandon(self) -> None:
        """Also hears no more of the scores."""
        self._follower.leave(self._heard.append)
        await super().abandon()

    async def _publish(self, outputs: Outputs) -> None:
        self._publisher.hand_over({self.place.outputs[kind][0]: items for kind, items in outputs.records.items()})
        await self._publisher.room()

    async def _find_published(self, tail: PlainConsumer) -> None:
        """What stands there already is told to the fold, by content: labels may end in another order this time."""
        found: dict[str, list[bytes]] = {}
        for kind, (topic, partition) in self.place.outputs.items():
            at = TopicPartition(topic, partition)
            end = await end_offset(tail, at)
            start = max(self._publisher.ends.get((topic, partition), 0), (await tail.beginning_offsets([at]))[at])
            found[kind] = []
            async for fetched in read_batches(tail, topic, partition, start, end):
                values = (value or b"" for _, value in keys_and_values(fetched.batch))
                found[kind] += [value for value in values if self.joiner.prefix.encode() in value]
            self._tails[topic, partition] = start
            self._publisher.ends[topic, partition] = end
        self.joiner.recall(found["examples"], found["dead-letters"], found["remarks"], self.progress.next_offset)

    def _output_ends(self) -> dict[tuple[str, int], int]:
        """While labels of what was found there have not ended, the next owner looks from where this one did."""
        return self._publisher.ends | (self._tails if self.joiner.recorded else {})

"""Which fold over which partition of which log."""

from __future__ import annotations

from typing import NamedTuple

from contracts.definition import Feed
from contracts.topics import topic_name
from stream_processors.joiner.joiner_fold import JoinerFold, labels_place
from stream_processors.judge_fold import JudgeFold
from stream_processors.learner_fold import LearnerFold
from stream_processors.log_fold import LogFold
from stream_processors.stream_fold.fold import StreamFold


class Place(NamedTuple):
    """One partition of one log of a feed; `log` is ``events``, ``evidence``, ``labels`` or ``examples``."""

    feed: Feed
    log: str
    partition: int

    @property
    def topic(self) -> str:
        """The topic that is folded."""
        return topic_name(self.feed, self.log)

    @property
    def store_name(self) -> str:
        """What the store's keys of this place carry: the partition of events, or the log's name, and the partition of labels."""
        if self.log == "labels":
            return labels_place(self.partition)
        return str(self.partition) if self.log == "events" else self.log

    @property
    def transactional_id(self) -> str:
        """Of its owner's producer; whoever starts one shuts out the owner before."""
        return f"streamgauge-{self.topic}-{self.partition}"

    @property
    def outputs(self) -> dict[str, tuple[str, int]]:
        """Output kind -> (topic, partition) where this fold is the reason of records."""
        if self.log == "events":
            kinds = {"scores": self.partition, "dead-letters": self.partition, "evidence": 0}
        elif self.log == "labels":
            kinds = {"examples": 0, "dead-letters": self.partition, "remarks": 0}
        elif self.log == "examples":
            kinds = {"models": 0, "evidence": 0, "retrain": 0}
        else:
            kinds = {"alerts": 0, "retrain": 0}
        return {kind: (topic_name(self.feed, kind), partition) for kind, partition in kinds.items()}

    def id_prefix(self, generation: int) -> str:
        """What ids of all its outputs begin with."""
        return f"{self.feed.name}/{generation}/{self.store_name}/"

    def new_fold(self, generation: int) -> LogFold:
        """The fold with an empty state."""
        if self.log == "events":
            return StreamFold(self.feed, self.partition, generation)
        if self.log == "labels":
            return JoinerFold(self.feed, self.partition, generation)
        if self.log == "examples":
            return LearnerFold(self.feed, generation)
        return JudgeFold(self.feed, generation)

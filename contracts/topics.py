"""The topics of a feed and the settings that the project creates them with."""

from __future__ import annotations

from typing import NamedTuple

from contracts.definition import Feed


class Topic(NamedTuple):
    """A topic: its name, its partitions, and the settings it is created with."""

    name: str
    partitions: int
    config: dict[str, str]


_FOREVER = {"retention.ms": "-1", "cleanup.policy": "delete"}
_WEEK = {"retention.ms": str(7 * 86_400_000), "cleanup.policy": "delete"}


def events_topic(feed: Feed) -> str:
    """Where producers put events: `topic=` of the definition, else ``<feed>.events``."""
    return feed.topic or f"{feed.name}.events"


def topic_name(feed: Feed, kind: str) -> str:
    """``<feed>.<kind>`` for scores, dead-letters, evidence, alerts, retrain, switches, labels, remarks, examples, models."""
    return events_topic(feed) if kind == "events" else f"{feed.name}.{kind}"


def feed_topics(feed: Feed) -> dict[str, Topic]:
    """Every topic of a feed by kind. What people decided is kept for ever; derived logs live at least as long as events."""
    n = feed.partitions
    learning = {
        "remarks": Topic(f"{feed.name}.remarks", 1, _FOREVER),
        "examples": Topic(f"{feed.name}.examples", 1, _WEEK),
        "models": Topic(f"{feed.name}.models", 1, _FOREVER),
    }
    topics = {
        "events": Topic(events_topic(feed), n, _WEEK | {"message.timestamp.type": "LogAppendTime"}),
        "scores": Topic(f"{feed.name}.scores", n, _WEEK),
        "dead-letters": Topic(f"{feed.name}.dead-letters", n, _WEEK),
        "evidence": Topic(f"{feed.name}.evidence", 1, _WEEK),
        "alerts": Topic(f"{feed.name}.alerts", 1, _FOREVER),
        "retrain": Topic(f"{feed.name}.retrain", 1, _FOREVER),
        "switches": Topic(f"{feed.name}.switches", 1, _FOREVER),
        # without a target only people write there, and nothing copies what they say
        "labels": Topic(f"{feed.name}.labels", n, _FOREVER if feed.target is None else _WEEK),
    }
    return topics | learning if feed.target is not None else topics

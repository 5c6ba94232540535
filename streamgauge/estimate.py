"""What a definition costs: bytes of state an entity, and bytes a day in Kafka, Redis and Parquet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from contracts.definition import Feed
from contracts.topics import feed_topics
from feature_store.feature_plan import feature_names
from feature_store.redis_layout import HEADER_BYTES
from feature_store.rows import WORD
from online_model.budget import shares, thresholds
from online_model.river_adapter import make_river_model
from stream_processors.joiner import score_follower, score_index, told, waiting
from stream_processors.joiner.joiner_runner import EVENTS
from stream_processors.runner.batch_consumer import MAX_RECORDS
from stream_processors.stream_fold.fold_plan import plan_fold, row_words, statistics_per_entity

WEEK_SECONDS = 7 * 86_400
DAY_SECONDS = 86_400
SCORE_BYTES = 190  # of a score's JSON with an entity's name of some ten bytes, measured
RECORD_BYTES = 30  # what Kafka adds to a record in a batch, with its key and one header
REDIS_KEY_BYTES = 120  # what Redis adds to a value: key, expiry and dictionary entry, measured
PROCESS_BYTES = (
    400_000_000  # of a worker's libraries and kernels, and of a batch and a checkpoint under way, measured by benchmarks/memory.py
)
INDEX_BYTES = 2 * WORD + WORD + 1  # index at most half full, last row, change mark
WAITING_BYTES = 1_500  # of a label that waits, with what is kept of its original, as Python objects, at most
TOLD_BYTES = 150  # of an event that a truth is known of, with its place in the index of names, measured
PARQUET_SHARE = 0.6  # of the vectors' bytes that zstd leaves, measured on the demo's pumps


def estimate(feed: Feed, rate: float, entities: int) -> dict[str, Any]:
    """Sizes for `rate` readings a second of the whole feed from `entities` entities; keys are stable for programs.

    A worker's are of one that has all partitions.

    Raises:
        ModelError: the anomaly model named cannot be carried; the message lists what can.
    """
    plan = plan_fold(feed)
    names = feature_names(feed)
    if not plan.compiled_score:
        make_river_model(feed.anomaly, [names[at] for at in plan.score_inputs], feed.seed)
    row = row_words(plan) * WORD
    held = min(entities, feed.partitions * feed.max_entities)  # the others are evicted
    state = held * (row + INDEX_BYTES)
    vector = HEADER_BYTES + 8 * len(names)
    logged = {"all": rate, "10s": min(rate, entities / 10), "none": 0.0}[feed.log_vectors]
    kafka = rate * (SCORE_BYTES + RECORD_BYTES) + logged * 8 * len(names)
    limits = thresholds(feed, rate * WEEK_SECONDS, statistics_per_entity(plan))
    return {
        "definition": feed.hash,
        "topics": {topic.name: topic.partitions for topic in feed_topics(feed).values()},
        "features": list(names),
        "bytes": {
            "state_per_entity": row + INDEX_BYTES,
            "worker_state": state,
            "worker_resident": PROCESS_BYTES + state,
            "redis_vectors": entities * (vector + REDIS_KEY_BYTES),
            "redis_checkpoint": 2 * held * row,
            "kafka_scores_per_day": round(kafka * DAY_SECONDS),
            "parquet_scores_per_day": round((rate * 40 + logged * 8 * len(names) * PARQUET_SHARE) * DAY_SECONDS),
        }
        | (_joiner_bytes(feed, names) if feed.target is not None else {}),
        "false_alarms_per_week": feed.false_alarms_per_week,
        "budget": {
            source: {
                "false_alarms_per_week": feed.false_alarms_per_week * share.percent / 100,
                "log10_threshold": limits[source],
                "reason": share.reason,
            }
            for source, share in shares(feed).items()
        },
    }


def _joiner_bytes(feed: Feed, names: Sequence[str]) -> dict[str, int]:
    """At most, in the process that joins labels, for all partitions; however many labels come."""
    index = feed.partitions * score_index.CAPACITY * 5 // 4 * score_index.SCORE_BYTES
    waits = feed.partitions * (waiting.LIMIT + MAX_RECORDS) * WAITING_BYTES
    joined_at_once = EVENTS * (score_follower.RECORD_BYTES + 8 * len(names))
    return {
        "labels_waiting_at_most": waits,
        "labels_remembered_at_most": feed.partitions * told.EVENTS * TOLD_BYTES,
        "scores_indexed_at_most": index,
        "scores_in_memory_at_most": score_follower.RECENT_BYTES + joined_at_once,
    }

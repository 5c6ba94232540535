"""A feed's topics on the broker: made where missing, and compared with what the project would have made."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from kafka.admin import ConfigResource, KafkaAdminClient
from kafka.errors import IncompatibleBrokerVersion, InvalidPartitionsError, KafkaError, TopicAlreadyExistsError, for_code

from contracts.definition import Feed
from contracts.errors import ServerUnavailable, SettingsError
from contracts.settings import KafkaSettings
from contracts.topics import Topic, feed_topics

AS_EVENTS = ("scores", "dead-letters", "labels")  # one partition for each of events; outputs go to the source's number
AT_LEAST_AS_EVENTS = ("scores", "dead-letters", "evidence", "labels", "examples")  # a replay needs them as long as the events
PARTITION_SECONDS = 5.0  # a broker answers before its metadata shows the new partitions; unseen, they would be reported as lacking
DESCRIBE_MS = 8_000  # a worker that takes places asks first: on a dead connection it would stand still for the client's 30 s
NO_TOPIC_ID = "00000000-0000-0000-0000-000000000000"  # what brokers before 2.8 answer

CONSEQUENCES = {
    "retention.ms": "what a replay needs is deleted too early",
    "cleanup.policy": "compaction loses records that a replay needs",
    "message.timestamp.type": "a reading stamped in the future is checked against its producer's clock only",
}  # what goes wrong with another setting


class TopicState(NamedTuple):
    """A topic as the broker describes it; `topic_id` is None where the broker gives none."""

    name: str
    partitions: int
    topic_id: str | None


class FeedTopics(NamedTuple):
    """The topics of a feed by kind, and a sentence for each setting found otherwise than the project would make it."""

    topics: dict[str, TopicState]
    findings: tuple[str, ...]


def ensure_topics(feed: Feed, settings: KafkaSettings) -> FeedTopics:
    """Create the topics of a feed that are missing; what exists is kept, compared and reported.

    Safe to run from several processes at once, and again. `scores` and `dead-letters` follow the partitions that
    `events` really has, and derived topics are kept at least as long as `events`.

    Raises:
        SettingsError: the broker refuses a topic; the message names it, the broker's reason and the fix.
        ServerUnavailable: the broker went away meanwhile.
    """
    try:
        client = KafkaAdminClient(**settings.client_options())
    except KafkaError as error:
        raise ServerUnavailable(f"Kafka at {','.join(settings.servers)} did not answer ({error}); see: streamgauge up") from error
    try:
        wanted = feed_topics(feed)
        _create(client, [wanted["events"]])
        events = _describe(client, [wanted["events"].name])[wanted["events"].name]
        wanted = _fit_to_events(wanted, events, _configs(client, [events.name])[events.name])
        _create(client, list(wanted.values()))
        names = [topic.name for topic in wanted.values()]
        found = _describe(client, names)
        found |= _add_partitions(client, [wanted[kind] for kind in AS_EVENTS], found)
        configs = _configs(client, names)
        findings = [line for kind, topic in wanted.items() for line in _findings(kind, topic, found[topic.name], configs[topic.name])]
        return FeedTopics({kind: found[topic.name] for kind, topic in wanted.items()}, tuple(findings))
    except KafkaError as error:
        raise ServerUnavailable(f"Kafka at {','.join(settings.servers)} failed while topics were made: {error}") from error
    finally:
        client.close()


def describe_topics(names: Collection[str], settings: KafkaSettings) -> dict[str, TopicState]:
    """Those of the named topics that exist, by name; makes none.

    Raises:
        ServerUnavailable: the broker did not answer.
    """
    try:
        client = KafkaAdminClient(**settings.client_options(), bootstrap_timeout_ms=DESCRIBE_MS, request_timeout_ms=DESCRIBE_MS)
        try:
            return _existing(client, names)
        finally:
            client.close()
    except KafkaError as error:
        raise ServerUnavailable(f"Kafka at {','.join(settings.servers)} did not describe its topics: {error}") from error


def _existing(client: Any, names: Collection[str]) -> dict[str, TopicState]:
    out = {}
    for topic in client.describe_topics(list(names)):
        if topic["error_code"] == 0:
            topic_id = str(topic["topic_id"] or NO_TOPIC_ID)
            out[topic["name"]] = TopicState(topic["name"], len(topic["partitions"]), None if topic_id == NO_TOPIC_ID else topic_id)
    return out


def _describe(client: Any, names: Collection[str]) -> dict[str, TopicState]:
    client.wait_for_topics(list(names))  # a broker answers a creation before all its threads know of the topic
    return _existing(client, names)


def _create(client: Any, topics: list[Topic]) -> None:
    existing = _existing(client, [topic.name for topic in topics])
    missing = [topic for topic in topics if topic.name not in existing]
    if not missing:
        return
    wish = {topic.name: {"num_partitions": topic.partitions, "configs": topic.config} for topic in missing}  # replicas: as the broker says
    for answer in client.create_topics(wish, raise_errors=False)["topics"]:
        error = for_code(answer["error_code"])
        if answer["error_code"] and error is not TopicAlreadyExistsError:  # another process may have been faster
            raise SettingsError(
                f"Kafka refuses to create topic {answer['name']} ({error.__name__}: {answer['error_message'] or ''}); "
                f"create it yourself with {wish[answer['name']]['num_partitions']} partitions, or let this user create topics"
            )


def _fit_to_events(wanted: Mapping[str, Topic], events: TopicState, config: Mapping[str, str]) -> dict[str, Topic]:
    """The topics with the partitions that `events` has and with a retention no shorter than its."""
    out = dict(wanted)
    for kind in AS_EVENTS:
        out[kind] = out[kind]._replace(partitions=events.partitions)
    retention = config.get("retention.ms")
    if retention is not None:
        for kind in (kind for kind in AT_LEAST_AS_EVENTS if kind in out):
            if _longer(retention, out[kind].config["retention.ms"]):
                out[kind] = out[kind]._replace(config=out[kind].config | {"retention.ms": retention})
    return out


def _longer(one: str, other: str) -> bool:
    """Whether a retention is longer than another; -1 is for ever."""
    return other != "-1" and (one == "-1" or int(one) > int(other))


def _add_partitions(client: Any, topics: list[Topic], found: Mapping[str, TopicState]) -> dict[str, TopicState]:
    """Give topics the partitions that they lack; those topics as they are then."""
    short = {topic.name: topic.partitions for topic in topics if found[topic.name].partitions < topic.partitions}
    if not short:
        return {}
    try:
        client.create_partitions(short)
    except IncompatibleBrokerVersion:
        return {}  # the embedded broker cannot; the comparison that follows says so
    except InvalidPartitionsError:
        pass  # another process was faster
    deadline = time.monotonic() + PARTITION_SECONDS
    while True:
        now = _existing(client, list(short))
        if all(name in now and now[name].partitions >= n for name, n in short.items()) or time.monotonic() > deadline:
            return now
        time.sleep(0.05)


def _configs(client: Any, names: Collection[str]) -> dict[str, dict[str, str]]:
    """Settings by topic name; empty where the broker does not tell them."""
    resources = [ConfigResource("TOPIC", name) for name in names]
    try:
        answer = client.describe_configs(resources, config_filter="all").get("topic", {})
    except IncompatibleBrokerVersion:
        answer = {}
    return {name: {key: entry["value"] for key, entry in answer.get(name, {}).items()} for name in names}


def _findings(kind: str, topic: Topic, found: TopicState, config: Mapping[str, str]) -> list[str]:
    out = []
    if found.partitions != topic.partitions:
        fix = "set partitions= in the definition" if kind == "events" else f"delete it while nothing runs, or give it {topic.partitions}"
        out.append(f"topic {topic.name} has {found.partitions} partitions where {topic.partitions} are expected; {fix}")
    if not config:
        out.append(f"the settings of topic {topic.name} cannot be read; check its retention yourself")
        return out
    for key, expected in topic.config.items():
        value = config.get(key, expected)
        fits = not _longer(expected, value) or kind == "events" if key == "retention.ms" else value == expected
        if not fits:
            out.append(f"topic {topic.name} has {key}={value}; {CONSEQUENCES[key]}: set {key}={expected}")
    if kind != "events" and config.get("retention.bytes", "-1") != "-1":
        out.append(
            f"topic {topic.name} has retention.bytes={config['retention.bytes']}; {CONSEQUENCES['retention.ms']}: set retention.bytes=-1"
        )
    return out

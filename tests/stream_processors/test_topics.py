from concurrent.futures import ThreadPoolExecutor

import pytest
from kafka.admin import KafkaAdminClient

from contracts.definition import Feed, Number
from contracts.settings import Servers
from contracts.topics import feed_topics
from stream_processors.topics import describe_topics, ensure_topics


def feed(name: str, partitions: int = 3) -> Feed:
    return Feed(name, entity="pump", time="ts", fields=[Number("temperature")], partitions=partitions)


def test_all_topics_are_made_with_the_expected_partitions_and_nothing_to_report(servers: Servers) -> None:
    """Every topic of a fresh feed exists with its partitions and an id, and its settings are those asked for."""
    definition = feed("topics-fresh")
    made = ensure_topics(definition, servers.kafka)
    assert made.findings == ()
    assert {kind: state.partitions for kind, state in made.topics.items()} == {k: t.partitions for k, t in feed_topics(definition).items()}
    assert all(state.topic_id for state in made.topics.values())


def test_racing_processes_agree(servers: Servers) -> None:
    """Six creations at once, four times over, and one more afterwards, return the same topics and raise nothing."""
    for name in ("topics-race-a", "topics-race-b", "topics-race-c", "topics-race-d"):
        with ThreadPoolExecutor(6) as pool:
            racing = list(pool.map(lambda _, name=name: ensure_topics(feed(name), servers.kafka), range(6)))
        again = ensure_topics(feed(name), servers.kafka)
        assert all(one == again for one in racing)


def test_settings_found_otherwise_are_reported(servers: Servers) -> None:
    """A topic made by somebody else is kept, each setting that differs is named, and longer retention of events is followed."""
    month = str(30 * 86_400_000)
    admin = KafkaAdminClient(**servers.kafka.client_options())
    admin.create_topics(
        {
            "topics-foreign.events": {"num_partitions": 2, "configs": {"message.timestamp.type": "CreateTime", "retention.ms": month}},
            "topics-foreign.switches": {"num_partitions": 1, "configs": {"cleanup.policy": "compact", "retention.ms": "1000"}},
            "topics-foreign.alerts": {"num_partitions": 1, "configs": {"retention.ms": "-1", "retention.bytes": "5000"}},
            "topics-foreign.evidence": {"num_partitions": 4, "configs": {"retention.ms": month}},
        }
    )
    made = ensure_topics(feed("topics-foreign"), servers.kafka)
    admin.close()
    assert made.topics["scores"].partitions == 2
    assert [line.split(";")[0] for line in made.findings] == [
        "topic topics-foreign.events has 2 partitions where 3 are expected",
        "topic topics-foreign.events has message.timestamp.type=CreateTime",
        "topic topics-foreign.evidence has 4 partitions where 1 are expected",
        "topic topics-foreign.alerts has retention.bytes=5000",
        "topic topics-foreign.switches has retention.ms=1000",
        "topic topics-foreign.switches has cleanup.policy=compact",
    ]


def test_a_recreated_topic_has_another_id(servers: Servers) -> None:
    """Deleting and making the events topic again changes its id, which is what opens a new generation."""
    first = ensure_topics(feed("topics-again"), servers.kafka).topics["events"]
    admin = KafkaAdminClient(**servers.kafka.client_options())
    admin.delete_topics([first.name])
    while describe_topics([first.name], servers.kafka):  # Apache Kafka deletes after it has answered
        pass
    admin.close()
    second = ensure_topics(feed("topics-again"), servers.kafka).topics["events"]
    assert second.topic_id != first.topic_id
    assert describe_topics([second.name, "topics-never-made"], servers.kafka) == {second.name: second}


@pytest.mark.kafka
def test_added_partitions_are_followed(kafka_stack: Servers) -> None:
    """After events got partitions, scores and dead letters get as many (the embedded broker cannot add any)."""
    ensure_topics(feed("topics-grown"), kafka_stack.kafka)
    admin = KafkaAdminClient(**kafka_stack.kafka.client_options())
    admin.create_partitions({"topics-grown.events": 5})
    while describe_topics(["topics-grown.events"], kafka_stack.kafka)["topics-grown.events"].partitions < 5:
        pass
    admin.close()
    grown = ensure_topics(feed("topics-grown", partitions=5), kafka_stack.kafka)
    assert {kind: grown.topics[kind].partitions for kind in ("events", "scores", "dead-letters")} == {
        "events": 5,
        "scores": 5,
        "dead-letters": 5,
    }
    assert grown.findings == ()

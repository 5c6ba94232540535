import asyncio

import aiokafka.codec
import kafka.codec
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from kafka import KafkaProducer
from kafka.admin import KafkaAdminClient

from contracts.settings import KafkaSettings, Servers
from stream_processors.log_ends import end_offset, end_offsets


def fill(kafka: KafkaSettings, topic: str, **options: str) -> None:
    """100 records in one batch on partition 1, three single ones on 2, none on 0."""
    admin = KafkaAdminClient(**kafka.client_options())
    admin.create_topics({topic: {"num_partitions": 3}}, wait_for_metadata=True)
    admin.close()
    producer = KafkaProducer(**kafka.client_options(), enable_idempotence=False, linger_ms=200, **options)
    for _ in range(100):
        producer.send(topic, value=b"x", partition=1)
    producer.flush()
    for _ in range(3):
        producer.send(topic, value=b"x", partition=2)
        producer.flush()
    producer.close()


def test_ends_count_every_record_of_the_last_batch(servers: Servers) -> None:
    """Both clients give the offset after the last record, for an empty partition, one batch and several."""
    fill(servers.kafka, "log-ends")
    expected = {("log-ends", 0): 0, ("log-ends", 1): 100, ("log-ends", 2): 3}
    assert end_offsets(list(expected), servers.kafka) == expected
    assert asyncio.run(by_aiokafka(servers.kafka, list(expected))) == expected


async def by_aiokafka(kafka: KafkaSettings, places: list[tuple[str, int]]) -> dict[tuple[str, int], int]:
    consumer = AIOKafkaConsumer(bootstrap_servers=list(kafka.servers), enable_auto_commit=False)
    await consumer.start()
    try:
        return {place: await end_offset(consumer, TopicPartition(*place)) for place in places}
    finally:
        await consumer.stop()


def test_ends_are_told_where_no_installed_library_opens_the_records(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the mark of the fetch is wanted; `status` and a worker's start do not depend on the codecs of producers."""
    fill(servers.kafka, "log-ends-packed", compression_type="gzip")
    for codec in (aiokafka.codec, kafka.codec):
        monkeypatch.setattr(codec, "has_gzip", lambda: False)  # the one that is always there; others are missing likewise
    expected = {("log-ends-packed", 0): 0, ("log-ends-packed", 1): 100, ("log-ends-packed", 2): 3}
    assert end_offsets(list(expected), servers.kafka) == expected
    assert asyncio.run(by_aiokafka(servers.kafka, list(expected))) == expected

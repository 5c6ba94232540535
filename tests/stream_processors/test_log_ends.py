import asyncio

from aiokafka import AIOKafkaConsumer, TopicPartition
from kafka import KafkaProducer
from kafka.admin import KafkaAdminClient

from contracts.settings import KafkaSettings, Servers
from stream_processors.log_ends import end_offset, end_offsets


def fill(kafka: KafkaSettings, topic: str) -> None:
    """100 records in one batch on partition 1, three single ones on 2, none on 0."""
    admin = KafkaAdminClient(**kafka.client_options())
    admin.create_topics({topic: {"num_partitions": 3}}, wait_for_metadata=True)
    admin.close()
    producer = KafkaProducer(**kafka.client_options(), enable_idempotence=False, linger_ms=200)
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

    async def by_aiokafka() -> dict[tuple[str, int], int]:
        consumer = AIOKafkaConsumer(bootstrap_servers=list(servers.kafka.servers), enable_auto_commit=False)
        await consumer.start()
        try:
            return {place: await end_offset(consumer, TopicPartition(*place)) for place in expected}
        finally:
            await consumer.stop()

    assert asyncio.run(by_aiokafka()) == expected

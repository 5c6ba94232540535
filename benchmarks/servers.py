"""The servers of a benchmark: Apache Kafka as in production, Redis without a log on disk, and where their processor time goes."""

from __future__ import annotations

import functools
import os
from contextlib import ExitStack
from types import TracebackType
from typing import Self

import redis
from kafka import KafkaConsumer, TopicPartition
from kafka.admin import KafkaAdminClient, NewTopic

from benchmarks.job import PARTITIONS
from benchmarks.processes import Sample, cpu_seconds
from contracts.settings import Servers
from streamgauge.local_stack import LocalStack
from tests.apache_kafka import PROPERTIES, ApacheKafka

# the broker's compiler and heap are let go: throttled as for tests, the broker and not the client would be measured
BROKER_JAVA = ("-Xms1g", "-Xmx1g", "-XX:+UseSerialGC", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn")
# a score topic of a round takes a gigabyte; deleted, it is gone before the next round's
BROKER_SETTINGS = PROPERTIES + "file.delete.delay.ms=1000\nlog.segment.delete.delay.ms=1000\n"


class BenchServers:
    """Context manager: Apache Kafka and redis-server; `servers` is valid inside.

    Args:
        bound: they, and this process, keep off the client's core.
    """

    servers: Servers

    def __init__(self, bound: bool = True) -> None:
        self._bound = bound

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            if self._bound:
                stack.callback(os.sched_setaffinity, 0, os.sched_getaffinity(0))
                keep_off(client_core())
            broker = stack.enter_context(ApacheKafka(BROKER_SETTINGS, java_options=BROKER_JAVA))
            self._broker = broker.pid
            local = stack.enter_context(LocalStack(kafka=broker.settings))
            self.servers, self.directory = local.servers, local.directory
            with redis.Redis(port=self.redis_port) as client:
                self._store = int(client.info("server")["process_id"])
            self._admin = KafkaAdminClient(**broker.settings.client_options())
            stack.callback(self._admin.close)
            self._consumer = KafkaConsumer(**broker.settings.client_options(), enable_auto_commit=False)
            stack.callback(self._consumer.close)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.close()

    @property
    def redis_port(self) -> int:
        """Where the store listens on loopback."""
        return int(self.servers.redis.rpartition(":")[2])

    def make_topic(self, name: str) -> None:
        """A topic of as many partitions as the events; kept for ever, since engines stamp records with event times."""
        self._admin.create_topics([NewTopic(name, PARTITIONS, 1, topic_configs={"retention.ms": "-1"})])

    def clear(self, prefix: str) -> None:
        """Empties the store and deletes topics whose names begin so."""
        with redis.Redis(port=self.redis_port) as client:
            client.flushall()
        mine = [name for name in self._admin.list_topics() if name.startswith(prefix)]
        if mine:
            self._admin.delete_topics(mine)

    def records(self, topic: str) -> int:
        """Records of a topic that has only ever been appended to; a transaction's end counts as one."""
        ends = self._consumer.end_offsets([TopicPartition(topic, partition) for partition in range(PARTITIONS)])
        return sum(ends.values())

    def sample(self, at: float, done: int, client: int) -> Sample:
        """Processor times of this moment."""
        return Sample(at, done, cpu_seconds(client), cpu_seconds(self._broker), cpu_seconds(self._store))


@functools.cache  # this process itself keeps off that core afterwards
def client_core() -> int:
    """The core that the measured process has to itself."""
    return min(os.sched_getaffinity(0))


def keep_off(core: int) -> None:
    """Keeps this process, and what it starts from now on, off a core, where there is another."""
    others = os.sched_getaffinity(0) - {core}
    if others:
        os.sched_setaffinity(0, others)

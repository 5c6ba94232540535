"""Three Apache Kafkas (KRaft, each broker and controller) with everything kept three times, for tests that take one away."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from kafka import TopicPartition
from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError

from contracts.settings import KafkaSettings
from stream_processors.waiting import wait_for_kafka
from streamgauge.local_stack import Child, free_port
from tests.apache_kafka import CLUSTER_ID, GRACE_SECONDS, JAVA_OPTIONS, START_SECONDS, classpath

NODES = (1, 2, 3)
WHOLE_SECONDS = 90.0
INTERNAL = ("__consumer_offsets", "__transaction_state")  # where the coordinators of groups and transactions are
PROPERTIES = """
process.roles=broker,controller
node.id={node}
controller.quorum.voters={voters}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
inter.broker.listener.name=PLAINTEXT
controller.listener.names=CONTROLLER
controller.quorum.election.timeout.ms=1000
controller.quorum.fetch.timeout.ms=1500
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
log.dirs={directory}
auto.create.topics.enable=false
default.replication.factor=3
min.insync.replicas=2
unclean.leader.election.enable=false
auto.leader.rebalance.enable=false
replica.lag.time.max.ms=5000
group.initial.rebalance.delay.ms=0
offsets.topic.replication.factor=3
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=3
transaction.state.log.min.isr=2
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=3
share.coordinator.state.topic.min.isr=2
log.cleaner.backoff.ms=100
"""


class ApacheKafkaCluster:
    """Context manager; `settings`, which names all three, is valid inside the ``with`` block."""

    settings: KafkaSettings

    def __enter__(self) -> Self:
        self._directory = Path(tempfile.mkdtemp(prefix="apache-kafka-cluster-"))
        self._children: dict[int, Child] = {}
        try:
            self._make()
            for node in NODES:
                self._launch(node)
            wait_for_kafka(self.settings, START_SECONDS)
            self._until(lambda: len(self.admin(lambda client: client.describe_cluster()["brokers"])) == len(NODES))
        except BaseException:
            self.stop_all()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop_all()

    def stop_all(self) -> None:
        """End all brokers and remove their logs."""
        for child in self._children.values():
            child.ask_to_stop()
        for child in self._children.values():
            child.stop()
        shutil.rmtree(self._directory, ignore_errors=True)

    def end(self, node: int, kill: bool) -> None:
        """End one broker, with SIGKILL or in order; in order it hands its partitions over first."""
        child = self._children.pop(node)
        if kill:
            os.kill(child.pid, signal.SIGKILL)
        child.stop()

    def start(self, node: int) -> None:
        """Start one again on its log; returns when every partition has all its replicas in step."""
        self._launch(node)
        self.wait_until_whole()

    def wait_until_whole(self) -> None:
        """Until no partition lacks a replica; a second broker taken before that would take what the topics need."""
        self._until(lambda: all(len(row["isr_nodes"]) == len(NODES) for row in self.partitions().values()))

    def wait_until_missed(self, node: int) -> None:
        """Until the others have taken what a killed broker led."""
        self._until(lambda: all(node not in row["isr_nodes"] and row["leader_id"] != node for row in self.partitions().values()))

    def partitions(self) -> dict[TopicPartition, Any]:
        """What the brokers say of every partition, those of coordinators included."""

        def ask(client: Any) -> dict[TopicPartition, Any]:
            names = sorted({*client.list_topics(), *INTERNAL})
            found = [topic for topic in client.describe_topics(names) if topic["error_code"] == 0]
            return {TopicPartition(topic["name"], row["partition_index"]): row for topic in found for row in topic["partitions"]}

        return self.admin(ask)

    def move_leaders(self, topics: Callable[[str], bool]) -> int:
        """Give every partition of those topics another leader, with all brokers alive; returns how many moved."""
        before = {at: row["leader_id"] for at, row in self.partitions().items() if topics(at.topic)}
        wanted = {at: [*(n for n in NODES if n > leader), *(n for n in NODES if n <= leader)] for at, leader in before.items()}
        names: dict[str, list[int]] = {}
        for at in wanted:
            names.setdefault(at.topic, []).append(at.partition)

        def move(client: Any) -> None:
            client.alter_partition_reassignments(wanted)
            client.elect_leaders(0, names, raise_errors=False)

        self.admin(move)
        moved = lambda: [at for at, row in self.partitions().items() if at in before and row["leader_id"] != before[at]]  # noqa: E731
        self._until(lambda: len(moved()) == len(before))
        return len(before)

    def admin(self, ask: Callable[[Any], Any]) -> Any:
        """What a fresh admin client answers."""
        client = KafkaAdminClient(**self.settings.client_options())
        try:
            return ask(client)
        finally:
            client.close()

    def _until(self, done: Callable[[], bool]) -> None:
        deadline = time.monotonic() + WHOLE_SECONDS
        while True:
            try:
                if done():
                    return
            except KafkaError:
                pass
            assert time.monotonic() < deadline, "\n".join(child.log_tail() for child in self._children.values())
            time.sleep(0.1)

    def _make(self) -> None:
        ports = {node: (free_port(), free_port()) for node in NODES}
        voters = ",".join(f"{node}@127.0.0.1:{controller}" for node, (_, controller) in ports.items())
        for node, (port, controller) in ports.items():
            self._file(node).write_text(
                PROPERTIES.format(node=node, voters=voters, port=port, controller=controller, directory=self._directory / f"log-{node}")
            )
            command = ["kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c", str(self._file(node))]
            subprocess.run([*self._java(), *command], check=True, capture_output=True, timeout=START_SECONDS)
        self.settings = KafkaSettings.parse(",".join(f"127.0.0.1:{port}" for port, _ in ports.values()))

    def _file(self, node: int) -> Path:
        return self._directory / f"server-{node}.properties"

    def _launch(self, node: int) -> None:
        command = [*self._java(), "kafka.Kafka", str(self._file(node))]
        self._children[node] = Child(f"kafka-{node}", command, self._directory, GRACE_SECONDS)

    def _java(self) -> list[str]:
        return ["java", *JAVA_OPTIONS, "-cp", classpath()]

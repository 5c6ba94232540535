"""Apache Kafka out of Maven Central, as one process, for tests where no Docker engine is at hand."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from contracts.settings import KafkaSettings
from stream_processors.waiting import wait_for_kafka
from streamgauge.local_stack import Child, free_port

POM = Path(__file__).parent.parent / "deploy" / "apache_kafka.pom.xml"
CLUSTER_ID = "c3RyZWFtZ2F1Z2UtdGVzdA"  # any 16 bytes in base64
START_SECONDS = 90.0  # 5 s on two idle cores; the rest is for a machine shared with other work
GRACE_SECONDS = 5.0
# small heap and quick start: a test run is over before the optimising compiler would pay off
JAVA_OPTIONS = ("-Xmx512m", "-Xms128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn")

PROPERTIES = """
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
controller.listener.names=CONTROLLER
log.dirs={directory}/log
auto.create.topics.enable=false
group.initial.rebalance.delay.ms=0
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
log.cleaner.backoff.ms=100
"""


class ApacheKafka:
    """Context manager: one Apache Kafka (KRaft) on a free loopback port; `settings` is valid inside the ``with`` block.

    Args:
        properties: its settings, with {port}, {outside}, {controller} (free ports) and {directory} to be filled in.
        format_options: of StorageTool, such as users that are known from the start.
        java_options: of its virtual machine.
    """

    settings: KafkaSettings

    def __init__(
        self, properties: str = PROPERTIES, *, format_options: Sequence[str] = (), java_options: Sequence[str] = JAVA_OPTIONS
    ) -> None:
        self._template, self._format_options = properties, format_options
        self._java = ["java", *java_options, "-cp", classpath()]

    @property
    def pid(self) -> int:
        """Process id of the broker's guard."""
        assert self._child is not None
        return self._child.pid

    def address(self, port: int, outside: int) -> str:
        """What its settings are read from."""
        return f"127.0.0.1:{port}"

    def __enter__(self) -> Self:
        self._directory = Path(tempfile.mkdtemp(prefix="apache-kafka-"))
        self._child: Child | None = None
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def stop(self) -> None:
        """End the broker and remove its log."""
        if self._child:
            self._child.stop()
        shutil.rmtree(self._directory, ignore_errors=True)

    def restart(self, kill: bool) -> None:
        """End the broker, with SIGKILL or in order, and start it again on the same port and log."""
        self.end(kill)
        self.start()

    def end(self, kill: bool) -> None:
        """End the broker, with SIGKILL or in order."""
        assert self._child is not None
        if kill:
            os.kill(self._child.pid, signal.SIGKILL)
        self._child.stop()

    def start(self) -> None:
        """Start it again on the same port and log."""
        self._launch()

    @property
    def log_directory(self) -> Path:
        """Where the broker keeps a directory for each partition."""
        return self._directory / "log"

    def _start(self) -> None:
        port, outside = free_port(), free_port()
        self._properties = self._directory / "server.properties"
        self._properties.write_text(
            self._template.format(port=port, outside=outside, controller=free_port(), directory=self._directory),
        )
        subprocess.run(
            [*self._java, "kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c", str(self._properties), *self._format_options],
            check=True,
            capture_output=True,
            timeout=START_SECONDS,
        )
        self.settings = KafkaSettings.parse(self.address(port, outside))
        self._launch()

    def _launch(self) -> None:
        self._child = Child("kafka", [*self._java, "kafka.Kafka", str(self._properties)], self._directory, GRACE_SECONDS)
        try:
            wait_for_kafka(self.settings, START_SECONDS)
        except Exception as error:
            raise RuntimeError(f"Apache Kafka did not start:\n{self._child.log_tail()}") from error


def classpath() -> str:
    """The jars that the pom names, fetched into ~/.m2 at the first call; raises RuntimeError with Maven's words."""
    digest = hashlib.sha256(POM.read_bytes()).hexdigest()[:12]
    kept = Path.home() / ".m2" / f"streamgauge-apache-kafka-{digest}.classpath"
    if kept.exists() and all(Path(jar).exists() for jar in kept.read_text().split(":")):
        return kept.read_text()
    with tempfile.TemporaryDirectory() as directory:
        fetched = Path(directory) / "classpath"
        command = ["mvn", "-B", "-q", "-f", str(POM), "dependency:build-classpath", f"-Dmdep.outputFile={fetched}"]
        run = subprocess.run(command, capture_output=True, text=True, timeout=600)
        if run.returncode:
            raise RuntimeError(f"Maven could not fetch Apache Kafka:\n{run.stdout[-2000:]}{run.stderr[-2000:]}")
        text = fetched.read_text().strip()
    part = kept.with_suffix(f".{free_port()}")  # written whole: test runs may start at the same moment
    part.write_text(text)
    part.replace(kept)
    return text

"""Apache Kafka that a test kills, starts again on the same port with the same log, or lets hang."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from stream_processors.waiting import wait_for_kafka
from streamgauge.local_stack import Child
from tests.apache_kafka import GRACE_SECONDS, JAVA_OPTIONS, START_SECONDS, ApacheKafka, classpath


class FailingKafka(ApacheKafka):
    """One broker, with what can happen to it."""

    def kill(self) -> None:
        """As kill -9: nothing is flushed, no connection is closed in order."""
        assert self._child
        os.kill(self._pid, signal.SIGKILL)
        self._child.stop()

    def start_again(self) -> None:
        """On the same port, with the log that is on the disk."""
        properties = self._directory / "server.properties"
        command = ["java", *JAVA_OPTIONS, "-cp", classpath(), "kafka.Kafka", str(properties)]
        self._child = Child("kafka", command, self._directory, GRACE_SECONDS)
        wait_for_kafka(self.settings, START_SECONDS)

    def hang(self) -> None:
        """It keeps its connections and answers nothing."""
        os.kill(self._pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """Ends `hang`."""
        os.kill(self._pid, signal.SIGCONT)

    @property
    def _pid(self) -> int:
        assert self._child
        guard = self._child.pid
        (pid,) = Path(f"/proc/{guard}/task/{guard}/children").read_text().split()
        return int(pid)

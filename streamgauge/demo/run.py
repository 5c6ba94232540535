"""Runs the demo: local stack, workers, archiver, trainer, alert consumer; history at full speed, then live with planted faults.

Halfway through the live part one worker is killed and the store is emptied (faults.py).
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from contracts.definition import Feed
from contracts.durations import DAY, HOUR
from contracts.errors import StreamgaugeError
from contracts.plant import load_plant
from contracts.topics import events_topic, topic_name
from producers.batch import Batch
from producers.labels import Labels
from producers.pacing import paced
from producers.pump_fleet import CADENCE, PUMPS, pump_fleet
from producers.replay import planned_stop
from producers.sender import Sender
from producers.simulator import Simulation
from stream_processors.examples_reader import read_examples
from stream_processors.status import feed_status
from stream_processors.topics import ensure_topics
from stream_processors.verification.log_reader import read_models, read_switches
from streamgauge.demo import plant as demo_plant
from streamgauge.demo.alert_consumer import AlertConsumer
from streamgauge.demo.faults import Blow, Faults
from streamgauge.demo.latency import PROBES, Moments
from streamgauge.demo.learning import Learning
from streamgauge.demo.water import water_records
from streamgauge.local_stack import LocalStack
from streamgauge.local_stack.child import Child
from streamgauge.local_stack.processes import command_child
from streamgauge.local_stack.stack import free_port

PLANT = Path(demo_plant.__file__)
HISTORY = 3 * DAY  # two seasons teach what is usual, the third leaves the fleet at rest before the first fault
LABELLED_HISTORY = DAY  # before the live part: enough for a first model
LIVE_EVENTS_PER_SECOND = 2_100  # a little above the promised 2,000, so that a slow second does not break the promise
SHORTEST_LIVE = 26 * HOUR  # every fault with an hour behind it fits
WORKERS = 2  # so that one can be killed while the other goes on; more would only share the same cores
FOLD_SECONDS = 240.0  # to fold what has been sent; a worker that stands still must not hold the demo for ever

Say = Callable[[str], None]
Watch = Callable[[dict[str, dict[str, Any]], int], None]


class Outcome(NamedTuple):
    """What the run left behind, for the report."""

    simulation: Simulation
    live_start: int
    statuses: dict[str, dict[str, Any]]
    alerts: dict[str, list[tuple[Any, int]]]
    handed_over: Moments
    seen: list[str]  # lines of the latency reader
    live_events: int
    live_seconds: float
    verdict: str
    learning: Learning
    faults: Faults
    feed: Feed


class Demo:
    """One run; `seed` decides what is planted where, and neither worker nor definition knows it."""

    def __init__(self, seconds: int, seed: int, say: Say, watch: Watch, incidents: list[str]) -> None:
        self._seconds, self._say, self._watch, self._incidents = seconds, say, watch, incidents
        self._pumps, self._water = load_plant(PLANT)
        end = time.time_ns() // 1_000_000_000 * 1_000_000
        per_pump = seconds * LIVE_EVENTS_PER_SECOND // PUMPS
        self._live_start = end - max(per_pump * CADENCE, SHORTEST_LIVE)
        self._end = end
        scenario = pump_fleet(seed, self._live_start, end, self._pumps)
        self.simulation = Simulation(scenario, seed, self._live_start - HISTORY, end)
        self._handed_over: Moments = {}
        self._sent = {self._pumps.name: 0, self._water.name: 0}
        self._labels = Labels(self._pumps)
        self._workers: list[Child] = []

    def run(self) -> Outcome:
        """Everything from the first server to the last comparison; whatever was started has ended when it returns."""
        with LocalStack(say=self._say) as stack:
            self._stack = stack
            children: list[Child] = []
            try:
                return self._run(children)
            finally:
                for child in children:
                    child.ask_to_stop()
                for child in children:
                    child.stop()

    def _run(self, children: list[Child]) -> Outcome:
        servers, directory = self._stack.servers, self._stack.directory
        for feed in (self._pumps, self._water):
            ensure_topics(feed, servers.kafka)
        self._children = children
        for _ in range(WORKERS):
            self._start_worker()
        children.append(command_child(["archive", str(PLANT), "--to", self._history], servers, directory))
        children.append(command_child(["trainer", str(PLANT), "--runs", str(directory / "mlruns")], servers, directory))
        self._blow = Blow(self._pumps, servers, [f"pump-{i:02d}" for i in range(PUMPS)])
        consumer = AlertConsumer([self._pumps, self._water], servers.kafka, self._incidents)
        with Sender(servers.kafka) as sender:
            self._send_history(sender)
            reader = self._start_reader()
            try:
                live_events, live_seconds = self._send_live(sender)
            finally:
                reader.terminate()
                reader.wait()
                seen = [line for line in self._seen_path.read_text().splitlines(keepends=True) if line.endswith("\n")]
            self._stop_on_purpose(sender)
            self._say_labels(sender, *self._labels.left())
            sender.flush()
        statuses = self._wait_until_folded()
        learning = self._read_learning(statuses)
        self._say("folding the logs again and comparing every byte…")
        verdict = self._verify()
        alerts = {feed.name: consumer.received(feed) for feed in (self._pumps, self._water)}
        return Outcome(
            self.simulation,
            self._live_start,
            statuses,
            alerts,
            self._handed_over,
            seen,
            live_events,
            live_seconds,
            verdict,
            learning,
            self._blow.cost(),
            self._pumps,
        )

    def _start_worker(self) -> None:
        servers, directory = self._stack.servers, self._stack.directory
        arguments = ["worker", str(PLANT), "--web-port", str(free_port())]
        self._workers.append(command_child(arguments, servers, directory, f"worker-{len(self._children)}"))
        self._children.append(self._workers[-1])

    def _break(self) -> None:
        """Kills one of the workers and empties the store; starts another worker, as a supervisor would."""
        self._say("a worker is killed with SIGKILL, and Redis is emptied…")
        self._blow.fall(self._workers.pop(0))
        self._start_worker()

    def _send_history(self, sender: Sender) -> None:
        self._say(f"sending {HISTORY // DAY} days of history at full speed…")
        for batch in self.simulation.run(self._live_start):
            self._send(sender, self._pumps, batch)
            if int(batch.due[-1]) >= self._live_start - LABELLED_HISTORY:
                self._labels.take(batch)
        sender.flush()
        self._wait_until_folded()
        self._say_labels(sender, *self._labels.due(self._live_start))

    def _send_live(self, sender: Sender) -> tuple[int, float]:
        """Pumps and water side by side, each with its own speed; (pump events, seconds)."""
        speed = (self._end - self._live_start) / 1e6 / self._seconds
        begin = time.monotonic()
        pumps = paced(self.simulation.run(), speed, self._live_start, begin)
        before = self._sent[self._pumps.name]
        water = _portions(water_records(), begin, self._seconds)
        looked, broken = begin, False
        self._say(f"live: {speed:,.0f} times faster than the wall, for {self._seconds} s…")
        for batch in pumps:
            now = time.monotonic_ns()
            for key, event_time in zip(batch.keys, batch.event_time.tolist(), strict=True):
                if key is not None:
                    self._handed_over.setdefault((key.decode("utf-8", "replace"), event_time), now)
            self._send(sender, self._pumps, batch)
            self._labels.take(batch)
            self._say_labels(sender, *self._labels.due(int(batch.due[-1])))
            for portion in next(water):
                self._send(sender, self._water, portion)
            if not broken and time.monotonic() - begin > self._seconds / 2:
                broken = True
                self._break()
            if time.monotonic() - looked > 1.0:
                looked = time.monotonic()
                self._look(int(batch.due[-1]))
        for portion in next(water):
            self._send(sender, self._water, portion)
        sender.flush()
        return self._sent[self._pumps.name] - before, time.monotonic() - begin

    def _send(self, sender: Sender, feed: Feed, batch: Batch) -> None:
        sender.send(events_topic(feed), batch.keys, batch.values)
        self._sent[feed.name] += len(batch.keys)

    def _say_labels(self, sender: Sender, keys: list[bytes], values: list[bytes]) -> None:
        if keys:
            sender.send(topic_name(self._pumps, "labels"), keys, values)

    def _read_learning(self, statuses: dict[str, dict[str, Any]]) -> Learning:
        kafka = self._stack.servers.kafka
        examples = [example for _, example in read_examples(self._pumps, kafka)]
        models = asyncio.run(read_models(self._pumps, kafka))
        requests = len(_values(self._stack.servers, topic_name(self._pumps, "retrain")))
        switches = [recorded.switch for recorded in asyncio.run(read_switches(self._pumps, kafka))]
        return Learning(statuses[self._pumps.name]["labels"], examples, models, switches, requests)

    @property
    def _history(self) -> str:
        """Where the archiver writes and verify compares."""
        return str(self._stack.directory / "history")

    @property
    def _seen_path(self) -> Path:
        """Where the reader writes; a pipe that nobody reads meanwhile would stop it after 64 KB."""
        return self._stack.directory / "seen.txt"

    def _start_reader(self) -> subprocess.Popen[bytes]:
        entities = [f"pump-{i:02d}" for i in range(0, PUMPS, PUMPS // PROBES)]
        command = [sys.executable, "-m", "streamgauge.demo.latency", str(PLANT), self._pumps.name, self._stack.servers.redis, *entities]
        with self._seen_path.open("wb") as seen:
            return subprocess.Popen(command, stdout=seen)

    def _stop_on_purpose(self, sender: Sender) -> None:
        now_ms = time.time_ns() // 1_000_000
        for feed in (self._pumps, self._water):
            sender.send(topic_name(feed, "evidence"), [None], [planned_stop(feed, self._end, now_ms, "demo")])
        sender.flush()

    def _look(self, event_time: int) -> None:
        self._stack.check()
        for worker in self._workers:
            if worker.poll() is not None:
                raise StreamgaugeError(f"{worker.name} ended; its last words: {worker.log_tail()[-1500:]}")
        self._watch(asyncio.run(self._statuses()), event_time)

    async def _statuses(self) -> dict[str, dict[str, Any]]:
        return {feed.name: await feed_status(feed, self._stack.servers) for feed in (self._pumps, self._water)}

    def _wait_until_folded(self) -> dict[str, dict[str, Any]]:
        """Until every record sent stands in a checkpoint."""
        deadline = time.monotonic() + FOLD_SECONDS
        while True:
            statuses = asyncio.run(self._statuses())
            self._watch(statuses, self._live_start)
            labels = statuses[self._pumps.name]["labels"]
            joined = labels["read"] == self._labels.said and not labels["waiting"]
            if joined and all(status["totals"]["read"] == self._sent[name] for name, status in statuses.items()):
                return statuses
            if time.monotonic() > deadline or any(worker.poll() is not None for worker in self._workers):
                said = "\n".join(f"{worker.name}: {worker.log_tail()[-1500:]}" for worker in self._workers)
                raise StreamgaugeError(f"the workers did not fold everything within {FOLD_SECONDS:.0f} s\n{said}")
            time.sleep(0.5)

    def _verify(self) -> str:
        from streamgauge.commands.verify import overall, verify_feeds

        return overall(asyncio.run(verify_feeds([self._pumps, self._water], self._stack.servers, self._history)))


def _portions(records: Batch, begin: float, seconds: float) -> Iterator[list[Batch]]:
    """At each step what is due of a whole series that is to be spread over so many seconds; all that is left at the end."""
    at, count = 0, len(records.keys)
    while True:
        upto = min(count, int(count * (time.monotonic() - begin) / seconds))
        yield [records.cut(at, upto)] if upto > at else []
        at = max(at, upto)


def _values(servers: Any, topic: str) -> list[bytes]:
    """Values of a one-partition topic up to its present end."""
    from kafka import KafkaConsumer, TopicPartition

    from stream_processors.log_ends import end_offsets

    place = TopicPartition(topic, 0)
    end = end_offsets([place], servers.kafka)[place]
    consumer = KafkaConsumer(
        **servers.kafka.client_options(), enable_auto_commit=False, auto_offset_reset="earliest", isolation_level="read_committed"
    )
    try:
        consumer.assign([place])
        values: list[bytes] = []
        while consumer.position(place) < end:
            values += [record.value for record in consumer.poll(200).get(place, [])]
        return values
    finally:
        consumer.close()

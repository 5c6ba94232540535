"""Events and labels of the storm: what is said depends on the seed alone, when it is said on the clock."""

from __future__ import annotations

import contextlib
import json
import random
import threading
import time
from collections.abc import Iterator
from typing import NamedTuple

from contracts.definition import Feed
from contracts.settings import KafkaSettings
from contracts.topics import topic_name
from producers.sender import Sender
from tests.storm.plants import DEVICES

START = 1_767_225_600_000  # ms of event time
CADENCE = 10_000  # ms between two readings of a device
DELAY = 6  # readings after which a label is told
TICK_SECONDS = 0.05  # of the wall clock between two readings of all devices: 480 events a second


class Tick(NamedTuple):
    """What is sent at once."""

    keys: list[bytes]
    events: list[bytes]
    label_keys: list[bytes]
    labels: list[bytes]


class Traffic:
    """Readings of all devices, tick by tick: some late, out of order, repeated or damaged."""

    def __init__(self, seed: int | str) -> None:
        self._chance = random.Random(f"traffic {seed}")
        self._hot_chance = random.Random(f"hot {seed}")
        self._n = 0
        self._truths: list[list[tuple[bytes, bytes]]] = []

    def tick(self, hot: bool = False) -> Tick:
        """The next readings, and labels of earlier ones; `hot`: as many again of one device."""
        chance, keys, events, truths = self._chance, [], [], []
        for device in DEVICES:
            time_ms = START + self._n * CADENCE + chance.randrange(1000)
            if chance.random() < 0.04:
                time_ms -= chance.randrange(1, 60) * 1000
            heat, load = round(60.0 + chance.gauss(0, 1), 3), round(20.0 + chance.gauss(0, 1), 3)
            shift = 6.0 if device == DEVICES[1] and self._n // 200 % 2 else 0.0
            event = {"device": device, "at": time_ms, "heat": heat + shift, "load": load, "pieces": self._n % 97}
            event["mode"] = "run" if self._n // 40 % 3 else "idle"
            value = json.dumps(event).encode()
            if chance.random() < 0.01:
                value = value[: chance.randrange(len(value))]
            for _ in range(2 if chance.random() < 0.02 else 1):
                keys.append(device.encode())
                events.append(value)
            if chance.random() < 0.5:
                wear = 3.0 * (heat - 60.0) - 2.0 * (load - 20.0) + chance.gauss(0, 0.1)
                truths.append((device.encode(), json.dumps({"entity": device, "event_time": time_ms, "value": round(wear, 4)}).encode()))
        if hot:
            for at in range(len(DEVICES)):
                keys.append(DEVICES[0].encode())
                events.append(self._hot_reading(at * CADENCE // len(DEVICES)))
        self._n += 1
        self._truths.append(truths)
        due = self._truths.pop(0) if len(self._truths) > DELAY else []
        return Tick(keys, events, [key for key, _ in due], [value for _, value in due])

    def _hot_reading(self, within_ms: int) -> bytes:
        """Of a chance of its own: all else that is said stays the same."""
        heat, load = (round(mean + self._hot_chance.gauss(0, 1), 3) for mean in (60.0, 20.0))
        at = START + self._n * CADENCE + within_ms
        return json.dumps({"device": DEVICES[0], "at": at, "heat": heat, "load": load, "pieces": self._n % 97, "mode": "run"}).encode()


class Flow:
    """Sends ticks from a thread of its own while it is on; `pause` returns when all that was said is acknowledged."""

    def __init__(self, feed: Feed, kafka: KafkaSettings, seed: int | str) -> None:
        self._feed, self._traffic = feed, Traffic(seed)
        self._kafka, self._sender = kafka, Sender(kafka)
        self._times, self._hot = 1.0, False
        self._on, self._idle, self._ended = threading.Event(), threading.Event(), threading.Event()
        self._idle.set()
        self.error: BaseException | None = None
        self.events = self.labels = 0
        self._thread = threading.Thread(target=self._run, name="flow", daemon=True)
        self._thread.start()

    def resume(self) -> None:
        """Goes on."""
        self._idle.clear()
        self._on.set()

    def pause(self) -> None:
        """Stops after the tick at hand, and waits until the broker has everything; raises what went wrong."""
        self._on.clear()
        assert self._idle.wait(180.0), "the broker did not take what the storm had sent within 180 s"
        if self.error is not None:
            raise self.error

    def reconnect(self) -> None:
        """Sends through a new client, which sees topics as they are now."""
        was_on = self._on.is_set()
        self.pause()
        self._sender.close(discard=True)
        self._sender = Sender(self._kafka)
        if was_on:
            self.resume()

    @contextlib.contextmanager
    def times(self, factor: float) -> Iterator[None]:
        """So many times the rate."""
        self._times = factor
        try:
            yield
        finally:
            self._times = 1.0

    @contextlib.contextmanager
    def hot(self) -> Iterator[None]:
        """One device sends as much as all together."""
        self._hot = True
        try:
            yield
        finally:
            self._hot = False

    def stop(self) -> None:
        """Ends the thread."""
        self._ended.set()
        self._on.set()
        self._thread.join(180.0)
        self._sender.close(discard=True)

    def _run(self) -> None:
        try:
            while not self._ended.is_set():
                self._on.wait()
                self._send()
                if not self._on.is_set() or self._ended.is_set():
                    self._sender.flush()
                    if self._sender.failed:
                        raise RuntimeError(f"{self._sender.failed} records were not taken: {self._sender.last_error}")
                    self._idle.set()
        except BaseException as error:
            self.error = error
            self._idle.set()

    def _send(self) -> None:
        began = time.monotonic()
        tick = self._traffic.tick(self._hot)
        self._sender.send(topic_name(self._feed, "events"), tick.keys, tick.events)
        self._sender.send(topic_name(self._feed, "labels"), tick.label_keys, tick.labels)
        self.events, self.labels = self.events + len(tick.keys), self.labels + len(tick.labels)
        time.sleep(max(0.0, began + TICK_SECONDS / self._times - time.monotonic()))
